//! Telling callers who handled their request.

use http::{HeaderMap, HeaderValue, Response};

use crate::limits::{EXPLAIN_HEADER, HANDLED_BY_HEADER, HOPS_HEADER};

/// Which responses tell who handled the request and after how many hops, in metadata
/// `ringpop-handled-by` and `ringpop-hops`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Explain {
    /// None. For ports on which strangers should not learn addresses of the cluster.
    Never,
    /// Those to requests with metadata `ringpop-explain`.
    #[default]
    OnRequest,
    /// All.
    Always,
}

impl Explain {
    pub(crate) fn is_wanted(self, headers: &mut HeaderMap) -> bool {
        match self {
            Self::Never => {
                // Nor may the owner be asked.
                headers.remove(EXPLAIN_HEADER);
                false
            }
            Self::OnRequest => headers.contains_key(EXPLAIN_HEADER),
            Self::Always => true,
        }
    }
}

/// Says who handled a request, unless somebody nearer to the handler has said so.
pub(crate) fn explain<B>(response: &mut Response<B>, handled_by: HeaderValue, hops: u8) {
    let headers = response.headers_mut();
    if !headers.contains_key(HANDLED_BY_HEADER) {
        headers.insert(HANDLED_BY_HEADER, handled_by);
        headers.insert(HOPS_HEADER, HeaderValue::from(u16::from(hops)));
    }
}
