//! Rolls of ten members, by the rings that follow from their labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use swim_core::{Labels, Status};

use super::*;
use crate::limits::{PLACE_LABEL, WEIGHT_LABEL};
use crate::place::OwnPlace;
use crate::view::{OnRing, Publisher, Views};

/// Keys that are counted: an error of two parts in a hundred.
const KEYS: u32 = 3_000;

/// Members with their labels, as one observer sees them, and the keys that moved.
struct Fleet {
    members: BTreeMap<usize, Member>,
    views: Arc<Views>,
    publisher: Publisher,
    is_aware: bool,
    incarnation: u64,
    /// As a part of all keys.
    moved: f64,
}

fn address(i: usize) -> Address {
    Address::new(&format!("10.0.0.{i}:7100")).unwrap()
}

fn with_status(member: &Member, status: Status) -> Member {
    Member::new(member.address.clone(), status, member.incarnation, member.labels.clone())
}

fn observer() -> (Arc<Views>, Publisher) {
    let views = Arc::new(Views::new(address(99)).unwrap());
    (Arc::clone(&views), Publisher::new(views))
}

impl Fleet {
    /// All of version 1.
    fn of(n: usize, is_aware: bool) -> Self {
        let (views, publisher) = observer();
        let members = BTreeMap::new();
        let mut fleet = Self { members, views, publisher, is_aware, incarnation: 1, moved: 0.0 };
        for i in 1..=n {
            fleet.set(i, Status::Alive, "1", &OwnPlace::Identity);
        }
        fleet.moved = 0.0;
        fleet
    }

    fn set(&mut self, i: usize, status: Status, version: &str, place: &OwnPlace) {
        let weight = if *place == OwnPlace::StandsBy { "0" } else { "1" };
        let labels = [(VERSION_LABEL.to_owned(), version.to_owned())];
        let labels = labels.into_iter().chain([(WEIGHT_LABEL.to_owned(), weight.to_owned())]);
        let labels = Labels::new(labels.chain(place.label())).unwrap();
        self.incarnation += 1;
        self.publish(i, Member::new(address(i), status, self.incarnation, labels));
    }

    fn publish(&mut self, i: usize, member: Member) {
        self.members.insert(i, member.clone());
        let changes = vec![(member.address.clone(), Some(member))];
        let published =
            self.publisher.publish(changes, Arc::default(), 1, OnRing::Reachable).unwrap();
        if let Some(moves) = published.change.and_then(|change| change.moves()) {
            let moved = (0..KEYS).filter(|key| moves.of(&key.to_be_bytes()).is_some()).count();
            self.moved += moved as f64 / f64::from(KEYS);
        }
        // One that hears of all at once has the same ring.
        let (views, mut publisher) = observer();
        let all =
            self.members.values().map(|member| (member.address.clone(), Some(member.clone())));
        publisher.publish(all.collect(), Arc::default(), 1, OnRing::Reachable).unwrap();
        assert_eq!(views.load().ring_checksum, self.views.load().ring_checksum);
    }

    fn version_of(&self, i: usize) -> String {
        version(&self.members[&i]).unwrap().to_owned()
    }

    /// The steps of `planned::succession`, and the leave.
    fn leave(&mut self, i: usize) {
        let view = self.views.load();
        if self.is_aware
            && let Some(successor) = successors(&view, &address(i)).first()
        {
            let place = OwnPlace::Taken(place_of(&view, &address(i), 0).unwrap());
            let before = view.ring_checksum;
            let number = (1..99).find(|i| address(*i) == *successor).unwrap();
            let version = self.version_of(number);
            self.set(number, Status::Alive, &version, &place);
            let view = self.views.load();
            assert_eq!(view.ring_checksum, before, "the place is not free yet");
            let planned = successor_of(&view, &self.members[&i]).map(|member| &member.address);
            assert_eq!(planned, Some(successor));
        }
        let left = with_status(&self.members[&i], Status::Leave);
        self.publish(i, left);
    }

    /// The steps of a bootstrap.
    fn start(&mut self, i: usize, version: &str) {
        // It joins without keys, and looks around.
        self.set(i, Status::Alive, version, &OwnPlace::StandsBy);
        let view = self.views.load();
        if !self.is_aware {
            self.set(i, Status::Alive, version, &OwnPlace::Identity);
        } else if !is_rolling(&view, &address(i)) {
            let place = free_place(&view, &address(i), 0);
            self.set(i, Status::Alive, version, &place.map_or(OwnPlace::Identity, OwnPlace::Taken));
        }
    }

    fn on_ring(&self) -> usize {
        self.views.load().ring.len()
    }
}

/// Each member stops and comes back at its address.
fn in_place(is_aware: bool) -> Fleet {
    let mut fleet = Fleet::of(10, is_aware);
    for i in 1..=10 {
        fleet.leave(i);
        fleet.start(i, "2");
        assert!(fleet.on_ring() >= 9);
    }
    fleet
}

