//! How keys are placed on members, and a change of that while the cluster runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ringpop::hashring::{LoadBound, Node, Placement as _};
use ringpop::swim::Config;
use ringpop::{BindError, OwnLabelError, PlacementChoice, Problem, Ringpop, View};
use tokio::time::{sleep, timeout};
use tonic::service::Routes as Services;

use crate::echo::{Echo, builder, peers};

const PATIENCE: Duration = Duration::from_secs(120);
const RENDEZVOUS: PlacementChoice = PlacementChoice::Rendezvous;

const fn ring(points: u32) -> PlacementChoice {
    PlacementChoice::Ring { points }
}

const fn local(points: u32) -> PlacementChoice {
    PlacementChoice::LocalRendezvous { points }
}

/// A member of this identity that has joined those that are there.
async fn start(
    members: &[Ringpop],
    identity: &str,
    weight: u32,
    placement: PlacementChoice,
) -> Ringpop {
    let mut builder = builder().identity(identity).weight(weight).placement(placement);
    builder = builder.lame_duck(Duration::ZERO);
    if !members.is_empty() {
        builder = builder.discovery(peers(&members.iter().collect::<Vec<_>>()));
    }
    let member = builder.bind().await.unwrap();
    member.serve(Services::new(Echo)).unwrap();
    timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    member
}

/// Members of equal weight that ask for these placements.
async fn cluster(placements: &[PlacementChoice]) -> Vec<Ringpop> {
    let mut members = Vec::new();
    for (i, placement) in placements.iter().enumerate() {
        members.push(start(&members, &format!("slot-{i}"), 1, *placement).await);
    }
    agree(&members).await;
    members
}

fn keys() -> impl Iterator<Item = String> {
    (0..1_000).map(|i| format!("key-{i}"))
}

