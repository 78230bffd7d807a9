//! A slow owner of a call that may be executed twice gets company, and the first good answer
//! counts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

use crate::common::cluster::{Node, Ring, dead_address};
use crate::common::service::{Ask, ONCE, Seen, Tell, UNARY};
use crate::common::{eventually, soon};
use ringpop_forward::{AttemptEnd, ForwardEvent, Observer, Policy};

/// Shorter than any test, so a call that can be hedged is.
const DELAY: Duration = Duration::from_millis(5);

fn hedging(ring: &Ring) -> Node {
    Node::start_with(ring, |builder| builder.policy(Policy::default().hedge_after(DELAY)))
}

type Call = JoinHandle<Result<Response<Tell>, Status>>;

/// Begins a call whose handler waits until its node lets one go.
async fn begin(node: &Node, method: &'static str, request: Request<Ask>) -> Call {
    let mut client = node.client().await;
    tokio::spawn(async move { client.unary_at(method, request).await })
}

fn wait(key: &str) -> Request<Ask> {
    Request::new(Ask::new(key, "wait"))
}

#[tokio::test]
async fn a_slow_owner_is_overtaken_and_its_handler_cancelled() {
    let ring = Ring::default();
    let (asked, slow, second) = (hedging(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&slow.address, &second.address]);
    let call = begin(&asked, UNARY, wait("k")).await;
    eventually("the slow owner works on it", || Seen::get(&slow.seen().begun) == 1).await;
    second.handler.go.add_permits(1);
    // Handled where it was sent, although the key belongs elsewhere.
    assert_eq!(soon("call", call).await.unwrap().unwrap().into_inner().node, second.address);
    assert_eq!(second.seen().header("grpc-previous-rpc-attempts").unwrap(), "1");
    eventually("the slow handler is cancelled", || Seen::get(&slow.seen().cancelled) == 1).await;
    let stats = asked.forwarder.stats();
    assert_eq!((stats.hedges, stats.hedges_won, stats.forwarded), (1, 1, 1));
    assert_eq!((stats.retries_ambiguous, stats.retries_unanswered, stats.failed), (0, 0, 0));
}

#[tokio::test]
async fn an_owner_that_answers_after_all_wins() {
    let ring = Ring::default();
    let (asked, slow, second) = (hedging(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&slow.address, &second.address]);
    let call = begin(&asked, UNARY, wait("k")).await;
    eventually("the hedge runs", || Seen::get(&second.seen().begun) == 1).await;
    slow.handler.go.add_permits(1);
    assert_eq!(soon("call", call).await.unwrap().unwrap().into_inner().node, slow.address);
    eventually("the hedge is cancelled", || Seen::get(&second.seen().cancelled) == 1).await;
    let stats = asked.forwarder.stats();
    assert_eq!((stats.hedges, stats.hedges_won, stats.forwarded), (1, 0, 1));
}

#[tokio::test]
async fn what_must_not_run_twice_is_not_hedged() {
    let ring = Ring::default();
    let (asked, slow, second) = (hedging(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&slow.address, &second.address]);
    let careful = begin(&asked, ONCE, wait("k")).await;
    eventually("it runs", || Seen::get(&slow.seen().begun) == 1).await;
    let mut client = asked.client().await;
    let stream = client.download(Ask::new("k", "1 then hang")).await.unwrap();
    // A call that can be hedged begins later and is hedged.
    let read = begin(&asked, UNARY, wait("k")).await;
    eventually("the read is hedged", || Seen::get(&second.seen().begun) == 1).await;
    second.handler.go.add_permits(1);
    soon("read", read).await.unwrap().unwrap();
    assert_eq!((asked.forwarder.stats().hedges, Seen::get(&second.seen().begun)), (1, 1));
    slow.handler.go.add_permits(1);
    assert_eq!(soon("call", careful).await.unwrap().unwrap().into_inner().node, slow.address);
    drop(stream);
    // The caller may say of one call what the table does not say of its method.
    let mut request = wait("k");
    request.metadata_mut().insert("ringpop-idempotent", "1".parse().unwrap());
    second.handler.go.add_permits(1);
    let call = begin(&asked, ONCE, request).await;
    assert_eq!(soon("call", call).await.unwrap().unwrap().into_inner().node, second.address);
}

#[tokio::test]
async fn a_message_that_is_not_kept_is_not_hedged() {
    let ring = Ring::default();
    let policy = Policy::default().hedge_after(DELAY);
    let asked = Node::start_with(&ring, |builder| builder.policy(policy).replay_limit(1024));
    let (slow, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&slow.address, &second.address]);
    let large = Request::new(Ask::new("k", "wait").with(vec![0; 100_000]));
    let large = begin(&asked, UNARY, large).await;
    eventually("it runs", || Seen::get(&slow.seen().begun) == 1).await;
    let small = begin(&asked, UNARY, wait("k")).await;
    eventually("the small one is hedged", || Seen::get(&second.seen().begun) == 1).await;
    slow.handler.go.add_permits(2);
    for call in [large, small] {
        soon("call", call).await.unwrap().unwrap();
    }
    assert_eq!(asked.forwarder.stats().hedges, 1);
}

