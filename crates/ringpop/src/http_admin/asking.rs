//! The way from a request to the gRPC service behind all paths.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::timeout;
use tonic::metadata::AsciiMetadataValue;

use super::refusal::Refusal;
use super::source::Source;
use crate::generated::admin_client::AdminClient;
use crate::limits::HTTP_ADMIN_ANSWER_BYTES_MAX;

pub(super) type Client = AdminClient<Source>;

/// A caller, as the gRPC service recognises it: by the ends of its connection, its certificate, or
/// its token.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    extensions: Extensions,
    token: Option<AsciiMetadataValue>,
}

impl Caller {
    fn new(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let token = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let token = token.and_then(|token| AsciiMetadataValue::try_from(token).ok());
        Self { extensions: extensions.clone(), token }
    }

    pub(super) fn of(request: &Request) -> Self {
        Self::new(request.headers(), request.extensions())
    }

    /// A question or a command in the name of this caller.
    pub(super) fn asks<Q>(self, question: Q) -> tonic::Request<Q> {
        let mut request = tonic::Request::new(question);
        *request.extensions_mut() = self.extensions;
        if let Some(token) = self.token {
            request.metadata_mut().insert("authorization", token);
        }
        request
    }
}

pub(super) fn client(source: Source) -> Client {
    AdminClient::new(source).max_decoding_message_size(HTTP_ADMIN_ANSWER_BYTES_MAX)
}

/// An answer within `limit`.
pub(super) async fn within<A>(
    limit: Duration,
    answer: impl Future<Output = Result<tonic::Response<A>, tonic::Status>>,
) -> Result<A, Refusal> {
    match timeout(limit, answer).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => {
            let reason = format!("no answer within {} s", limit.as_secs());
            Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, reason))
        }
    }
}
