//! Faults that other proxies were caught by. Each test fails without the line of code that it
//! guards.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status};
use tower::Service;

use crate::common::cluster::{Node, Ring};
use crate::common::raw;
use crate::common::service::{Ask, ONCE, Seen, TestClient, UNARY, all, next};
use crate::common::{eventually, settled, soon};

fn pair() -> (Node, Node) {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    ring.set("mine", &[&asked.address]);
    (asked, owner)
}

/// A handler must not take half of an upload for all of it, neither at the owner nor where no
/// forwarding happens.
#[tokio::test]
async fn a_cancelled_upload_does_not_look_complete() {
    let (asked, owner) = pair();
    // The key in the message takes another way through the layer than the key in the metadata.
    let ways = [("k", None, &owner), ("mine", None, &asked), ("mine", Some("mine"), &asked)];
    for (key, in_metadata, node) in ways {
        let begun = Seen::get(&node.seen().begun);
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let mut request = Request::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
        if let Some(key) = in_metadata {
            request.metadata_mut().insert("ringpop-key", key.parse().unwrap());
        }
        let mut client = asked.client().await;
        let call = tokio::spawn(async move { client.upload(request).await });
        sender.send(Ask::new(key, "")).await.unwrap();
        eventually("the handler has begun", || Seen::get(&node.seen().begun) > begun).await;
        call.abort();
        eventually("the call is over", || node.forwarder.stats().in_flight == 0).await;
        assert_eq!(Seen::get(&node.seen().complete_uploads), 0, "{key}, {in_metadata:?}");
    }
}

/// Nor when the request fails where it is made.
#[tokio::test]
async fn an_upload_that_fails_at_its_source_does_not_look_complete() {
    let (asked, owner) = pair();
    let message = Bytes::from_static(&[0, 0, 0, 0, 3, 0x0a, 1, b'k']);
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let frames = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let body = tonic::body::Body::new(StreamBody::new(frames));
    let request = http::Request::post(crate::common::service::UPLOAD)
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    let mut door =
        asked.forwarder.client(crate::common::service::TestServer(asked.handler.clone()));
    let call = tokio::spawn(door.call(request));
    sender.send(Ok(Frame::data(message))).await.unwrap();
    eventually("the handler has begun", || Seen::get(&owner.seen().begun) == 1).await;
    sender.send(Err(Status::cancelled("changed my mind"))).await.unwrap();
    let response = soon("call", call).await.unwrap().unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::Aborted);
    assert_eq!(asked.forwarder.stats().broken_requests, 1);
    eventually("the owner's call is over", || owner.forwarder.stats().in_flight == 0).await;
    assert_eq!(Seen::get(&owner.seen().complete_uploads), 0);
}

/// Streams that nobody reads hold up nothing but themselves.
#[tokio::test]
async fn unread_streams_do_not_stall_other_calls() {
    let (asked, owner) = pair();
    let piece = Bytes::from(vec![0; 64 << 10]);
    let mut unread = Vec::new();
    for _ in 0..16 {
        // A connection each, so the callers' own windows are not what stalls.
        let mut client = asked.client().await;
        let ask = Ask::new("k", "endless").with(piece.clone());
        let mut tells = client.download(ask).await.unwrap().into_inner();
        assert!(next(&mut tells).await.unwrap().is_ok());
        unread.push((client, tells));
    }
    settled(|| Seen::get(&owner.seen().sent)).await;
    let mut client = asked.client().await;
    soon("unary call", client.unary(Ask::new("k", ""))).await.unwrap();
    let tells = soon("stream", client.download(Ask::new("k", "100"))).await.unwrap().into_inner();
    assert_eq!(all(tells).await.len(), 100);
}

/// Nagle's algorithm would hold each of these calls up for 40 ms, on either side.
#[tokio::test]
async fn both_ends_of_a_peer_connection_send_small_writes_at_once() {
    let (listener, _) = crate::common::cluster::listener();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = ringpop_forward::incoming(listener);
    let dialled = tokio::net::TcpStream::connect(address);
    let (accepted, _dialled) = tokio::join!(incoming.next(), dialled);
    assert!(accepted.unwrap().unwrap().get_ref().nodelay().unwrap());
}

/// With an exact size hint, hyper would announce a content-length, and trailers would be lost.
#[tokio::test]
async fn a_forwarded_response_has_no_content_length() {
    let (asked, _owner) = pair();
    let mut response = raw::call(&asked.address, UNARY, &Ask::new("k", ""), &[]).await;
    assert_eq!(response.headers().get("content-length"), None);
    let trailers = raw::finish(response.body_mut()).await;
    assert_eq!(trailers.get("grpc-status").unwrap(), "0");
}

