//! A response that breaks in its middle loses no call that may be executed twice.

use bytes::Bytes;
use http::Response;
use tokio::net::TcpListener;
use tonic::Code;

use crate::common::cluster::{Node, Ring};
use crate::common::service::{Ask, ONCE, Seen, UNARY};
use ringpop_forward::WHOLE_RESPONSE_BYTES;

/// How an owner dies in the middle of its response.
#[derive(Clone, Copy)]
enum Death {
    /// Its connection breaks.
    Connection,
    /// It resets the stream.
    Stream,
}

/// An owner that sends a head and the first `sent` bytes of a message, and then dies.
async fn dying(sent: usize, death: Death) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let builder = h2::server::Builder::new();
            let mut connection = builder.handshake::<_, Bytes>(io).await.unwrap();
            tokio::spawn(async move {
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let head = Response::builder().header("content-type", "application/grpc");
                    let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
                    // The message claims to be a megabyte.
                    let mut begun = vec![0, 0, 16, 0, 0];
                    begun.resize(sent, 7);
                    body.send_data(begun.into(), false).unwrap();
                    // Written bytes leave with the next looks at the connection.
                    for _ in 0..20 {
                        let look = connection.accept();
                        let _ =
                            tokio::time::timeout(std::time::Duration::from_millis(2), look).await;
                    }
                    match death {
                        Death::Connection => return,
                        Death::Stream => body.send_reset(h2::Reason::INTERNAL_ERROR),
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn half_a_message_is_as_good_as_none() {
    for death in [Death::Connection, Death::Stream] {
        let ring = Ring::default();
        let (asked, second) = (Node::start(&ring), Node::start(&ring));
        ring.set("k", &[&dying(500, death).await, &second.address]);
        let mut client = asked.client().await;
        let tell = client.unary(Ask::new("k", "")).await.unwrap().into_inner();
        assert_eq!(tell.node, second.address);
        // What must not run twice is not sent again, and its caller gets what there was.
        let status = client.unary_at(ONCE, Ask::new("k", "")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(Seen::get(&second.seen().begun), 1);
    }
}

#[tokio::test]
async fn a_long_response_is_given_on_as_it_comes() {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    let long = dying(WHOLE_RESPONSE_BYTES + 50_000, Death::Connection).await;
    ring.set("k", &[&long, &second.address]);
    let status = asked.client().await.unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(&long), "{status:?}");
    assert_eq!(Seen::get(&second.seen().begun), 0);
    // A whole one arrives whole.
    ring.set("k", &[&second.address]);
    let payload = vec![9; 4 * WHOLE_RESPONSE_BYTES - 1000];
    let ask = Ask::new("k", "").with(payload.clone());
    let tell = asked.client().await.unary_at(UNARY, ask).await.unwrap().into_inner();
    assert_eq!(tell.payload, payload);
}
