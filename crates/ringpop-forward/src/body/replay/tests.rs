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

fn buffer(pieces: &[&'static str], limit: usize) -> ReplayBuffer {
    intake_in(pieces, limit, &Arc::new(ReplayMemory::new(1000)))
}

fn intake_in(pieces: &[&'static str], limit: usize, memory: &Arc<ReplayMemory>) -> ReplayBuffer {
    let pieces = Pieces(pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect());
    ReplayBuffer::new(Guard::new(Body::new(pieces)), limit, Arc::clone(memory))
}

async fn read(body: impl HttpBody<Data = Bytes, Error = Status>) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn fill(buffer: &mut ReplayBuffer, bytes: usize) {
    std::future::poll_fn(|cx| buffer.poll_fill(cx, bytes)).await.unwrap();
}

#[tokio::test]
async fn within_the_limit_every_attempt_gets_the_whole_body() {
    let replay = Replay::new(buffer(&["ab", "cd", "ef"], 6));
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
    let replay = Replay::new(buffer(&["ab", "cd", "ef"], 5));
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
    let mut buffer = buffer(&["ab", "cd", "ef"], 3);
    std::future::poll_fn(|cx| buffer.poll_collect(cx)).await.unwrap();
    assert_eq!(
        buffer.frames().len(),
        2,
        "not more is read than is needed to see that it is too long"
    );
    let replay = Replay::new(buffer);
    drop(replay.attempt());
    assert!(replay.is_replayable());
    let mut first = replay.attempt();
    assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert!(!replay.is_replayable());
    assert_eq!(read(first).await, "cdef");
}

#[tokio::test]
async fn after_the_commit_nothing_more_is_kept() {
    let replay = Replay::new(buffer(&["ab", "cd", "ef"], 100));
    let mut first = replay.attempt();
    first.frame().await;
    replay.commit();
    assert_eq!(read(first).await, "cdef");
    assert!(!replay.is_replayable());
    assert!(lock(&replay.0).frames().is_empty());
}

#[tokio::test]
async fn what_was_peeked_is_handed_out_again() {
    let mut buffer = buffer(&["ab", "cd", "ef"], 100);
    fill(&mut buffer, 3).await;
    assert_eq!(buffer.frames().len(), 2);
    assert!(!buffer.has_ended());
    assert_eq!(read(buffer.into_body()).await, "abcdef");
}

#[tokio::test]
async fn an_empty_body_is_at_its_end_at_once() {
    let empty = ReplayBuffer::new(Guard::new(Body::empty()), 10, Arc::new(ReplayMemory::new(10)));
    assert!(empty.has_ended());
    assert!(Replay::new(empty).attempt().is_end_stream());
}

async fn collect(buffer: &mut ReplayBuffer) {
    std::future::poll_fn(|cx| buffer.poll_collect(cx)).await.unwrap();
}

#[tokio::test]
async fn requests_share_the_memory_for_replays_and_give_it_back() {
    let memory = Arc::new(ReplayMemory::new(5));
    let mut first = intake_in(&["abc"], 100, &memory);
    collect(&mut first).await;
    let first = Replay::new(first);
    assert_eq!((memory.kept(), first.is_replayable()), (3, true));

    // A stream beside it that does not fit is carried, and kept no longer than that.
    let second = Replay::new(intake_in(&["de", "fg"], 100, &memory));
    assert_eq!(read(second.attempt()).await, "defg");
    assert!(!second.is_replayable());
    assert_eq!(memory.kept(), 3);

    // So is a message, of which no more is read ahead than fits.
    let mut third = intake_in(&["hi", "jk", "lm"], 100, &memory);
    collect(&mut third).await;
    assert_eq!(third.frames().len(), 2);
    let third = Replay::new(third);
    assert_eq!(read(third.attempt()).await, "hijklm");
    assert!(!third.is_replayable());

    drop((first, second, third));
    assert_eq!((memory.kept(), memory.unkept()), (0, 2));
    let fourth = Replay::new(intake_in(&["ab", "cd"], 100, &memory));
    assert_eq!(read(fourth.attempt()).await, "abcd");
    assert!(fourth.is_replayable());
}

#[tokio::test]
async fn what_is_read_by_a_handler_here_counts_no_longer() {
    let memory = Arc::new(ReplayMemory::new(5));
    let mut peeked = intake_in(&["abc", "def"], 100, &memory);
    fill(&mut peeked, 3).await;
    assert_eq!(memory.kept(), 3);
    let body = peeked.into_body();
    assert_eq!(memory.kept(), 0);
    assert_eq!(read(body).await, "abcdef");
}

#[tokio::test]
async fn what_is_here_already_is_handed_over_without_waiting() {
    let mut buffer = buffer(&["ab", "cd"], 100);
    fill(&mut buffer, 2).await;
    let replay = Replay::new(buffer);
    let mut body = replay.attempt();
    assert_eq!(body.next_at_hand(), Some((Bytes::from_static(b"ab"), false)));
    assert_eq!(body.next_at_hand(), None, "the rest has to be waited for");
    assert_eq!(read(body).await, "cd");
    let mut again = replay.attempt();
    assert_eq!(again.next_at_hand(), Some((Bytes::from_static(b"ab"), false)));
    assert_eq!(again.next_at_hand(), Some((Bytes::from_static(b"cd"), true)));
}

/// A body that comes one byte at a time costs what one in a piece does, and is read the same by
/// every attempt.
#[tokio::test]
async fn tiny_frames_are_joined() {
    for collected in [true, false] {
        let mut buffer = buffer(&["x"; 20_000], 64 << 10);
        buffer.memory = Arc::new(ReplayMemory::new(64 << 10));
        if collected {
            std::future::poll_fn(|cx| buffer.poll_collect(cx)).await.unwrap();
            assert!(buffer.frames().len() <= 10, "{} frames", buffer.frames().len());
        }
        let replay = Replay::new(buffer);
        let mut first = replay.attempt();
        for _ in 0..3 {
            assert!(first.frame().await.unwrap().unwrap().into_data().is_ok());
        }
        drop(first);
        assert_eq!(read(replay.attempt()).await.len(), 20_000);
        assert!(lock(&replay.0).frames().len() <= 10, "collected {collected}");
        assert_eq!(read(replay.attempt()).await.len(), 20_000);
    }
}