/// Waits until all see each other. At each moment until then, members with one membership have one
/// ring.
async fn agree(members: &[Ringpop]) -> Arc<View> {
    let agreed = async {
        loop {
            let views: Vec<_> = members.iter().map(Ringpop::view).collect();
            let mut rings = BTreeMap::new();
            // One that is not ready yet owns nothing, whatever it knows.
            for view in views.iter().filter(|view| !view.ring.is_empty()) {
                let ring = rings.entry(view.membership_checksum).or_insert(view.ring_checksum);
                assert_eq!(*ring, view.ring_checksum, "{:?}", view.ring.placement());
            }
            let all = views.iter().all(|view| view.ring.len() == members.len());
            if all && rings.len() == 1 {
                return views;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let views = timeout(PATIENCE, agreed).await.expect("the members see each other in time");
    for key in keys() {
        let owners: Vec<_> = views.iter().map(|view| view.lookup_n(key.as_bytes(), 3)).collect();
        assert!(owners.iter().all(|one| *one == owners[0]), "{key}: {owners:?}");
    }
    Arc::clone(&views[0])
}

/// Replaces one member after the other by one that asks for another placement, and gives what was
/// in use at each step.
async fn roll(members: &mut [Ringpop], to: PlacementChoice) -> Vec<PlacementChoice> {
    let mut steps = vec![agree(members).await.ring.placement()];
    for i in 0..members.len() {
        members[i].shutdown(PATIENCE).await;
        let others: Vec<_> = [&members[..i], &members[i + 1..]].concat();
        steps.push(agree(&others).await.ring.placement());
        members[i] = start(&others, &format!("slot-{i}"), 1, to).await;
        steps.push(agree(members).await.ring.placement());
    }
    steps.dedup();
    steps
}

#[tokio::test]
async fn a_roll_to_more_points_is_one_switch_of_all() {
    let mut members = cluster(&[ring(100); 5]).await;
    assert_eq!(roll(&mut members, ring(200)).await, [ring(100), ring(200)]);
    let points = members[0].view().ring.as_ring().unwrap().points().len();
    assert_eq!((points, members[0].problems()), (1_000, vec![]));
}

#[tokio::test]
async fn a_roll_to_rendezvous_and_back_is_one_switch_each() {
    let mut members = cluster(&[ring(100); 4]).await;
    assert_eq!(roll(&mut members, RENDEZVOUS).await, [ring(100), RENDEZVOUS]);
    assert_eq!(roll(&mut members, ring(100)).await, [RENDEZVOUS, ring(100)]);
}

/// A roll that is taken back before the half has moved no key for the placement.
#[tokio::test]
async fn the_first_of_a_roll_decides_nothing_and_everybody_says_so() {
    let members = cluster(&[RENDEZVOUS, RENDEZVOUS, RENDEZVOUS, ring(1)]).await;
    assert_eq!(members[3].placement(), RENDEZVOUS);
    let expected = [Problem::PlacementsDiffer {
        in_use: RENDEZVOUS,
        address: members[3].whoami().parse().unwrap(),
        asks_for: "ring:1".to_owned(),
        members: 1,
    }];
    assert!(expected[0].to_string().contains("rendezvous is in use"), "{}", expected[0]);
    let said = |wanted: &'static [Problem]| {
        let members = members.clone();
        let said = async move {
            while members.iter().any(|member| member.problems() != wanted) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, said)
    };
    said(Vec::leak(expected.to_vec())).await.unwrap();
    members[3].set_placement(RENDEZVOUS).await.unwrap();
    said(&[]).await.unwrap();
}

#[tokio::test]
async fn members_may_ask_for_another_placement_while_they_run() {
    let members = cluster(&[ring(100); 3]).await;
    let before = agree(&members).await.ring_checksum;
    for member in &members {
        member.set_placement(local(50)).await.unwrap();
        agree(&members).await;
    }
    let switched = async {
        while members.iter().any(|member| !member.problems().is_empty()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, switched).await.unwrap();
    let view = agree(&members).await;
    assert_eq!(view.ring.placement(), local(50));
    assert_ne!(view.ring_checksum, before);
    let error = members[0].set_placement(ring(0)).await.unwrap_err().to_string();
    assert!(error.contains("ring has 0 points") && error.contains("8192"), "{error}");
}

/// By default the share of each is that of its weight: exactly as computed, and within 1 % as
/// counted.
#[tokio::test]
async fn shares_of_five_members_are_those_of_their_weights() {
    let mut members = Vec::new();
    for (identity, weight) in [("a", 1), ("b", 1), ("c", 2), ("d", 3), ("e", 1)] {
        members.push(start(&members, identity, weight, PlacementChoice::default()).await);
    }
    let view = agree(&members).await;
    let mut counts = BTreeMap::new();
    const KEYS: u32 = 300_000;
    for key in 0..KEYS {
        let owner = view.lookup(format!("key-{key}").as_bytes()).unwrap();
        *counts.entry(owner).or_insert(0_u32) += 1;
    }
    let shares = view.ring.shares();
    assert_eq!(shares.iter().count(), 5);
    for share in &shares {
        let expected = f64::from(share.node.weight()) / 8.0;
        assert!((share.fraction - expected).abs() < 1e-12);
        let counted = f64::from(counts[share.node.id()]) / f64::from(KEYS);
        assert!((counted / expected - 1.0).abs() < 0.01, "{counted} of {expected}");
    }
}

/// What the ring offers works by each placement, but for ranges.
#[tokio::test]
async fn every_placement_offers_the_same() {
    for placement in [RENDEZVOUS, ring(100), local(100)] {
        let members = cluster(&[placement; 3]).await;
        let view = members[0].view();
        let rings = &view.ring;
        assert_eq!(rings.as_ring().is_some(), placement == ring(100));
        assert_eq!(rings.checksum(), view.ring_checksum);
        for key in keys().take(100) {
            let key = key.as_bytes();
            let owner = view.lookup(key).unwrap();
            let walk: Vec<_> = rings.walk(key).map(|node| node.id()).collect();
            assert_eq!((walk.len(), walk[0]), (3, owner));
            assert_eq!(view.lookup_n(key, 2), walk[..2]);
            assert_eq!(members[0].lookup(key).unwrap(), owner);
            let mut spread = Vec::new();
            let zone = |node: &Node<_>| node.id() == owner;
            rings.owners_spread(key, 2, zone, &mut spread);
            assert!(spread[0].id() == owner && spread[1].id() != owner);
            let full = |node: &Node<_>| if node.id() == owner { 9 } else { 0 };
            let bounded = rings.lookup_bounded(key, LoadBound::default(), 9, full).unwrap();
            assert_eq!(bounded.node.id(), walk[1]);
        }
        let (gone, rest) = members.split_last().unwrap();
        gone.shutdown(PATIENCE).await;
        let after = agree(rest).await;
        let shares = rings.shares();
        let share = shares.iter().find(|share| share.node.id() == gone.whoami()).unwrap();
        let moved = rings.moved(&after.ring).unwrap();
        assert!((moved - share.fraction).abs() < 0.01, "{placement}: {moved}");
    }
}

#[tokio::test]
async fn a_placement_that_cannot_be_is_refused() {
    for points in [0, 8193, u32::MAX] {
        for placement in [ring(points), local(points)] {
            let error = builder().placement(placement).bind().await.unwrap_err();
            assert!(matches!(error, BindError::Placement(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains(&points.to_string()) && text.contains("8192"), "{text}");
        }
    }
}

#[tokio::test]
async fn the_label_of_the_placement_belongs_to_the_member() {
    let label = ringpop::limits::PLACEMENT_LABEL;
    let error = builder().label(label, "ring:7").bind().await.unwrap_err();
    assert!(matches!(error, BindError::OwnLabel(OwnLabelError::Reserved { .. })), "{error}");
    let member = builder().config(Config::local()).bind().await.unwrap();
    let error = member.set_label(label, "ring:7").await.unwrap_err();
    assert!(error.to_string().contains("`ring-placement`"), "{error}");
}
