use std::collections::VecDeque;

use http_body_util::BodyExt;
use tonic::body::Body;

use super::*;

/// Yields one frame per piece.
struct Pieces(VecDeque<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

fn intake(pieces: &[&'static str], limit: usize) -> Intake {
    let pieces = Pieces(pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect());
    Intake::new(Guard::made_here(Body::new(pieces)), limit)
}

async fn read(body: impl HttpBody<Data = Bytes, Error = Status>) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn fill(intake: &mut Intake, bytes: usize) {
    std::future::poll_fn(|cx| intake.poll_fill(cx, bytes)).await.unwrap();
}

#[tokio::test]
async fn within_the_limit_every_attempt_gets_the_whole_body() {
    let replay = Replay::new(intake(&["ab", "cd", "ef"], 6));
    let mut first = replay.attempt();
    assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    drop(first);
    assert!(replay.is_replayable());
    assert_eq!(read(replay.attempt()).await, "abcdef");
    assert!(replay.is_replayable());
    assert_eq!(read(replay.attempt()).await, "abcdef");
}

#[tokio::test]
async fn beyond_the_limit_the_body_is_read_once() {
    let replay = Replay::new(intake(&["ab", "cd", "ef"], 5));
    let mut first = replay.attempt();
    for expected in ["ab", "cd"] {
        assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), expected);
        assert!(replay.is_replayable());
    }
    assert_eq!(read(first).await, "ef");
    assert!(!replay.is_replayable());
}

#[tokio::test]
async fn a_message_over_the_limit_is_replayable_until_some_of_it_is_handed_out() {
    let mut intake = intake(&["ab", "cd", "ef"], 3);
    std::future::poll_fn(|cx| intake.poll_collect(cx)).await.unwrap();
    assert_eq!(
        intake.frames().len(),
        2,
        "not more is read than is needed to see that it is too long"
    );
    let replay = Replay::new(intake);
    drop(replay.attempt());
    assert!(replay.is_replayable());
    let mut first = replay.attempt();
    assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert!(!replay.is_replayable());
    assert_eq!(read(first).await, "cdef");
}

#[tokio::test]
async fn after_the_commit_nothing_more_is_kept() {
    let replay = Replay::new(intake(&["ab", "cd", "ef"], 100));
    let mut first = replay.attempt();
    first.frame().await;
    replay.commit();
    assert_eq!(read(first).await, "cdef");
    assert!(!replay.is_replayable());
    assert!(lock(&replay.0).frames().is_empty());
}

#[tokio::test]
async fn what_was_peeked_is_handed_out_again() {
    let mut intake = intake(&["ab", "cd", "ef"], 100);
    fill(&mut intake, 3).await;
    assert_eq!(intake.frames().len(), 2);
    assert!(!intake.has_ended());
    assert_eq!(read(intake.into_body()).await, "abcdef");
}

#[tokio::test]
async fn an_empty_body_is_at_its_end_at_once() {
    let empty = Intake::new(Guard::made_here(Body::empty()), 10);
    assert!(empty.has_ended());
    assert!(Replay::new(empty).attempt().is_end_stream());
}
