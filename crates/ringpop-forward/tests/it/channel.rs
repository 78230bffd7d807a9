//! Clients that are no members: a channel that picks a backend by key.

use std::collections::HashSet;

use tonic::{Code, Request};

use crate::common::cluster::{Node, Ring, builder, dead_address, routes};
use crate::common::service::{Ask, ONCE, TestClient, UNROUTED, all};
use ringpop_forward::{Forwarder, Owner, StaticResolver};

#[tokio::test]
async fn each_call_goes_to_the_backend_of_its_key() {
    let ring = Ring::default();
    let (first, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("1", &[&first.address]);
    ring.set("2", &[&second.address]);
    let channel = builder("client", &ring).build().unwrap().channel();
    let mut client = TestClient::new(channel.clone());
    for (key, node) in [("1", &first), ("2", &second)] {
        assert_eq!(client.unary(Ask::new(key, "")).await.unwrap().into_inner().node, node.address);
        let tells = client.download(Ask::new(key, "3")).await.unwrap().into_inner();
        assert!(all(tells).await.iter().all(|tell| tell.node == node.address));
        let asks = (0..3).map(move |_| Ask::new(key, ""));
        let tell = client.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
        assert_eq!(tell.node, node.address);
    }
    let mut fixed = TestClient::new(channel.with_key("2"));
    assert_eq!(fixed.unary(Ask::new("1", "")).await.unwrap().into_inner().node, second.address);
    // A client is no member: what it sends begins its journey where it arrives.
    let stats = second.forwarder.stats();
    assert_eq!((stats.keys_differed, stats.bad_hop_headers), (0, 0));
}

#[tokio::test]
async fn calls_without_a_key_or_a_route_go_to_any_backend() {
    let nodes = [Node::start(&Ring::default()), Node::start(&Ring::default())];
    let resolver = StaticResolver::remote(nodes.each_ref().map(|node| node.address.as_str()));
    let forwarder = Forwarder::builder(resolver.unwrap()).routes(routes()).build().unwrap();
    let mut client = TestClient::new(forwarder.channel());
    let mut answered = HashSet::new();
    // Both backends have half of the keys each; that 64 random ones are all on one side is not to
    // be expected.
    for _ in 0..64 {
        let tell = client.unary_at(UNROUTED, Ask::new("", "")).await.unwrap().into_inner();
        answered.insert(tell.node);
    }
    assert_eq!(answered.len(), 2);
    // The backends themselves insist on a key.
    assert_eq!(client.unary(Ask::new("", "")).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_dead_backend_is_followed_by_the_next() {
    let (ring, own) = (Ring::default(), Ring::default());
    let second = Node::start(&own);
    ring.set("k", &[&dead_address(), &second.address]);
    own.set("k", &[&second.address]);
    let channel = builder("client", &ring).build().unwrap().channel();
    let mut client = TestClient::new(channel.clone());
    let tell = client.unary_at(ONCE, Ask::new("k", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, second.address);
    assert_eq!(channel.forwarder().stats().retries_never_sent, 1);
}

#[tokio::test]
async fn a_channel_that_would_have_to_serve_says_what_is_wrong() {
    let resolver = StaticResolver::from_fn(|_, _, owners| owners.push(Owner::Local));
    let forwarder = Forwarder::builder(resolver).routes(routes()).build().unwrap();
    let mut client = TestClient::new(forwarder.channel());
    let status = client.unary(Request::new(Ask::new("k", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("a channel serves nothing"), "{status:?}");
}

#[cfg(feature = "hashring")]
mod selection {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use hashring::{BackendRecord, HealthConfig, Selector};
    use ringpop_forward::{Policy, Resolver, RingChannel, Schedule, SelectorResolver};

    use super::*;
    use crate::common::service::{Seen, UNARY};

    const WINDOW: Duration = Duration::from_secs(3600);

    fn select(addresses: &[&str]) -> (Arc<Selector>, RingChannel) {
        let health = HealthConfig::default().with_threshold(2).with_window(WINDOW);
        let selector = Arc::new(Selector::builder().health(health).build(Instant::now()).unwrap());
        replace(&selector, addresses);
        let resolver = SelectorResolver::new(Arc::clone(&selector));
        // Rounds over owners that all fail are not waited for.
        let policy = Policy::default().schedule(Schedule::new([]));
        let builder = Forwarder::builder(resolver).routes(routes()).policy(policy);
        (selector, builder.build().unwrap().channel())
    }

    fn replace(selector: &Selector, addresses: &[&str]) {
        let records = addresses.iter().map(|address| BackendRecord::new(*address, *address));
        selector.replace_backends(records).unwrap();
    }

    /// A backend that is no member of anything: whatever comes is its own.
    fn backend() -> Node {
        Node::start_with(&Ring::default(), |builder| builder.routes(Default::default()))
    }

    #[tokio::test]
    async fn a_backend_that_dies_is_quarantined_and_its_keys_move_on_without_an_error() {
        let mut nodes = [backend(), backend(), backend()];
        let (selector, channel) = select(&nodes.each_ref().map(|node| node.address.as_str()));
        let mut client = TestClient::new(channel.clone());
        let mut homes = Vec::new();
        for key in 0..60 {
            let tell = client.unary(Ask::new(&key.to_string(), "")).await.unwrap().into_inner();
            homes.push(tell.node);
        }
        nodes[0].kill();
        let dead = nodes[0].address.clone();
        let is_quarantined = || {
            let ring = selector.ring();
            ring.node(&dead).unwrap().data().health().is_quarantined(Instant::now())
        };
        assert!(!is_quarantined());
        for (key, home) in homes.iter().enumerate() {
            let call = client.unary(Ask::new(&key.to_string(), ""));
            let tell = call.await.unwrap().into_inner();
            assert_ne!(tell.node, dead);
            assert!(*home == dead || tell.node == *home, "no other key moves");
        }
        assert!(is_quarantined());
        // Nobody asks it any more.
        let dials = channel.forwarder().stats().dial_failures;
        for key in 0..60 {
            client.unary(Ask::new(&key.to_string(), "")).await.unwrap();
        }
        assert_eq!(channel.forwarder().stats().dial_failures, dials);
    }

    fn is_quarantined(selector: &Selector, id: &str) -> bool {
        let ring = selector.ring();
        ring.node(id).unwrap().data().health().is_quarantined(Instant::now())
    }

    /// Keys whose first backend is `id`.
    fn keys_of<'a>(selector: &'a Selector, id: &'a str) -> impl Iterator<Item = String> + 'a {
        let is_first = move |key: &String| {
            selector.ring().lookup(key.as_bytes()).is_some_and(|node| node.id() == id)
        };
        (0..).map(|i| format!("key-{i}")).filter(is_first)
    }

    #[tokio::test]
    async fn an_answer_clears_the_failures_before_it() {
        let (node, other) = (backend(), backend());
        let (selector, channel) = select(&[&node.address, &other.address]);
        let mut client = TestClient::new(channel);
        let mut keys = keys_of(&selector, &node.address);
        let mut once = |order| Ask::new(&keys.next().unwrap(), order);
        for _ in 0..3 {
            client.unary_at(ONCE, once("unavailable")).await.unwrap_err();
            // An error of the handler is an answer.
            client.unary_at(ONCE, once("fail")).await.unwrap_err();
        }
        assert!(!is_quarantined(&selector, &node.address));
        for _ in 0..2 {
            client.unary_at(ONCE, once("unavailable")).await.unwrap_err();
        }
        assert!(is_quarantined(&selector, &node.address));
        let tell = client.unary_at(ONCE, once("")).await.unwrap().into_inner();
        assert_eq!(tell.node, other.address);
        assert_eq!(Seen::get(&node.seen().begun), 8);
    }

    #[tokio::test]
    async fn the_only_backend_is_never_quarantined() {
        let node = backend();
        let (selector, channel) = select(&[&node.address]);
        let mut client = TestClient::new(channel);
        for key in 0..10 {
            let ask = Ask::new(&key.to_string(), "unavailable");
            client.unary_at(ONCE, ask).await.unwrap_err();
        }
        assert!(!is_quarantined(&selector, &node.address));
        assert!(selector.quarantines_withheld() > 0, "it is counted");
    }

    /// A key whose handler fails wherever it runs says nothing about where it runs.
    #[tokio::test]
    async fn one_bad_key_moves_no_other_keys() {
        let nodes: Vec<_> = (0..6).map(|_| backend()).collect();
        let addresses: Vec<_> = nodes.iter().map(|node| node.address.as_str()).collect();
        for (path, good_between) in [(ONCE, 0), (UNARY, 0), (ONCE, 1), (UNARY, 10)] {
            let (selector, channel) = select(&addresses);
            let mut client = TestClient::new(channel);
            let mut good = (0..).map(|i| format!("good-{i}"));
            for _ in 0..20 {
                client.unary_at(path, Ask::new("poison", "unavailable")).await.unwrap_err();
                for key in good.by_ref().take(good_between) {
                    let home = selector.ring().lookup(key.as_bytes()).unwrap().id().to_owned();
                    let tell = client.unary_at(ONCE, Ask::new(&key, "")).await.unwrap();
                    assert_eq!(tell.into_inner().node, home, "{path} {good_between}");
                }
            }
            let gone: Vec<_> =
                addresses.iter().filter(|id| is_quarantined(&selector, id)).collect();
            assert!(gone.is_empty(), "{path} {good_between}: {gone:?}");
        }
    }

    /// Many bad keys look like bad backends, so the bound is what helps.
    #[tokio::test]
    async fn many_bad_keys_take_a_part_of_the_backends_at_most() {
        let nodes: Vec<_> = (0..6).map(|_| backend()).collect();
        let addresses: Vec<_> = nodes.iter().map(|node| node.address.as_str()).collect();
        let (selector, channel) = select(&addresses);
        let mut client = TestClient::new(channel);
        for key in 0..60 {
            let ask = Ask::new(&format!("bad-{key}"), "unavailable");
            client.unary_at(ONCE, ask).await.unwrap_err();
        }
        let gone = addresses.iter().filter(|id| is_quarantined(&selector, id)).count();
        assert_eq!(gone, 1);
    }

    /// A refusal is no failure: who is about to stop, or has enough to do, is well.
    #[tokio::test]
    async fn a_backend_that_refuses_is_not_quarantined_for_it() {
        let ring = Ring::default();
        let refusing = Node::start(&ring);
        let other = backend();
        let (selector, channel) = select(&[&refusing.address, &other.address]);
        refusing.control.refuse_new_work();
        let mut client = TestClient::new(channel);
        for key in keys_of(&selector, &refusing.address).take(6) {
            let tell = client.unary_at(ONCE, Ask::new(&key, "")).await.unwrap().into_inner();
            assert_eq!(tell.node, other.address);
        }
        assert!(!is_quarantined(&selector, &refusing.address));
    }

    #[tokio::test]
    async fn several_ids_at_one_address_are_one_owner_and_the_one_that_was_asked_is_charged() {
        let (dead, live) = (dead_address(), backend());
        let (selector, channel) = select(&[]);
        let twins = ["a", "b", "c"].map(|id| BackendRecord::new(id, dead.as_str()));
        let live_one = BackendRecord::new("d", live.address.as_str());
        selector.replace_backends(twins.into_iter().chain([live_one])).unwrap();
        let resolver = SelectorResolver::new(Arc::clone(&selector));
        let mut client = TestClient::new(channel);
        for id in ["a", "b", "c"] {
            let mut keys = keys_of(&selector, id);
            let mut owners = ringpop_forward::Owners::new();
            let key = keys.next().unwrap();
            resolver.owners(key.as_bytes(), 3, &mut owners);
            let peers: Vec<_> = owners
                .iter()
                .map(|owner| match owner {
                    Owner::Remote(peer) => (peer.id().unwrap(), peer.address()),
                    Owner::Local => unreachable!("a client owns nothing"),
                })
                .collect();
            assert_eq!(peers, [(id, dead.as_str()), ("d", live.address.as_str())]);
        }
        // Every one of them is asked, and each failure is its own.
        let failures = |id: &str| {
            let ring = selector.ring();
            format!("{:?}", ring.node(id).unwrap().data().health())
        };
        let clean = failures("d");
        for id in ["a", "b", "c"] {
            assert_eq!(failures(id), clean, "{id} was not asked yet");
            let key = keys_of(&selector, id).next().unwrap();
            client.unary(Ask::new(&key, "")).await.unwrap();
            assert_ne!(failures(id), clean, "{id} was asked");
        }
    }

    #[tokio::test]
    async fn new_backends_are_used_and_gone_ones_are_not() {
        let (old, new) = (backend(), backend());
        let (selector, channel) = select(&[&old.address]);
        let mut client = TestClient::new(channel.clone());
        assert_eq!(client.unary(Ask::new("k", "")).await.unwrap().into_inner().node, old.address);
        replace(&selector, &[&new.address]);
        assert_eq!(client.unary(Ask::new("k", "")).await.unwrap().into_inner().node, new.address);
        replace(&selector, &[]);
        let status = client.unary(Ask::new("k", "")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("no owner is known"), "{status:?}");
    }

    #[test]
    fn what_is_remembered_of_backends_does_not_only_grow() {
        let selector = Arc::new(Selector::builder().build(Instant::now()).unwrap());
        let resolver = SelectorResolver::new(Arc::clone(&selector));
        for round in 0..50 {
            replace(&selector, &[&format!("10.0.0.1:{}", 1000 + round)]);
            let mut owners = ringpop_forward::Owners::new();
            resolver.owners(b"k", 3, &mut owners);
            assert_eq!(owners.len(), 1);
            let shown = format!("{resolver:?}");
            assert!((0..=3).any(|known| shown.contains(&format!("known: {known},"))), "{shown}");
        }
    }
}