/// A new member at a new address is ready before each old one stops, as in a Deployment of
/// Kubernetes that may have one pod more.
fn with_one_more(is_aware: bool) -> Fleet {
    let mut fleet = Fleet::of(10, is_aware);
    for i in 1..=10 {
        fleet.start(10 + i, "2");
        fleet.leave(i);
        assert!(fleet.on_ring() >= 10);
    }
    fleet
}

/// The bar of the issue, and the figures of a roll without versions beside it.
#[test]
fn a_roll_of_ten_members_moves_each_key_once() {
    let (plain, aware) = (with_one_more(false), with_one_more(true));
    assert!((plain.moved - 2.0 * 10.0 / 11.0).abs() < 0.05, "{}", plain.moved);
    assert!((aware.moved - 1.0).abs() < 0.05, "{} of at most 1.1", aware.moved);
    assert_eq!((plain.on_ring(), aware.on_ring()), (10, 10));
}

/// Nobody stands by when the first one leaves: its keys go to members that leave later, and move
/// twice. The last one comes back to nobody who leaves, and takes its share. No rule moves less.
#[test]
fn a_roll_in_place_moves_two_tenths_more_than_each_key_once() {
    let (plain, aware) = (in_place(false), in_place(true));
    assert!((plain.moved - 2.0).abs() < 0.05, "{}", plain.moved);
    assert!((aware.moved - 1.2).abs() < 0.05, "{}", aware.moved);
    assert_eq!((plain.on_ring(), aware.on_ring()), (10, 10));
    let places: BTreeSet<String> =
        aware.views.load().ring.nodes().iter().map(|node| node.identity().to_owned()).collect();
    let all: BTreeSet<String> = (1..=10).map(|i| address(i).to_string()).collect();
    assert_eq!(places, all, "the ten places are the same, with other holders");
}

/// The places that one roll left are those with which the next one begins, forward or back.
#[test]
fn a_second_roll_begins_where_the_first_one_ended() {
    let mut fleet = in_place(true);
    fleet.moved = 0.0;
    for i in (1..=10).rev() {
        fleet.leave(i);
        fleet.start(i, "1");
    }
    assert!((fleet.moved - 1.2).abs() < 0.05, "{}", fleet.moved);
    assert_eq!(fleet.on_ring(), 10);
}

#[test]
fn a_leaver_that_crashes_leaves_its_place_and_a_successor_that_crashes_leaves_the_keys_to_all() {
    for crashes in [1, 11] {
        let mut fleet = Fleet::of(3, true);
        fleet.start(11, "2");
        let place = OwnPlace::Taken(place_of(&fleet.views.load(), &address(1), 0).unwrap());
        fleet.set(11, Status::Alive, "2", &place);
        assert!(!fleet.views.load().shared_identities.is_empty());
        let dead = with_status(&fleet.members[&crashes], Status::Faulty);
        fleet.publish(crashes, dead);
        let view = fleet.views.load();
        assert_eq!(view.ring.len(), 3, "{crashes} crashes");
        let other = address(12 - crashes);
        assert_eq!(view.ring.node(other.as_str()).unwrap().identity(), address(1).as_str());
        if crashes == 11 {
            fleet.leave(1);
            assert_eq!(fleet.on_ring(), 2);
        }
    }
}

/// A process without the setting comes back to its identity.
#[test]
fn a_member_whose_place_another_one_has_finds_a_free_one() {
    let mut fleet = Fleet::of(3, true);
    fleet.leave(1);
    fleet.start(1, "2");
    fleet.leave(2);
    assert_eq!(
        fleet.views.load().ring.node(address(1).as_str()).unwrap().identity(),
        address(2).as_str()
    );
    fleet.set(2, Status::Alive, "1", &OwnPlace::Identity);
    let view = fleet.views.load();
    assert!(view.ring.node(address(1).as_str()).is_none(), "the former holder has it again");
    assert!(has_lost_its_place(&view, &address(1)) && !has_lost_its_place(&view, &address(2)));
    assert_eq!(free_place(&view, &address(1), 0), None, "its own is free");
    fleet.set(1, Status::Alive, "2", &OwnPlace::Identity);
    assert_eq!(fleet.on_ring(), 3);
}

#[test]
fn members_without_a_version_or_of_the_same_one_have_no_roll() {
    let mut fleet = Fleet::of(2, true);
    fleet.set(3, Status::Alive, "1", &OwnPlace::StandsBy);
    let view = fleet.views.load();
    assert!(!is_rolling(&view, &address(3)) && successors(&view, &address(1)).is_empty());
    let place = format!("{} 5", address(1));
    let odd = [(PLACE_LABEL, place.as_str())];
    let odd = Member::new(address(4), Status::Alive, 9, Labels::new(odd).unwrap());
    fleet.publish(4, odd);
    let view = fleet.views.load();
    assert!(!is_rolling(&view, &address(4)) && successors(&view, &address(4)).is_empty());
    assert_eq!(view.ring.len(), 3, "a label that cannot be read places it by its identity");
}
