//! Streams whose key moves to another owner are kept or ended, as their route says.

use ringpop_forward::{Builder, MOVED_TO_HEADER, Routes};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::common::cluster::{Node, Ring};
use crate::common::service::{Ask, CHAT, DOWNLOAD, Seen, UPLOAD, next};
use crate::common::{eventually, soon};

/// A node to ask, the owner of key `k` and the one to which it moves.
struct Three {
    ring: Ring,
    /// As the owner sees it.
    owners_ring: Ring,
    asked: Node,
    owner: Node,
    other: Node,
}

impl Three {
    fn new(routes: fn() -> Routes) -> Self {
        let (ring, owners_ring) = (Ring::default(), Ring::default());
        let start = |ring| Node::start_with(ring, |builder: Builder| builder.routes(routes()));
        let (asked, owner, other) = (start(&ring), start(&owners_ring), start(&ring));
        for ring in [&ring, &owners_ring] {
            ring.set_epoch(1);
            ring.set("k", &[&owner.address, &other.address]);
        }
        Self { ring, owners_ring, asked, owner, other }
    }

    /// The ring as of `epoch` gives the key to the other node.
    fn move_key(&self, epoch: u64) {
        for ring in [&self.ring, &self.owners_ring] {
            self.move_key_in(ring, epoch);
        }
    }

    fn move_key_in(&self, ring: &Ring, epoch: u64) {
        ring.set("k", &[&self.other.address, &self.owner.address]);
        ring.set_epoch(epoch);
    }

    fn assert_moved(&self, status: &Status) {
        assert_eq!(status.code(), Code::Aborted, "{status:?}");
        assert!(status.message().contains(&self.other.address), "{status:?}");
        let moved_to = status.metadata().get(MOVED_TO_HEADER.as_str()).unwrap();
        assert_eq!(moved_to.to_str().unwrap(), self.other.address);
    }
}

fn ending() -> Routes {
    let routes = Routes::new().field(UPLOAD, &[1]).end_when_moved();
    routes.field(DOWNLOAD, &[1]).end_when_moved().field(CHAT, &[1]).end_when_moved()
}

fn keeping() -> Routes {
    Routes::new().field(UPLOAD, &[1]).field(DOWNLOAD, &[1]).field(CHAT, &[1])
}

/// Reads the messages still on their way, and gives the error at the end.
async fn end(tells: &mut tonic::Streaming<crate::common::service::Tell>) -> Status {
    loop {
        match next(tells).await.expect("the stream does not end well") {
            Ok(_) => {}
            Err(status) => return status,
        }
    }
}

/// Each ends it by itself, also when the other one does not know of the move.
#[tokio::test]
async fn a_silent_download_ends_at_the_owner_and_where_it_is_forwarded() {
    for asks_owner in [true, false] {
        let three = Three::new(ending);
        let asked = if asks_owner { &three.owner } else { &three.asked };
        let ask = Ask::new("k", "1 then hang");
        let mut tells = asked.client().await.download(ask).await.unwrap().into_inner();
        assert!(next(&mut tells).await.unwrap().is_ok());
        three.move_key_in(if asks_owner { &three.owners_ring } else { &three.ring }, 2);
        three.assert_moved(&end(&mut tells).await);
        let seen = three.owner.seen();
        eventually("the handler is dropped", || Seen::get(&seen.cancelled) == 1).await;
        assert_eq!(asked.forwarder.stats().streams_moved, 1);
        let in_flight = || three.asked.forwarder.stats().in_flight == 0;
        eventually("nothing is in flight", in_flight).await;
    }
}

/// Messages of many frames and a caller who reads slowly: it ends behind a whole message.
#[tokio::test]
async fn a_busy_download_of_large_messages_ends_as_cleanly() {
    let three = Three::new(ending);
    let ask = Ask::new("k", "endless").with(vec![7; 300_000]);
    let mut tells = three.asked.client().await.download(ask).await.unwrap().into_inner();
    for _ in 0..3 {
        assert_eq!(next(&mut tells).await.unwrap().unwrap().payload.len(), 300_000);
    }
    three.move_key(2);
    three.assert_moved(&end(&mut tells).await);
}

