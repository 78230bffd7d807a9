//! `PUT`, `GET` and `DELETE` of `/kv/{key}`: the same service for people who have only `curl`.
//!
//! Each request becomes a call of the gRPC client, which handles it here or forwards it to the
//! owner of the key.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use ringpop::forward::{ForwardService, HANDLED_BY_HEADER, HOPS_HEADER};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::pb;
use super::pb::kv_client::KvClient;
use super::pb::kv_server::KvServer;
use super::service::{KvService, STORE_FULL};
use crate::limits::{HTTP_REQUESTS_MAX, HTTP_TIMEOUT, HTTP_UPLOADS_MAX, VALUE_BYTES_MAX};

mod uploads;

use self::uploads::Uploads;

/// A client whose calls are handled by this member or forwarded to another.
pub(crate) type Client = KvClient<ForwardService<KvServer<KvService>>>;

/// The HTTP service in front of `client`.
pub(crate) fn router(client: Client) -> Router {
    let places = Places {
        slots: Arc::new(Semaphore::new(HTTP_REQUESTS_MAX)),
        uploads: Arc::new(Uploads::new(HTTP_UPLOADS_MAX)),
    };
    Router::new()
        .route("/kv/{*key}", get(get_value).put(put_value).delete(delete_value))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(VALUE_BYTES_MAX))
        .layer(from_fn_with_state(places, bounded))
        .with_state(client)
}

/// What requests share.
#[derive(Clone, Debug)]
struct Places {
    slots: Arc<Semaphore>,
    uploads: Arc<Uploads>,
}

type Key = Result<Path<String>, PathRejection>;
type Value = Result<Bytes, BytesRejection>;

async fn get_value(State(mut client): State<Client>, key: Key) -> Result<Response, Refusal> {
    let Path(key) = key?;
    let reply = client.get(call(pb::GetRequest { key })).await?;
    let headers = explanation(reply.metadata());
    Ok((headers, reply.into_inner().value).into_response())
}

async fn put_value(
    State(mut client): State<Client>,
    key: Key,
    value: Value,
) -> Result<Response, Refusal> {
    let (Path(key), value) = (key?, value?);
    let reply = client.put(call(pb::PutRequest { key, value })).await?;
    let headers = explanation(reply.metadata());
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

async fn delete_value(State(mut client): State<Client>, key: Key) -> Result<Response, Refusal> {
    let Path(key) = key?;
    let reply = client.delete(call(pb::DeleteRequest { key })).await?;
    let headers = explanation(reply.metadata());
    if reply.into_inner().existed {
        return Ok((StatusCode::NO_CONTENT, headers).into_response());
    }
    Err(Refusal { code: StatusCode::NOT_FOUND, headers, reason: "the key has no value".to_owned() })
}

async fn no_such_path(uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {}: use /kv/{{key}}, /ready or /metrics", uri.path()),
    )
}

async fn no_such_method(method: Method) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} means nothing here: use PUT, GET or DELETE"),
    )
}

/// Bounds how many requests are served at once and how long one may take, its body included.
async fn bounded(State(places): State<Places>, request: Request<Body>, next: Next) -> Response {
    let served = async {
        // A body that does not come must not hold a place of those that are served.
        let request = places.uploads.read(request).await?;
        let _slot = places.slots.try_acquire().map_err(|_| {
            Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "{HTTP_REQUESTS_MAX} requests are under way, which is the limit: try again"
                ),
            )
        })?;
        Ok(next.run(request).await)
    };
    match timeout(HTTP_TIMEOUT, served).await {
        Ok(response) => response.unwrap_or_else(Refusal::into_response),
        Err(_) => Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("no answer within {} s", HTTP_TIMEOUT.as_secs()),
        )
        .into_response(),
    }
}

/// A gRPC call that ends before the HTTP request does.
fn call<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(HTTP_TIMEOUT);
    request
}

/// The headers that say who handled a call and how often it was forwarded.
fn explanation(metadata: &MetadataMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [HANDLED_BY_HEADER, HOPS_HEADER] {
        if let Some(value) = copied(metadata, &name) {
            headers.insert(name, value);
        }
    }
    headers
}

fn copied(metadata: &MetadataMap, name: &HeaderName) -> Option<HeaderValue> {
    let value = metadata.get(name.as_str())?;
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// An answer without the value that was asked for: a status and one line that says why.
#[derive(Debug)]
struct Refusal {
    code: StatusCode,
    headers: HeaderMap,
    reason: String,
}

impl Refusal {
    fn new(code: StatusCode, reason: String) -> Self {
        let headers = HeaderMap::new();
        Self { code, headers, reason }
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let code = match status.code() {
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::ResourceExhausted if status.metadata().contains_key(STORE_FULL) => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Code::ResourceExhausted | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { code, headers: explanation(status.metadata()), reason: status.message().to_owned() }
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl Refusal {
    fn too_large() -> Self {
        let reason = format!("the value is too large: at most {VALUE_BYTES_MAX} bytes are allowed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        let code = rejection.status();
        if code == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::too_large();
        }
        Self::new(code, rejection.body_text())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (self.code, self.headers, plain, format!("{}\n", self.reason)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full store needs another store, an overload another moment.
    #[test]
    fn a_full_store_is_told_from_an_overload() {
        let busy = Refusal::from(Status::resource_exhausted("5000 calls are in flight"));
        assert_eq!(busy.code, StatusCode::SERVICE_UNAVAILABLE);
        let full = super::super::service::store_full("100000 entries");
        assert_eq!(Refusal::from(full).code, StatusCode::INSUFFICIENT_STORAGE);
    }
}
