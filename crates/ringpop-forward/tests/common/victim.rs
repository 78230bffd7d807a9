//! A node within limits, and callers that give or take too little.

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tonic::Code;

use super::cluster::{Layered, Ring};
use super::service::{Ask, UNARY};
use super::{raw, soon};
use ringpop_forward::{AcceptCounters, Builder, ServerLimits, incoming, server_with};

/// A node with limits of its own.
pub struct Victim {
    pub node: Layered,
    pub counters: AcceptCounters,
}

impl Victim {
    pub async fn start(ring: &Ring, limits: ServerLimits) -> Self {
        Self::start_with(ring, limits, |builder| builder).await
    }

    pub async fn start_with(
        ring: &Ring,
        limits: ServerLimits,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let (sender, counters) = tokio::sync::oneshot::channel();
        let node =
            Layered::start_with(ring, change, move |listener, forwarder, service| async move {
                let incoming = incoming(listener).limits(&limits).unwrap();
                sender.send(incoming.counters()).unwrap();
                let server = server_with(&limits).unwrap().layer(forwarder).add_service(service);
                server.serve_with_incoming(incoming).await
            });
        Self { node, counters: counters.await.unwrap() }
    }

    pub fn address(&self) -> &str {
        &self.node.address
    }
}

/// Begins a call of which nothing more comes, for a key that the head tells.
pub async fn begin(
    sender: &mut SendRequest<Bytes>,
    address: &str,
    path: &str,
    key: &str,
) -> raw::Begun {
    let mut request = raw::request(address, path);
    if !key.is_empty() {
        request.headers_mut().insert("ringpop-key", key.parse().unwrap());
    }
    *sender = sender.clone().ready().await.unwrap();
    let (response, body) = sender.send_request(request, false).unwrap();
    raw::Begun { body, response }
}

/// Asks for an answer over a connection of which no stream has room for any.
pub async fn ask_unread(sender: &mut SendRequest<Bytes>, address: &str, ask: &Ask) -> raw::Begun {
    let mut begun = begin(sender, address, UNARY, "").await;
    begun.body.send_data(raw::framed(ask), true).unwrap();
    begun
}

/// A connection on which answers find no room.
pub async fn unreading(address: &str) -> SendRequest<Bytes> {
    roomy(address, 0, 65_535).await
}

/// A connection with room for so many bytes of each answer, and of all.
pub async fn roomy(address: &str, stream: u32, all: u32) -> SendRequest<Bytes> {
    let connection = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(stream).initial_connection_window_size(all);
    let (sender, driver) = builder.handshake(connection).await.unwrap();
    tokio::spawn(driver);
    sender.ready().await.unwrap()
}

/// The status of the response.
pub async fn code(begun: raw::Begun) -> Code {
    raw::status(soon("answer", begun.response).await.unwrap()).await.code()
}
