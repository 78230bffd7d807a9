//! The service that a member of the demonstration serves: keys and values in the memory of the
//! key's owner. They move with their keys.

pub(crate) mod http;
mod service;

pub(crate) use service::{KvService, store};

/// Types and services of `proto/ringpop/demo/v1/kv.proto`.
#[allow(clippy::all, missing_docs, unreachable_pub, unused_qualifications, clippy::pedantic)]
#[rustfmt::skip]
pub(crate) mod pb {
    include!("generated/ringpop.demo.v1.rs");
}
