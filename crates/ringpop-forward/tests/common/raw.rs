//! A caller that only speaks HTTP/2: what it sends is not changed, and what comes back is not interpreted.

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use prost::Message;
use tokio::net::TcpStream;
use tonic::Status;

use super::service::Ask;
use super::soon;

/// Calls `path` at `address` with one message. Unlike tonic's channel, it keeps no deadline of its own.
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
