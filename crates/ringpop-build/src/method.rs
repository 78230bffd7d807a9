//! What a route says about a method.

use prost_reflect::MethodDescriptor;
use prost_types::method_options::IdempotencyLevel;

use crate::field::{self, KeyPlace};

/// A method with a key.
pub(crate) struct Method {
    pub(crate) path: String,
    pub(crate) place: KeyPlace,
    pub(crate) unary: bool,
    pub(crate) idempotent: bool,
    pub(crate) end_when_moved: bool,
}

impl Method {
    pub(crate) fn of(method: &MethodDescriptor, place: KeyPlace) -> Self {
        let options = method.method_descriptor_proto().options.as_ref();
        let level = options.map_or(IdempotencyLevel::IdempotencyUnknown, |o| o.idempotency_level());
        Self {
            path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
            place,
            unary: !method.is_client_streaming() && !method.is_server_streaming(),
            idempotent: level != IdempotencyLevel::IdempotencyUnknown,
            end_when_moved: field::ends_when_moved(method),
        }
    }
}
