//! Every shape of call arrives whole at the owner, and its answer whole at the caller.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use crate::common::cluster::{Node, Ring};
use crate::common::service::{Ask, UNROUTED, all, next};
use crate::common::{eventually, soon};

/// A node to ask and the owner of key `k`.
fn pair() -> (Node, Node) {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address, &asked.address]);
    ring.set("mine", &[&asked.address, &owner.address]);
    (asked, owner)
}

#[tokio::test]
async fn unary_with_metadata_both_ways() {
    let (asked, owner) = pair();
    let mut request = Request::new(Ask::new("k", "hello").with("payload"));
    request.metadata_mut().insert("x-text", "text".parse().unwrap());
    request
        .metadata_mut()
        .insert_bin("x-bytes-bin", tonic::metadata::MetadataValue::from_bytes(&[1, 0]));
    let response = asked.client().await.unary(request).await.unwrap();
    assert_eq!(response.metadata().get("x-answer").unwrap(), "42");
    let tell = response.into_inner();
    assert_eq!(
        (tell.node, tell.text, tell.payload),
        (owner.address.clone(), "hello".into(), "payload".into())
    );
    assert_eq!(owner.seen().header("x-text").unwrap(), "text");
    let metadata = owner.seen().metadata.lock().unwrap().clone();
    assert_eq!(metadata.get_bin("x-bytes-bin").unwrap().to_bytes().unwrap(), &[1, 0][..]);
    let (here, there) = (asked.forwarder.stats(), owner.forwarder.stats());
    assert_eq!((here.forwarded, here.local, there.forwarded, there.local), (1, 0, 0, 1));
}

#[tokio::test]
async fn an_error_with_details_and_metadata() {
    let (asked, _owner) = pair();
    let status = asked.client().await.unary(Ask::new("k", "fail")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "told to fail: ü"));
    assert_eq!(status.details(), b"details");
    assert_eq!(status.metadata().get("x-why").unwrap(), "asked for");
    assert_eq!(status.metadata().get_bin("x-why-bin").unwrap().to_bytes().unwrap(), &[0, 255][..]);
}

#[tokio::test]
async fn server_stream_and_an_error_at_its_end() {
    let (asked, owner) = pair();
    let mut client = asked.client().await;
    let stream = client.download(Ask::new("k", "100")).await.unwrap().into_inner();
    let tells = all(stream).await;
    assert_eq!(tells.len(), 100);
    assert!(
        tells
            .iter()
            .enumerate()
            .all(|(i, tell)| tell.node == owner.address && tell.text == i.to_string())
    );

    let mut stream = client.download(Ask::new("k", "2 then fail")).await.unwrap().into_inner();
    assert!(next(&mut stream).await.unwrap().is_ok() && next(&mut stream).await.unwrap().is_ok());
    assert_eq!(next(&mut stream).await.unwrap().unwrap_err().code(), Code::DataLoss);
}

#[tokio::test]
async fn client_stream() {
    let (asked, owner) = pair();
    let asks = (0..100).map(|_| Ask::new("k", "").with(vec![0; 1000]));
    let tell = asked.client().await.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
    assert_eq!(
        (tell.node, tell.text),
        (owner.address.clone(), "100 messages, 100000 bytes".into())
    );
}

#[tokio::test]
async fn an_early_answer_ends_an_upload() {
    let (asked, _owner) = pair();
    let asks = tokio_stream::iter([Ask::new("k", "early")]).chain(tokio_stream::pending());
    let upload = asked.client().await.upload(asks).await;
    assert_eq!(soon("early answer", async { upload.unwrap() }).await.into_inner().text, "early");
}

#[tokio::test]
async fn bidirectional_stream_in_lockstep() {
    let (asked, owner) = pair();
    let (sender, receiver) = mpsc::channel(1);
    sender.send(Ask::new("k", "0")).await.unwrap();
    let asks = ReceiverStream::new(receiver);
    let mut tells = asked.client().await.chat(asks).await.unwrap().into_inner();
    for turn in 1..50 {
        let tell = next(&mut tells).await.unwrap().unwrap();
        assert_eq!((tell.node, tell.text), (owner.address.clone(), (turn - 1).to_string()));
        sender.send(Ask::new("k", &turn.to_string())).await.unwrap();
    }
    drop(sender);
    assert_eq!(next(&mut tells).await.unwrap().unwrap().text, "49");
    assert!(next(&mut tells).await.is_none());
}