#[tokio::test]
async fn a_forwarded_conversation_ends_in_both_directions() {
    let three = Three::new(ending);
    let (say, said) = mpsc::channel(4);
    say.send(Ask::new("k", "hello")).await.unwrap();
    let chat = three.asked.client().await.chat(ReceiverStream::new(said)).await;
    let mut tells = chat.unwrap().into_inner();
    assert_eq!(next(&mut tells).await.unwrap().unwrap().node, three.owner.address);
    three.move_key(2);
    three.assert_moved(&end(&mut tells).await);
    soon("the caller's side is closed", say.closed()).await;
    // The same again comes to the new owner.
    let again = tokio_stream::iter([Ask::new("k", "again")]);
    let mut tells = three.asked.client().await.chat(again).await.unwrap().into_inner();
    assert_eq!(next(&mut tells).await.unwrap().unwrap().node, three.other.address);
}

#[tokio::test]
async fn an_upload_that_was_not_answered_yet_is_aborted() {
    for asks_owner in [true, false] {
        let three = Three::new(ending);
        let asked = if asks_owner { &three.owner } else { &three.asked };
        let (send, sent) = mpsc::channel(4);
        send.send(Ask::new("k", "first")).await.unwrap();
        let mut client = asked.client().await;
        let upload = tokio::spawn(async move { client.upload(ReceiverStream::new(sent)).await });
        let seen = three.owner.seen();
        eventually("the handler runs", || Seen::get(&seen.begun) == 1).await;
        three.move_key(2);
        three.assert_moved(&soon("the upload", upload).await.unwrap().unwrap_err());
        assert_eq!(Seen::get(&seen.complete_uploads), 0);
    }
}

#[tokio::test]
async fn streams_are_kept_unless_their_route_says_otherwise() {
    let three = Three::new(keeping);
    let (say, said) = mpsc::channel(4);
    say.send(Ask::new("k", "before")).await.unwrap();
    let chat = three.asked.client().await.chat(ReceiverStream::new(said)).await;
    let mut tells = chat.unwrap().into_inner();
    assert_eq!(next(&mut tells).await.unwrap().unwrap().text, "before");
    three.move_key(2);
    say.send(Ask::new("k", "after")).await.unwrap();
    let tell = next(&mut tells).await.unwrap().unwrap();
    assert_eq!((tell.text.as_str(), tell.node), ("after", three.owner.address.clone()));
    drop(say);
    assert!(next(&mut tells).await.is_none());
}

/// Another part of the ring changed, or the key came back before anybody looked.
#[tokio::test]
async fn streams_whose_key_stays_are_not_ended() {
    let three = Three::new(ending);
    let (say, said) = mpsc::channel(4);
    say.send(Ask::new("k", "one")).await.unwrap();
    let chat = three.asked.client().await.chat(ReceiverStream::new(said)).await;
    let mut tells = chat.unwrap().into_inner();
    assert_eq!(next(&mut tells).await.unwrap().unwrap().text, "one");
    three.ring.set("another key", &[&three.other.address]);
    for epoch in 2..10 {
        three.ring.set_epoch(epoch);
        three.owners_ring.set_epoch(epoch);
        say.send(Ask::new("k", "more")).await.unwrap();
        assert_eq!(next(&mut tells).await.unwrap().unwrap().text, "more");
    }
}

/// The first owner is dead and on the ring still: the next one serves, and goes on when the ring
/// makes it the owner.
#[tokio::test]
async fn a_stand_in_is_not_interrupted_by_becoming_the_owner() {
    let mut three = Three::new(ending);
    three.owner.kill();
    let (say, said) = mpsc::channel(4);
    say.send(Ask::new("k", "one")).await.unwrap();
    let chat = three.asked.client().await.chat(ReceiverStream::new(said)).await;
    let mut tells = chat.unwrap().into_inner();
    assert_eq!(next(&mut tells).await.unwrap().unwrap().node, three.other.address);
    three.move_key(2);
    say.send(Ask::new("k", "two")).await.unwrap();
    assert_eq!(next(&mut tells).await.unwrap().unwrap().text, "two");
    // The first owner is back.
    three.ring.set("k", &[&three.asked.address]);
    three.ring.set_epoch(3);
    assert_eq!(end(&mut tells).await.code(), Code::Aborted);
}