#[tokio::test]
async fn without_tokens_nothing_is_hedged_and_that_is_counted() {
    let ring = Ring::default();
    let policy = Policy::default().hedge_after(DELAY).retry_tokens(0);
    let asked = Node::start_with(&ring, |builder| builder.policy(policy));
    let (slow, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&slow.address, &second.address]);
    let call = begin(&asked, UNARY, wait("k")).await;
    eventually("a hedge is not paid for", || asked.forwarder.stats().hedges_unaffordable == 1)
        .await;
    slow.handler.go.add_permits(1);
    assert_eq!(soon("call", call).await.unwrap().unwrap().into_inner().node, slow.address);
    assert_eq!((asked.forwarder.stats().hedges, Seen::get(&second.seen().begun)), (0, 0));
}

#[tokio::test]
async fn a_hedge_that_fails_leaves_the_call_to_the_owner() {
    let ring = Ring::default();
    let (asked, slow) = (hedging(&ring), Node::start(&ring));
    // The process itself is passed over: the third owner is nobody's, either.
    ring.set("k", &[&slow.address, &asked.address, &dead_address()]);
    let call = begin(&asked, UNARY, wait("k")).await;
    eventually("the hedge failed", || asked.forwarder.stats().dial_failures > 0).await;
    slow.handler.go.add_permits(1);
    assert_eq!(soon("call", call).await.unwrap().unwrap().into_inner().node, slow.address);
    let stats = asked.forwarder.stats();
    assert_eq!((stats.hedges, stats.hedges_won, stats.local), (1, 0, 0));
    assert_eq!((stats.retries_never_sent, stats.failed), (0, 0));
}

#[tokio::test]
async fn an_owner_that_dies_leaves_the_call_to_its_hedge() {
    let ring = Ring::default();
    let (asked, mut slow, second) = (hedging(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&slow.address, &second.address]);
    let call = begin(&asked, UNARY, wait("k")).await;
    eventually("the hedge runs", || Seen::get(&second.seen().begun) == 1).await;
    slow.kill();
    second.handler.go.add_permits(1);
    assert_eq!(soon("call", call).await.unwrap().unwrap().into_inner().node, second.address);
    assert_eq!(Seen::get(&second.seen().begun), 1, "the hedge was the other attempt");
}

/// Members on the way do not hedge, or hedges would multiply.
#[tokio::test]
async fn only_the_member_that_was_asked_hedges() {
    let (stale, fresh) = (Ring::default(), Ring::default());
    let asked = hedging(&stale);
    let (middle, slow, second) = (hedging(&fresh), Node::start(&fresh), Node::start(&fresh));
    stale.set("k", &[&middle.address]);
    fresh.set("k", &[&slow.address, &second.address]);
    fresh.set("own", &[&slow.address, &second.address]);
    let travelling = begin(&asked, UNARY, wait("k")).await;
    eventually("it arrived", || Seen::get(&slow.seen().begun) == 1).await;
    let own = begin(&middle, UNARY, wait("own")).await;
    eventually("its own call is hedged", || Seen::get(&second.seen().begun) == 1).await;
    slow.handler.go.add_permits(2);
    for call in [travelling, own] {
        soon("call", call).await.unwrap().unwrap();
    }
    assert_eq!((middle.forwarder.stats().hedges, asked.forwarder.stats().hedges), (1, 0));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Observer for Log {
    fn event(&self, event: &ForwardEvent<'_>) {
        let text = match *event {
            ForwardEvent::Sent { peer, attempt, .. } => {
                format!("sent {} {attempt}", peer.address())
            }
            ForwardEvent::AttemptEnded { attempt, end: AttemptEnd::Abandoned, .. } => {
                format!("abandoned {attempt}")
            }
            ForwardEvent::AttemptEnded { attempt, .. } => format!("ended {attempt}"),
            ForwardEvent::Forwarded { attempts, .. } => format!("forwarded {attempts}"),
            ForwardEvent::Placed { .. } => return,
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

#[tokio::test]
async fn an_observer_hears_of_the_race() {
    let ring = Ring::default();
    let log = Log::default();
    let observer = log.clone();
    let asked = Node::start_with(&ring, |builder| {
        builder.observer(observer).policy(Policy::default().hedge_after(DELAY))
    });
    let (slow, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&slow.address, &second.address]);
    second.handler.go.add_permits(1);
    let call = begin(&asked, UNARY, wait("k")).await;
    soon("call", call).await.unwrap().unwrap();
    let hedged = format!("Hedged {{ method: {UNARY:?} }}");
    let won = format!("HedgeWon {{ method: {UNARY:?} }}");
    let (first, beside) =
        (format!("sent {} 1", slow.address), format!("sent {} 2", second.address));
    let heard = log.0.lock().unwrap().clone();
    assert_eq!(heard[..4], [first, hedged, beside, "ended 2".to_owned()]);
    let mut end = heard[4..].to_vec();
    end.sort();
    assert_eq!(end, [won, "abandoned 1".to_owned(), "forwarded 2".to_owned()]);
}
