//! What happens to calls can be seen: by an observer, in response metadata, and in the traces of
//! callers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tonic::{Code, Request};

use crate::common::cluster::{Node, Ring, dead_address};
use crate::common::service::{Ask, ONCE, TestClient, TestServer, UNROUTED, within};
use crate::common::{eventually, soon};
use ringpop_forward::{
    AttemptEnd, Explain, ForwardEvent, Key, MissingKey, Observer, Policy, Routes,
};

/// Writes every event down as a word or two.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Observer for Log {
    fn event(&self, event: &ForwardEvent<'_>) {
        let text = match *event {
            ForwardEvent::Received { method, hops } => format!("received {method} {hops}"),
            ForwardEvent::Handled { method, hops } => format!("handled {method} {hops}"),
            ForwardEvent::Sent { peer, attempt, .. } => {
                format!("sent {} {attempt}", peer.address())
            }
            ForwardEvent::AttemptEnded { attempt, took, end, .. } => {
                assert!(took < crate::common::PATIENCE);
                match end {
                    AttemptEnd::Failed(class) => format!("ended {attempt} {class:?}"),
                    end => format!("ended {attempt} {end:?}"),
                }
            }
            ForwardEvent::Retried { class, to } => format!("retried {class:?} {to:?}"),
            ForwardEvent::NotRetried { class, reason } => format!("not retried {class:?} {reason}"),
            ForwardEvent::Forwarded { attempts, .. } => format!("forwarded {attempts}"),
            ForwardEvent::Failed { attempts, exhausted, .. } => {
                format!("failed {attempts} {exhausted}")
            }
            // It has a test of its own.
            ForwardEvent::Placed { .. } => return,
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn observed(ring: &Ring) -> (Node, Log) {
    let log = Log::default();
    let observer = log.clone();
    (Node::start_with(ring, |builder| builder.observer(observer)), log)
}

#[tokio::test]
async fn an_observer_hears_of_every_step() {
    let ring = Ring::default();
    let ((asked, log), (owner, seen_by_owner)) = (observed(&ring), observed(&ring));
    let dead = dead_address();
    ring.set("mine", &[&asked.address]);
    ring.set("k", &[&dead, &owner.address]);
    ring.set("lost", &[&dead, &asked.address]);
    let mut client = asked.client().await;
    client.unary_at(ONCE, Ask::new("mine", "")).await.unwrap();
    assert_eq!(log.take(), [format!("handled {ONCE} 0")]);
    client.unary_at(ONCE, Ask::new("k", "")).await.unwrap();
    let expected = [
        format!("sent {dead} 1"),
        "ended 1 NeverSent".to_owned(),
        "retried NeverSent OtherOwner".to_owned(),
        format!("sent {} 2", owner.address),
        "ended 2 Answered".to_owned(),
        "forwarded 2".to_owned(),
    ];
    assert_eq!(log.take(), expected);
    let expected = [format!("received {ONCE} 1"), format!("handled {ONCE} 1")];
    assert_eq!(seen_by_owner.take(), expected);
    client.unary_at(ONCE, Ask::new("lost", "")).await.unwrap();
    assert_eq!(log.take()[2..], ["retried NeverSent Here".to_owned(), format!("handled {ONCE} 0")]);
    client.unary_at(ONCE, Ask::new("", "")).await.unwrap_err();
    client.unary_at(UNROUTED, Ask::new("k", "")).await.unwrap();
    assert_eq!(log.take(), ["BadKey"]);
}

/// The keys of calls, and whether each is handled here.
type KeysWithPlaces = Vec<(Vec<u8>, bool)>;

#[derive(Clone, Default)]
struct Placed(Arc<Mutex<KeysWithPlaces>>);

impl Observer for Placed {
    fn event(&self, event: &ForwardEvent<'_>) {
        if let ForwardEvent::Placed { key, here } = event {
            self.0.lock().unwrap().push((key.to_vec(), *here));
        }
    }
}

#[tokio::test]
async fn each_key_is_told_once_by_each_process_with_its_place() {
    let ring = Ring::default();
    let [placed, by_owner] = [Placed::default(), Placed::default()];
    let (one, other) = (placed.clone(), by_owner.clone());
    let asked = Node::start_with(&ring, |builder| builder.observer(one));
    let owner = Node::start_with(&ring, |builder| builder.observer(other));
    ring.set("mine", &[&asked.address]);
    ring.set("theirs", &[&owner.address]);
    let mut client = asked.client().await;
    for key in ["mine", "theirs"] {
        client.unary_at(ONCE, Ask::new(key, "")).await.unwrap();
    }
    client.unary_at(ONCE, Ask::new("", "")).await.unwrap_err();
    client.unary_at(UNROUTED, Ask::new("mine", "")).await.unwrap();
    let told = |placed: &Placed| std::mem::take(&mut *placed.0.lock().unwrap());
    assert_eq!(told(&placed), [(b"mine".to_vec(), true), (b"theirs".to_vec(), false)]);
    assert_eq!(told(&by_owner), [(b"theirs".to_vec(), true)]);
}

/// An owner that takes calls and answers none.
async fn silent() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut calls = Vec::new();
        while let Some(Ok(call)) = connection.accept().await {
            calls.push(call);
        }
    });
    address
}

