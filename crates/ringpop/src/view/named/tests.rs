use hashring::{Node, Placement as _, Ring, Ringpop as RingpopScheme};
use swim_core::{Labels, Member, Status};

use super::*;
use crate::placement::PlacementChoice;
use crate::view::publish::Published;
use crate::view::{OnRing, Publisher, View, Views, ZoneOrder};

const LOCAL: &str = "10.0.0.0:7100";

fn address(i: usize) -> Address {
    Address::new(&format!("10.0.0.{i}:7100")).unwrap()
}

fn member(i: usize, status: Status, labels: &[(&str, &str)]) -> Member {
    Member::new(address(i), status, 1, Labels::new(labels.iter().copied()).unwrap())
}

struct Followed {
    views: Arc<Views>,
    publisher: Publisher,
    checksum: u64,
}

impl Followed {
    fn new(rings: &[(&str, RingOptions)], order: ZoneOrder) -> Self {
        let definition = |(name, options): &(&str, RingOptions)| Definition {
            name: (*name).into(),
            options: options.clone(),
        };
        let definitions = rings.iter().map(definition).collect();
        let local = Address::new(LOCAL).unwrap();
        let views = Arc::new(Views::with_rings(local, definitions, order).unwrap());
        Self { publisher: Publisher::new(Arc::clone(&views)), views, checksum: 0 }
    }

    fn change(&mut self, members: Vec<Member>, damped: &[Address], on_ring: OnRing) -> Published {
        self.checksum += 1;
        let members = members.into_iter().map(|member| (member.address.clone(), Some(member)));
        let changes = members.collect();
        self.publisher.publish(changes, damped.into(), self.checksum, on_ring).unwrap()
    }

    fn add(&mut self, members: Vec<Member>) -> Arc<View> {
        self.change(members, &[], OnRing::Reachable);
        self.views.load()
    }
}

fn ids(ring: &MemberRing) -> Vec<&str> {
    ring.nodes().iter().map(|node| node.id()).collect()
}

fn workers() -> RingOptions {
    RingOptions::new().label("role", "worker")
}

/// Whatever happened before, a ring is the one that the members of now make.
#[test]
fn rings_depend_on_the_members_of_now_alone() {
    let rings = [
        ("workers", workers().placement(PlacementChoice::Ring { points: 20 })),
        ("both", RingOptions::new().label_in("role", ["worker", "api"]).label("zone", "a")),
        ("ringpop", RingOptions::new().placement(PlacementChoice::Ringpop)),
        ("nobody", RingOptions::new().label("role", "none")),
    ];
    let mut random = 3_u64;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    let mut followed = Followed::new(&rings, ZoneOrder::Ignored);
    let mut last: Vec<u64> = followed.views.load().named_rings.checksums().collect();
    for step in 0..600 {
        let mut changed = Vec::new();
        for _ in 0..=draw(3) {
            let role = ["worker", "api", "batch"][draw(3)];
            let labels = [
                ("role", role),
                ("zone", ["a", "b"][draw(2)]),
                ("weight", ["1", "3", "0"][draw(3)]),
            ];
            let status = [Status::Alive, Status::Alive, Status::Suspect, Status::Faulty][draw(4)];
            changed.push(member(draw(12), status, &labels));
        }
        let damped: Vec<Address> = (draw(4) == 0).then(|| address(draw(12))).into_iter().collect();
        let on_ring = match draw(20) {
            0 => OnRing::Nobody,
            1..=3 => OnRing::AsBefore,
            _ => OnRing::Reachable,
        };
        let before = followed.views.load();
        let published = followed.change(changed, &damped, on_ring);
        let view = followed.views.load();
        for (i, (name, options)) in rings.iter().enumerate() {
            let named = view.named_rings.at(i);
            let told: Vec<_> =
                published.ring_changes.iter().filter(|(ring, _)| **ring == **name).collect();
            let has_changed = named.checksum != last[i];
            assert_eq!(told.len(), usize::from(has_changed), "step {step}, {name}");
            if let Some((_, change)) = told.first() {
                assert_eq!(
                    (change.checksum_before, change.checksum_after),
                    (last[i], named.checksum)
                );
                assert!(change.moves().is_some());
            } else {
                assert!(
                    Arc::ptr_eq(&named.ring, &before.named_rings.at(i).ring),
                    "it costs nothing"
                );
            }
            last[i] = named.checksum;
            if !matches!(on_ring, OnRing::Reachable) {
                continue;
            }
            let mut fresh = Followed::new(&[(name, options.clone())], ZoneOrder::Ignored);
            fresh.change(view.members.iter().cloned().collect(), &damped, OnRing::Reachable);
            let expected = Arc::clone(fresh.views.load().named_rings.get(name).unwrap());
            assert_eq!(ids(&named.ring), ids(&expected), "step {step}, {name}");
            assert_eq!(named.checksum, expected.checksum(), "step {step}, {name}");
            let of_main = |id: &&str| view.ring.node(id).is_some();
            assert!(ids(&named.ring).iter().all(of_main), "a part of the main ring");
        }
    }
}

