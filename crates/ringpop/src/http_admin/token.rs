//! The secret of a listener, for those who may give commands there.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::refusal::Refusal;
use crate::admin::access::{BEARER, is_same};

/// The question that only those may ask who may give commands.
const HOT_KEYS_PATH: &str = "/api/v1/hot-keys";

/// A secret that callers send as `authorization: Bearer TOKEN` (RFC 6750, section 2.1).
#[derive(Clone)]
pub(super) struct Token(Arc<str>);

impl Token {
    pub(super) fn new(token: String) -> Self {
        Self(token.into())
    }

    /// Whether a request has it.
    pub(super) fn is_sent(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let sent = sent.and_then(|sent| sent.strip_prefix(BEARER.as_bytes()));
        sent.is_some_and(|sent| is_same(self.0.as_bytes(), sent))
    }

    /// Lets questions pass that everybody may ask, and all else that has it.
    pub(super) fn check(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let is_open = method.is_safe() && path != HOT_KEYS_PATH;
        if is_open || self.is_sent(headers) {
            return Ok(());
        }
        Err(Refusal::new(StatusCode::UNAUTHORIZED, TOKEN_WANTED))
    }
}

/// What callers without it are told.
pub(super) const TOKEN_WANTED: &str =
    "this listener takes commands only with its token, which the URL has that was printed for it";