#[tokio::test]
async fn failures_and_refusals_are_heard_as_well() {
    let (ring, other) = (Ring::default(), Ring::default());
    let log = Log::default();
    let observer = log.clone();
    let asked = Node::start_with(&ring, |builder| {
        builder.observer(observer).policy(Policy::default().max_attempts(1))
    });
    let (owner, seen_by_owner) = observed(&other);
    ring.set("dead", &[&dead_address()]);
    ring.set("k", &[&owner.address]);
    ring.set("silent", &[&silent().await]);
    ring.set_epoch(1);
    other.set_epoch(2);
    let mut client = asked.client().await;
    client.unary(Ask::new("dead", "")).await.unwrap_err();
    let last = "not retried NeverSent attempts-spent";
    assert_eq!(log.take()[1..], ["ended 1 NeverSent", last, "failed 1 true"]);
    client.unary(Ask::new("k", "")).await.unwrap_err();
    let last = "not retried Refused attempts-spent";
    assert_eq!(log.take()[1..], ["ended 1 Refused", last, "forwarded 1"]);
    let expected = ["RingDiffers", "received", "KeyDiffers", "Refused { reason: \"not-owner\" }"];
    for (heard, expected) in seen_by_owner.take().iter().zip(expected) {
        assert!(heard.starts_with(expected), "{heard} should be {expected}");
    }
    // Neither through a tonic channel nor at a member, whose own timers may be the first.
    let mut door = TestClient::new(asked.forwarder.client(TestServer(asked.handler.clone())));
    let status = door.unary(within(Ask::new("silent", ""), Duration::from_millis(100))).await;
    assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    eventually("the end was told", || log.0.lock().unwrap().len() == 3).await;
    let mut heard = log.take();
    heard.sort();
    assert_eq!(heard[..2], ["ended 1 Abandoned", "failed 0 false"]);
    asked.control.refuse_new_work();
    client.unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(log.take(), ["Refused { reason: \"draining\" }"]);
}

#[tokio::test]
async fn callers_cannot_invent_names_for_figures() {
    let ring = Ring::default();
    let log = Log::default();
    let observer = log.clone();
    let any_path = Routes::new().any_head(|head| Some(Key::from(head.uri.path())));
    let node = Node::start_with(&ring, |builder| {
        builder.routes(any_path).observer(observer).missing_key(MissingKey::Local)
    });
    ring.set(UNROUTED, &[&node.address]);
    node.client().await.unary_at(UNROUTED, Ask::new("", "")).await.unwrap();
    assert_eq!(log.take(), ["handled _OTHER 0"]);
}

#[tokio::test]
async fn the_context_of_a_trace_arrives_as_it_was_sent() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&dead_address(), &owner.address]);
    let context = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
        ("baggage", "user=alice"),
    ];
    let mut request = Request::new(Ask::new("k", ""));
    for (name, value) in context {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    soon("call", asked.client().await.unary(request)).await.unwrap();
    for (name, value) in context {
        assert_eq!(owner.seen().header(name).as_deref(), Some(value));
    }
}

#[tokio::test]
async fn who_handled_a_call_is_told_to_those_who_may_know() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    ring.set("k", &[&owner.address]);
    let told = async |explain: Explain, asks: bool| {
        let asked = Node::start_with(&ring, |builder| builder.explain(explain));
        let mut request = Request::new(Ask::new("k", ""));
        if asks {
            request.metadata_mut().insert("ringpop-explain", "1".parse().unwrap());
        }
        let response = asked.client().await.unary(request).await.unwrap();
        let read =
            |name: &str| response.metadata().get(name).map(|v| v.to_str().unwrap().to_owned());
        read("ringpop-handled-by").zip(read("ringpop-hops"))
    };
    let answer = Some((owner.address.clone(), "1".to_owned()));
    assert_eq!(told(Explain::Never, true).await, None);
    assert_eq!(told(Explain::OnRequest, false).await, None);
    assert_eq!(told(Explain::OnRequest, true).await, answer);
    assert_eq!(told(Explain::Always, false).await, answer);
}