#[tokio::test]
async fn large_messages_both_ways() {
    let (asked, _owner) = pair();
    let payload = Bytes::from(vec![7; 20 << 20]);
    let tell =
        asked.client().await.unary(Ask::new("k", "big").with(payload.clone())).await.unwrap();
    assert_eq!(tell.into_inner().payload, payload);
}

#[tokio::test]
async fn a_long_upload_passes_in_pieces() {
    let (asked, _owner) = pair();
    let piece = Bytes::from(vec![0; 64 << 10]);
    let asks = (0..512).map(move |_| Ask::new("k", "").with(piece.clone()));
    let tell = asked.client().await.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
    assert_eq!(tell.text, format!("512 messages, {} bytes", 512 * (64 << 10)));
}

#[tokio::test]
async fn what_is_ours_or_has_no_route_stays_here() {
    let (asked, owner) = pair();
    let mut client = asked.client().await;
    let mine = client.unary(Ask::new("mine", "hello")).await.unwrap().into_inner();
    assert_eq!(mine.node, asked.address);
    let unrouted = client.unary_at(UNROUTED, Ask::new("k", "hello")).await.unwrap().into_inner();
    assert_eq!(unrouted.node, asked.address);
    assert_eq!(owner.forwarder.stats().local, 0);
    assert_eq!(asked.forwarder.stats().local, 1, "a path without a route is not counted");

    let asks = (0..10).map(|_| Ask::new("mine", "").with(vec![0; 1000]));
    let tell = client.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
    assert_eq!((tell.node, tell.text), (asked.address.clone(), "10 messages, 10000 bytes".into()));
}

#[tokio::test]
async fn the_response_says_who_handled_it_and_after_how_many_hops() {
    let (asked, owner) = pair();
    let mut client = asked.client().await;
    let plain = client.unary(Ask::new("k", "")).await.unwrap();
    assert!(plain.metadata().get("ringpop-handled-by").is_none(), "only those who ask are told");
    for (key, node, hops) in [("k", &owner, "1"), ("mine", &asked, "0")] {
        let mut request = Request::new(Ask::new(key, ""));
        request.metadata_mut().insert("ringpop-explain", "1".parse().unwrap());
        let response = client.unary(request).await.unwrap();
        assert_eq!(response.metadata().get("ringpop-handled-by").unwrap(), node.address.as_str());
        assert_eq!(response.metadata().get("ringpop-hops").unwrap(), hops);
    }
}

#[tokio::test]
async fn unary_calls_and_streams_use_a_connection_each_however_many_there_are() {
    let (asked, _owner) = pair();
    let client = asked.client().await;
    let calls = (0..50).map(|_| {
        let mut client = client.clone();
        async move { client.unary(Ask::new("k", "")).await.unwrap() }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(asked.forwarder.stats().connections, 1);
    let mut client = client;
    client.download(Ask::new("k", "1")).await.unwrap();
    assert_eq!(asked.forwarder.stats().connections, 2);
}

#[tokio::test]
async fn many_calls_at_once_each_get_their_own_answer() {
    let (asked, _owner) = pair();
    let client = asked.client().await;
    let calls = (0..200).map(|index| {
        let mut client = client.clone();
        async move {
            let order = index.to_string();
            let tell = client.unary(Ask::new("k", &order)).await.unwrap().into_inner();
            assert_eq!(tell.text, order);
        }
    });
    futures_util::future::join_all(calls).await;
    let stats = asked.forwarder.stats();
    assert_eq!((stats.forwarded, stats.in_flight, stats.failed), (200, 0, 0));
}

/// What the server keeps of an answer holds the request of its call, and both are in one list of
/// the connection.
#[tokio::test]
async fn a_caller_who_leaves_a_conversation_holds_nobody_up() {
    let (asked, _owner) = pair();
    for _ in 0..3 {
        let (say, said) = mpsc::channel(4);
        say.send(Ask::new("k", "hello")).await.unwrap();
        let mut client = asked.client().await;
        let mut tells = client.chat(ReceiverStream::new(said)).await.unwrap().into_inner();
        assert!(next(&mut tells).await.unwrap().is_ok());
        drop((tells, say));
        let again = tokio_stream::iter([Ask::new("k", "again")]);
        let mut tells = client.chat(again).await.unwrap().into_inner();
        assert!(next(&mut tells).await.unwrap().is_ok());
    }
    eventually("nothing is in flight", || asked.forwarder.stats().in_flight == 0).await;
}