#[test]
fn a_ring_of_ringpop_places_keys_as_ringpop_does() {
    let all = RingOptions::new().placement(PlacementChoice::Ringpop);
    let mut followed = Followed::new(&[("legacy", all)], ZoneOrder::Ignored);
    let view = followed.add((0..5).map(|i| member(i, Status::Alive, &[])).collect());
    let expected: Ring<(), RingpopScheme> = Ring::builder()
        .scheme(RingpopScheme)
        .nodes((0..5).map(|i| Node::new(address(i).as_str())))
        .build()
        .unwrap();
    let ring = view.named_rings.get("legacy").unwrap();
    assert_eq!(ring.as_ringpop().unwrap().identity_checksum(), expected.identity_checksum());
    for i in 0..1_000 {
        let key = format!("key-{i}");
        let (owner, other) = (ring.lookup(key.as_bytes()), expected.lookup(key.as_bytes()));
        assert_eq!(owner.unwrap().id(), other.unwrap().id());
    }
    let before = view;
    followed.add(vec![member(5, Status::Alive, &[])]);
    let moves =
        Moves::new(&before.named_rings.at(0).ring, &followed.views.load().named_rings.at(0).ring);
    let share = moves.ranges().expect("two rings of one scheme").fraction();
    assert!((moves.share() - share).abs() < 1e-9 && (0.1..0.25).contains(&share), "{share}");
}

#[test]
fn keys_that_move_to_the_scheme_of_ringpop_are_counted_by_key() {
    let ring = |placement| {
        let ring = MemberRing::new(placement).unwrap();
        let node = |i| Node::new(address(i).as_str()).with_data(ringpop_forward::Owner::Local);
        Arc::new(ring.with_nodes((0..4).map(node)).unwrap())
    };
    let moves = Moves::new(&ring(PlacementChoice::Rendezvous), &ring(PlacementChoice::Ringpop));
    assert!((moves.share() - 0.75).abs() < 0.05, "a new draw among four: {}", moves.share());
    assert!(moves.ranges().is_none());
}

/// What a tenant's members depend on is the ring and the zones: nothing older is served.
#[test]
fn subrings_follow_the_ring_and_the_zones() {
    let zoned =
        |i: usize, zone: &str| member(i, Status::Alive, &[("role", "worker"), ("zone", zone)]);
    let mut followed = Followed::new(&[("workers", workers())], ZoneOrder::Ignored);
    let view = followed.add((0..12).map(|i| zoned(i, ["a", "b"][i % 2])).collect());
    let zones = |view: &View, place: Option<usize>, tenant: &str| {
        let subring = match place {
            None => view.subrings.get(view, &view.ring, tenant.as_bytes(), 4),
            Some(place) => view.subring_on(place, tenant.as_bytes(), 4),
        };
        let zone = |owner: crate::owner::Owner| view.zone(&owner).unwrap().to_owned();
        let mut zones: Vec<String> = subring.members().map(zone).collect();
        zones.sort_unstable();
        zones.concat()
    };
    for place in [None, Some(0)] {
        assert_eq!(zones(&view, place, "tenant"), "aabb");
    }
    // A label that is no zone leaves all as it was.
    let subrings = Arc::clone(&view.subrings);
    let labels = [("role", "worker"), ("zone", "a"), ("version", "2")];
    let view = followed.add(vec![member(0, Status::Alive, &labels)]);
    assert!(Arc::ptr_eq(&subrings, &view.subrings));
    // Everybody moves to four zones; no ring changes.
    let checksum = view.ring_checksum;
    let view = followed.add((0..12).map(|i| zoned(i, ["a", "b", "c", "d"][i % 4])).collect());
    assert_eq!(view.ring_checksum, checksum);
    for place in [None, Some(0)] {
        assert_eq!(zones(&view, place, "tenant"), "abcd");
    }
    // Two zones are lost.
    let view = followed
        .add((0..12).filter(|i| i % 4 > 1).map(|i| member(i, Status::Faulty, &[])).collect());
    for place in [None, Some(0)] {
        assert_eq!(zones(&view, place, "tenant"), "aabb");
    }
}

#[test]
fn the_order_of_zones_decides_who_is_asked_after_the_owner() {
    let zone = |i: usize| ["a", "b", "c"][i % 3];
    for order in [ZoneOrder::Ignored, ZoneOrder::OtherZonesFirst, ZoneOrder::OwnersZoneFirst] {
        let mut followed = Followed::new(&[("all", RingOptions::new())], order);
        let view =
            followed.add((0..9).map(|i| member(i, Status::Alive, &[("zone", zone(i))])).collect());
        let mut as_the_ring_has_them = 0;
        for i in 0..200 {
            let key = format!("key-{i}");
            let owners = |n| {
                let mut owners = Vec::new();
                let take = |node: &Arc<Node<_>>| owners.push(node.id().to_owned());
                order.owners(&view, &view.ring, key.as_bytes(), n, take);
                owners
            };
            let all = owners(20);
            assert_eq!(all[0], view.lookup(key.as_bytes()).unwrap(), "the owner is the first");
            for n in 0..9 {
                assert_eq!(owners(n), all[..n], "fewer are the beginning of more");
            }
            let mut sorted = all.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), 9, "each is there once");
            let zones: Vec<_> = all.iter().map(|id| view.zone(id).unwrap()).collect();
            let mut first: Vec<_> = zones[..3].to_vec();
            first.sort_unstable();
            match order {
                ZoneOrder::OtherZonesFirst => assert_eq!(first, ["a", "b", "c"]),
                ZoneOrder::OwnersZoneFirst => assert!(first.iter().all(|zone| *zone == first[0])),
                _ => as_the_ring_has_them += usize::from(first == ["a", "b", "c"]),
            }
            assert_eq!(view.lookup_spread(key.as_bytes(), 3).len(), 3);
        }
        assert!(as_the_ring_has_them < 150, "chance has three zones for two keys in seven");
    }
}
