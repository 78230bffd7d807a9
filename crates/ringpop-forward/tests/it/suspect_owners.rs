//! What others know of an owner reaches the calls that wait for it.

use std::time::Duration;

use tokio::task::JoinHandle;
use tonic::{Code, Request, Response, Status};

use crate::common::cluster::{Node, Ring};
use crate::common::proxy::Wire;
use crate::common::service::{Ask, ONCE, Seen, Tell, UNARY, next};
use crate::common::{eventually, soon};
use ringpop_forward::{Peer, PeerState, Policy, RetryTarget};

type Call = JoinHandle<Result<Response<Tell>, Status>>;

/// A node that is asked, one that answers nothing while a test does not let it, and the next owner
/// of `k`.
struct Cluster {
    ring: Ring,
    asked: Node,
    silent: Node,
    second: Node,
}

impl Cluster {
    fn start() -> Self {
        Self::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        let ring = Ring::default();
        let asked = Node::start_with(&ring, |builder| builder.policy(policy));
        let (silent, second) = (Node::start(&ring), Node::start(&ring));
        ring.set("k", &[&silent.address, &second.address]);
        Self { ring, asked, silent, second }
    }

    fn say(&self, state: PeerState) {
        self.asked.control.set_peer_state(&Peer::new(&self.silent.address).unwrap(), state);
    }

    /// Begins a call at the silent owner.
    async fn begin(&self, method: &'static str) -> Call {
        let mut client = self.asked.client().await;
        let before = Seen::get(&self.silent.seen().begun);
        let request = Request::new(Ask::new("k", "wait"));
        let call = tokio::spawn(async move { client.unary_at(method, request).await });
        eventually("it works on it", || Seen::get(&self.silent.seen().begun) > before).await;
        call
    }
}

async fn node_of(call: Call) -> String {
    soon("call", call).await.unwrap().unwrap().into_inner().node
}

#[tokio::test]
async fn an_idempotent_call_at_an_owner_in_doubt_gets_company() {
    let cluster = Cluster::start();
    let call = cluster.begin(UNARY).await;
    cluster.second.handler.go.add_permits(1);
    cluster.say(PeerState::Doubtful);
    assert_eq!(node_of(call).await, cluster.second.address);
    let stats = cluster.asked.forwarder.stats();
    assert_eq!((stats.hedges, stats.hedges_won, stats.failed), (1, 1, 0));
    assert_eq!(cluster.second.forwarder.stats().keys_differed, 0, "it was meant for that one");
}

#[tokio::test]
async fn an_owner_that_was_doubted_wrongly_may_still_answer() {
    let cluster = Cluster::start();
    let (read, write) = (cluster.begin(UNARY).await, cluster.begin(ONCE).await);
    cluster.say(PeerState::Doubtful);
    eventually("company", || Seen::get(&cluster.second.seen().begun) == 1).await;
    cluster.silent.handler.go.add_permits(2);
    assert_eq!(node_of(read).await, cluster.silent.address);
    assert_eq!(node_of(write).await, cluster.silent.address, "nothing of it was done twice");
}

#[tokio::test]
async fn the_next_owner_may_be_this_process() {
    let cluster = Cluster::start();
    cluster.ring.set("k", &[&cluster.silent.address, &cluster.asked.address]);
    let call = cluster.begin(UNARY).await;
    cluster.asked.handler.go.add_permits(1);
    cluster.say(PeerState::Doubtful);
    assert_eq!(node_of(call).await, cluster.asked.address);
}

#[tokio::test]
async fn company_that_falls_silent_gets_company_too() {
    let cluster = Cluster::start();
    let third = Node::start(&cluster.ring);
    cluster.ring.set("k", &[&cluster.silent.address, &cluster.second.address, &third.address]);
    let call = cluster.begin(UNARY).await;
    cluster.say(PeerState::Doubtful);
    eventually("company", || Seen::get(&cluster.second.seen().begun) == 1).await;
    third.handler.go.add_permits(1);
    let second = Peer::new(&cluster.second.address).unwrap();
    cluster.asked.control.set_peer_state(&second, PeerState::Doubtful);
    assert_eq!(node_of(call).await, third.address);
}

