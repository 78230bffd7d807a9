//! A caller that only speaks HTTP/2: what it sends is not changed, and what comes back is not
//! interpreted.

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use prost::Message;
use tokio::net::TcpStream;
use tonic::Status;

use super::service::Ask;
use super::soon;

/// Calls `path` at `address` with one message. Unlike tonic's channel, it keeps no deadline of its
/// own.
pub async fn call(
    address: &str,
    path: &str,
    ask: &Ask,
    headers: &[(&str, &str)],
) -> http::Response<RecvStream> {
    let connection = TcpStream::connect(address).await.unwrap();
    let (mut sender, driver) = h2::client::handshake(connection).await.unwrap();
    tokio::spawn(driver);
    let mut request = http::Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (response, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    let message = ask.encode_to_vec();
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    body.send_data(Bytes::from(framed), true).unwrap();
    soon("response", response).await.unwrap()
}

/// A call whose request has not ended.
pub struct Begun {
    pub body: h2::SendStream<Bytes>,
    pub response: h2::client::ResponseFuture,
}

impl Begun {
    /// Breaks the request off.
    pub fn reset(mut self, reason: h2::Reason) {
        self.body.send_reset(reason);
    }
}

/// Calls `path` at `address` with one message, and does not end the request.
pub async fn begin(address: &str, path: &str, ask: &Ask) -> Begun {
    let mut sender = connect(address).await;
    let (response, mut body) = sender.send_request(request(address, path), false).unwrap();
    body.send_data(framed(ask), false).unwrap();
    Begun { body, response }
}

/// A connection to `address`.
pub async fn connect(address: &str) -> h2::client::SendRequest<Bytes> {
    let connection = TcpStream::connect(address).await.unwrap();
    let (sender, driver) = h2::client::handshake(connection).await.unwrap();
    tokio::spawn(driver);
    sender.ready().await.unwrap()
}

/// The head of a gRPC request.
pub fn request(address: &str, path: &str) -> http::Request<()> {
    let request = http::Request::post(format!("http://{address}{path}"));
    request.header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap()
}

/// A message as gRPC frames it.
pub fn framed(ask: &Ask) -> Bytes {
    let message = ask.encode_to_vec();
    [&[0], &(message.len() as u32).to_be_bytes()[..], &message].concat().into()
}

/// Reads a response to its end, and gives its trailers.
pub async fn finish(body: &mut RecvStream) -> HeaderMap {
    while let Some(data) = soon("data", body.data()).await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    soon("trailers", body.trailers()).await.unwrap().unwrap_or_default()
}

/// The status of a response, wherever it is.
pub async fn status(mut response: http::Response<RecvStream>) -> Status {
    let in_head = Status::from_header_map(response.headers());
    let trailers = finish(response.body_mut()).await;
    in_head.or_else(|| Status::from_header_map(&trailers)).expect("a status")
}