/// An endless stream whose caller does not read must not pile up in the forwarding node.
#[tokio::test]
async fn an_unread_stream_is_held_back_at_its_source() {
    const PIECE: usize = 64 << 10;
    let (asked, owner) = pair();
    let mut client = asked.client().await;
    let ask = Ask::new("k", "endless").with(vec![0; PIECE]);
    let mut tells = client.download(ask).await.unwrap().into_inner();
    assert!(next(&mut tells).await.unwrap().is_ok());
    let sent = settled(|| Seen::get(&owner.seen().sent)).await;
    // The windows of caller, node and owner and the buffers of two sockets hold some megabytes.
    assert!(sent as usize * PIECE < 32 << 20, "{sent} pieces were sent to a caller that read one");
    for _ in 0..sent + 10 {
        assert!(next(&mut tells).await.unwrap().is_ok());
    }
    drop(tells);
    eventually("the owner stops", || Seen::get(&owner.seen().cancelled) == 1).await;
}

/// A server that ends its response without a status is at fault, and the caller is told.
#[tokio::test]
async fn a_response_without_trailers_becomes_an_internal_error() {
    let ring = Ring::default();
    let asked = Node::start(&ring);
    let (listener, address) = crate::common::cluster::listener();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            drop(request);
            let head = http::Response::builder()
                .header("content-type", "application/grpc")
                .body(())
                .unwrap();
            let mut body = respond.send_response(head, false).unwrap();
            body.send_data(Bytes::from_static(&[0, 0, 0, 0, 0]), true).unwrap();
        }
    });
    ring.set("k", &[&address]);
    let status = asked.client().await.unary(Request::new(Ask::new("k", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("without a grpc-status"), "{status:?}");
    assert_eq!(asked.forwarder.stats().broken_responses, 1);
}

/// Answers one call, and says goodbye when told to, in a thread of its own.
struct Leaving {
    address: String,
    leave: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Leaving {
    fn start() -> Self {
        let (listener, address) = crate::common::cluster::listener();
        let (leave, told) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let (stream, _) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (_, mut respond) = connection.accept().await.unwrap().unwrap();
                let head = http::Response::builder().header("grpc-status", "13");
                respond.send_response(head.body(()).unwrap(), true).unwrap();
                drop(respond);
                let until_told = async {
                    while told.try_recv().is_err() {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    _ = connection.accept() => panic!("told before anybody calls again"),
                    () = until_told => {}
                }
                connection.abrupt_shutdown(h2::Reason::NO_ERROR);
                while connection.accept().await.is_some() {}
            });
        });
        Self { address, leave, thread }
    }

    /// Says which calls it has seen, and closes. Nothing else of this process runs meanwhile.
    fn leave(self) {
        self.leave.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// A server that stops names the calls that it has not seen, and closes. A sender that writes to it
/// in between must still hear that, or calls that are safe to send again look as if they may have
/// been executed.
#[tokio::test]
async fn a_goodbye_is_heard_although_writing_has_failed() {
    let ring = Ring::default();
    let (asked, second, leaving) = (Node::start(&ring), Node::start(&ring), Leaving::start());
    ring.set("k", &[&leaving.address, &second.address]);
    // Connections of this door live in this runtime, which has one thread.
    let door = asked.forwarder.client(crate::common::service::TestServer(asked.handler.clone()));
    let client = TestClient::new(door);
    client.clone().unary_at(ONCE, Ask::new("k", "")).await.unwrap_err();
    // The peer closes unseen: this runtime does not look at its sockets until its tasks have run.
    leaving.leave();
    let calls = (0..8_u32).map(|turns| {
        let mut client = client.clone();
        tokio::spawn(async move {
            // One write to a closed peer fails without a word; the next one tells. Hence calls in
            // several turns.
            let mut left = turns;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                left = left.saturating_sub(1);
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            client.unary_at(ONCE, Ask::new("k", "")).await
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let tell = soon("call", call).await.unwrap().unwrap().into_inner();
        assert_eq!(tell.node, second.address);
    }
    assert!(asked.forwarder.stats().retries_refused > 0, "at least the first write was read about");
}

/// Calls in both directions at once over the same two nodes.
#[tokio::test]
async fn nodes_that_forward_to_each_other_do_not_wait_for_each_other() {
    let ring = Ring::default();
    let (a, b) = (Node::start(&ring), Node::start(&ring));
    ring.set("a", &[&a.address]);
    ring.set("b", &[&b.address]);
    let (to_a, to_b) = (a.client().await, b.client().await);
    let calls = (0..100).map(|index| {
        let (mut client, key) =
            if index % 2 == 0 { (to_a.clone(), "b") } else { (to_b.clone(), "a") };
        async move { client.unary(Ask::new(key, "").with(vec![0; 10_000])).await.unwrap() }
    });
    soon("calls", join_all(calls)).await;
}