#[tokio::test]
async fn every_attempt_at_an_owner_that_is_gone_ends_at_once() {
    let cluster = Cluster::start();
    let (read, write) = (cluster.begin(UNARY).await, cluster.begin(ONCE).await);
    let mut client = cluster.asked.client().await;
    let stream = client.download(Ask::new("k", "1 then hang")).await.unwrap();
    let mut stream = stream.into_inner();
    next(&mut stream).await.unwrap().unwrap();
    cluster.second.handler.go.add_permits(1);
    cluster.say(PeerState::Gone);
    assert_eq!(node_of(read).await, cluster.second.address);
    let status = soon("write", write).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(&cluster.silent.address), "{status:?}");
    assert!(status.message().contains("counts as dead"), "{status:?}");
    assert!(status.message().contains("may have been executed"), "{status:?}");
    let status = next(&mut stream).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    eventually("its handlers are told", || Seen::get(&cluster.silent.seen().cancelled) == 3).await;
}

#[tokio::test]
async fn new_calls_go_past_an_owner_in_doubt_until_it_answers_or_is_good_again() {
    let cluster = Cluster::start();
    let waiting = cluster.begin(ONCE).await;
    cluster.say(PeerState::Doubtful);
    let mut client = cluster.asked.client().await;
    for method in [UNARY, ONCE] {
        let tell = client.unary_at(method, Ask::new("k", "")).await.unwrap().into_inner();
        assert_eq!(tell.node, cluster.second.address, "nothing of it was sent");
    }
    assert_eq!(cluster.asked.forwarder.stats().doubtful_skips, 2);
    // A call that was under way is answered, which is better evidence than the doubt.
    cluster.silent.handler.go.add_permits(1);
    assert_eq!(node_of(waiting).await, cluster.silent.address);
    let tell = client.unary(Ask::new("k", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, cluster.silent.address);
    // The proof is old after a second.
    let proof_is_old = async {
        while client.unary(Ask::new("other", "")).await.is_ok() {}
        tokio::time::sleep(Duration::from_millis(1100)).await;
    };
    soon("a while", proof_is_old).await;
    let tell = client.unary_at(ONCE, Ask::new("k", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, cluster.second.address);
    cluster.say(PeerState::Good);
    let tell = client.unary_at(ONCE, Ask::new("k", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, cluster.silent.address);
}

#[tokio::test]
async fn an_owner_in_doubt_is_asked_when_there_is_nobody_else() {
    let cluster = Cluster::start();
    cluster.ring.set("alone", &[&cluster.silent.address]);
    cluster.say(PeerState::Doubtful);
    let tell = cluster.asked.client().await.unary_at(ONCE, Ask::new("alone", "")).await;
    assert_eq!(tell.unwrap().into_inner().node, cluster.silent.address);
    // And when all of them are in doubt.
    let second = Peer::new(&cluster.second.address).unwrap();
    cluster.asked.control.set_peer_state(&second, PeerState::Doubtful);
    let tell = cluster.asked.client().await.unary_at(ONCE, Ask::new("k", "")).await;
    assert_eq!(tell.unwrap().into_inner().node, cluster.silent.address);
}

#[tokio::test]
async fn state_that_must_not_be_in_two_places_stays_with_its_owner() {
    let cluster = Cluster::with(Policy::default().target(RetryTarget::Reroute));
    let call = cluster.begin(UNARY).await;
    cluster.say(PeerState::Doubtful);
    let tell = cluster.asked.client().await.unary(Ask::new("k", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, cluster.silent.address);
    cluster.silent.handler.go.add_permits(1);
    assert_eq!(node_of(call).await, cluster.silent.address);
    assert_eq!(Seen::get(&cluster.second.seen().begun), 0);
}

/// A host that is cut off: its connections stay open and nothing comes through.
#[tokio::test]
async fn a_host_that_is_cut_off_costs_no_idempotent_call() {
    let ring = Ring::default();
    let own = Ring::default();
    let (asked, silent, second) = (Node::start(&ring), Node::start(&own), Node::start(&ring));
    let wire = Wire::to(&silent.address).await;
    own.set("k", &[&silent.address]);
    ring.set("k", &[&wire.address, &second.address]);
    let mut client = asked.client().await;
    let tell = client.unary(Ask::new("k", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, silent.address);
    wire.hold();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary(Ask::new("k", "")).await })
        })
        .collect();
    eventually("they wait", || asked.forwarder.stats().in_flight == 20).await;
    asked.control.set_peer_state(&Peer::new(&wire.address).unwrap(), PeerState::Doubtful);
    for call in calls {
        assert_eq!(node_of(call).await, second.address);
    }
}
