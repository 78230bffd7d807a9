//! An HTTP client that retries nothing.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Longer than any answer of a node takes: its own answer is seen.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection is kept for the next request.
const IDLE_MAX: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Client(HyperClient<HttpConnector, Full<Bytes>>);

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) body: Bytes,
    pub(crate) handled_by: String,
    pub(crate) hops: String,
}

impl Reply {
    /// Whether the request was answered, be it that there is no value.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self.code, 200 | 204 | 404)
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        let mut builder = HyperClient::builder(TokioExecutor::new());
        // A node closes connections that are idle for 10 s, perhaps just when a request is sent on
        // one.
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_MAX);
        Self(builder.retry_canceled_requests(false).build_http())
    }

    pub(crate) async fn get(&self, node: &str, key: &str) -> Result<Reply, String> {
        self.send("GET", node, &format!("/kv/{key}"), Bytes::new()).await
    }

    pub(crate) async fn put(&self, node: &str, key: &str, value: &str) -> Result<Reply, String> {
        self.send("PUT", node, &format!("/kv/{key}"), value.to_owned().into()).await
    }

    pub(crate) async fn delete(&self, node: &str, key: &str) -> Result<Reply, String> {
        self.send("DELETE", node, &format!("/kv/{key}"), Bytes::new()).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        node: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Reply, String> {
        self.send_with(method, node, path, &[], body).await
    }

    pub(crate) async fn send_with(
        &self,
        method: &str,
        node: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, String> {
        let request = build(method, node, path, headers, body);
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| format!("{error:?}"))?;
            let (head, body) = response.into_parts();
            let header = |name| {
                let value = head.headers.get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            let body = body.collect().await.map_err(|error| format!("{error:?}"))?;
            Ok(Reply {
                code: head.status.as_u16(),
                body: body.to_bytes(),
                handled_by: header("ringpop-handled-by"),
                hops: header("ringpop-hops"),
            })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| "no answer".to_owned())?
    }
}

fn build(
    method: &str,
    node: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> axum::http::Request<Full<Bytes>> {
    let request = axum::http::Request::builder().method(method).uri(format!("http://{node}{path}"));
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .body(Full::new(body))
        .expect("a request that is valid")
}
