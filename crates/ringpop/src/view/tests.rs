use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Mutex;

use hashring::UpdateError;
use ringpop_forward::Owner;
use swim_core::{IDENTITY_LABEL, Labels, Status};

use super::*;
use crate::limits::{PLACEMENT_LABEL, WEIGHT_LABEL, WEIGHT_MAX};

fn member(i: u32, status: Status, labels: &[(&str, &str)]) -> Member {
    let address = Address::new(&format!("10.0.0.{i}:7100")).unwrap();
    Member::new(address, status, 1, Labels::new(labels.iter().copied()).unwrap())
}

/// Views and who publishes them, from whole lists.
struct Published {
    views: Arc<Views>,
    publisher: Mutex<Publisher>,
}

impl Deref for Published {
    type Target = Views;

    fn deref(&self) -> &Views {
        &self.views
    }
}

impl Published {
    fn publish(
        &self,
        members: Vec<Member>,
        damped: Vec<Address>,
        checksum: u64,
        on_ring: OnRing,
    ) -> Result<publish::Published, UpdateError> {
        let former = self.views.load();
        let mut changes: BTreeMap<Address, Option<Member>> =
            former.members.iter().map(|member| (member.address.clone(), None)).collect();
        changes.extend(members.into_iter().map(|member| (member.address.clone(), Some(member))));
        let changes = changes.into_iter().collect();
        self.publisher.lock().unwrap().publish(changes, damped.into(), checksum, on_ring)
    }
}

fn views() -> Published {
    let views = Arc::new(Views::new(Address::new("10.0.0.1:7100").unwrap()).unwrap());
    let publisher = Mutex::new(Publisher::new(Arc::clone(&views)));
    Published { views, publisher }
}

fn publish(
    views: &Published,
    members: Vec<Member>,
    checksum: u64,
    on_ring: OnRing,
) -> Result<Option<RingChange>, UpdateError> {
    views.publish(members, Vec::new(), checksum, on_ring).map(|published| published.change)
}

fn ids(addresses: &[Address]) -> Vec<&str> {
    addresses.iter().map(Address::as_str).collect()
}

/// What a change says of a key is what a lookup in the views before and after says.
#[test]
fn a_change_tells_the_keys_and_ranges_that_move() {
    for placement in ["rendezvous", "ring:50", "local-rendezvous:50"] {
        let views = views();
        let labels = [(PLACEMENT_LABEL, placement)];
        let alive = |range: std::ops::Range<u32>| -> Vec<Member> {
            range.map(|i| member(i, Status::Alive, &labels)).collect()
        };
        let first = publish(&views, alive(1..4), 1, OnRing::Reachable).unwrap().unwrap();
        assert!((first.moves().unwrap().share() - 1.0).abs() < 1e-9, "nobody owned anything");
        let before = views.load();
        let change = publish(&views, alive(2..6), 2, OnRing::Reachable).unwrap().unwrap();
        let after = views.load();
        let moves = change.moves().unwrap();
        let ranges = moves.ranges();
        assert_eq!(ranges.is_some(), placement.starts_with("ring"), "{placement}");
        let mut moved = 0;
        for i in 0..2000 {
            let key = format!("key-{i}");
            let (from, to) = (before.lookup(key.as_bytes()), after.lookup(key.as_bytes()));
            let told = moves.of(key.as_bytes()).map(|moved| (moved.from, moved.to));
            assert_eq!(told, (from != to).then_some((from, to)), "{placement}, {key}");
            moved += usize::from(told.is_some());
            if let Some(ranges) = &ranges {
                let place = hashring::Placement::place(&*after.ring, key.as_bytes());
                let of = ranges.of(place);
                let of = of.map(|of| (of.from.map(|node| node.id()), of.to.map(|node| node.id())));
                assert_eq!(of, told, "{key}");
            }
        }
        let share = moves.share();
        assert!((share - moved as f64 / 2000.0).abs() < 0.05, "{placement}: {share}, {moved}");
    }
}

/// A listener that reads nothing keeps no more rings in memory than it may.
#[test]
fn events_that_wait_lose_the_moves_of_old_changes() {
    let views = views();
    let labels = [(PLACEMENT_LABEL, "ring:50")];
    let change = |members: u32| {
        let members = (1..=members).map(|i| member(i, Status::Alive, &labels)).collect();
        publish(&views, members, members_checksum(&views), OnRing::Reachable).unwrap().unwrap()
    };
    let first = change(3);
    let ring_bytes = hashring::Placement::size_bytes(&*views.load().ring);
    // Two rings of up to 20 members fit, and not more.
    views.publisher.lock().unwrap().waiting.bytes_max = 14 * ring_bytes;
    let waiting: Vec<RingChange> = (4..20).map(change).collect();
    let kept: Vec<bool> = waiting.iter().map(|change| change.moves().is_some()).collect();
    assert!(first.moves().is_none() && kept.iter().any(|kept| !kept), "{kept:?}");
    assert_eq!(kept.last(), Some(&true), "the latest is always there");
    assert!(kept.is_sorted(), "the oldest go first: {kept:?}");
    // Once they are read, there is room again.
    let clone = waiting.last().unwrap().clone();
    drop(waiting);
    let next = change(20);
    assert!(clone.moves().is_some() && next.moves().is_some());
}

/// Another one than the views have.
fn members_checksum(views: &Published) -> u64 {
    views.load().membership_checksum + 1
}

#[test]
fn reachable_members_are_on_the_ring_and_others_are_not() {
    let views = views();
    let change = publish(
        &views,
        vec![
            member(5, Status::Tombstone, &[]),
            member(4, Status::Leave, &[]),
            member(3, Status::Faulty, &[]),
            member(2, Status::Suspect, &[]),
            member(1, Status::Alive, &[]),
        ],
        7,
        OnRing::Reachable,
    );
    let change = change.unwrap().unwrap();
    assert_eq!(ids(&change.added), ["10.0.0.1:7100", "10.0.0.2:7100"]);
    let view = views.load();
    assert_eq!((view.ring.len(), view.members.len()), (2, 5));
    assert_eq!(view.membership_checksum, 7);
    assert_eq!(view.member("10.0.0.4:7100").unwrap().status, Status::Leave);
    assert_eq!(change.checksum_after, view.ring_checksum);
}

#[test]
fn what_does_not_concern_the_ring_does_not_change_it() {
    let views = views();
    publish(&views, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
    let suspect = member(1, Status::Suspect, &[("color", "red")]);
    let faulty = member(2, Status::Faulty, &[]);
    assert!(publish(&views, vec![suspect, faulty], 2, OnRing::Reachable).unwrap().is_none());
}

#[test]
fn the_ring_is_empty_until_this_member_has_joined() {
    let views = views();
    let members = vec![member(1, Status::Alive, &[]), member(2, Status::Alive, &[])];
    assert!(publish(&views, members.clone(), 1, OnRing::Nobody).unwrap().is_none());
    let view = views.load();
    assert_eq!((view.ring.len(), view.members.len()), (0, 2));
    let change = publish(&views, members, 1, OnRing::Reachable).unwrap().unwrap();
    assert_eq!(ids(&change.added), ["10.0.0.1:7100", "10.0.0.2:7100"]);
}

#[test]
fn damped_members_are_known_and_not_on_the_ring() {
    let views = views();
    let members: Vec<Member> = (1..4).map(|i| member(i, Status::Alive, &[])).collect();
    let damped = vec![members[1].address.clone()];
    let change = views.publish(members.clone(), damped.clone(), 1, OnRing::Reachable);
    assert_eq!(ids(&change.unwrap().change.unwrap().added), ["10.0.0.1:7100", "10.0.0.3:7100"]);
    let view = views.load();
    assert_eq!((view.members.len(), view.damped.to_vec()), (3, damped));
    let change = publish(&views, members, 1, OnRing::Reachable).unwrap().unwrap();
    assert_eq!(ids(&change.added), ["10.0.0.2:7100"]);
}

#[test]
fn the_ring_waits_while_a_burst_goes_on() {
    let views = views();
    let members: Vec<Member> = (1..4).map(|i| member(i, Status::Alive, &[])).collect();
    publish(&views, members, 1, OnRing::Reachable).unwrap();
    for gone in 2..4 {
        let status = |i| if i <= gone && i > 1 { Status::Faulty } else { Status::Alive };
        let members = (1..4).map(|i| member(i, status(i), &[])).collect();
        assert!(publish(&views, members, 2, OnRing::AsBefore).unwrap().is_none());
        assert_eq!(views.load().ring.len(), 3);
        let second = views.load().member("10.0.0.2:7100").unwrap().status;
        assert_eq!(second, Status::Faulty, "the members are those of now");
    }
    let members = (1..4).map(|i| member(i, Status::Faulty, &[])).collect();
    let change = publish(&views, members, 3, OnRing::Reachable).unwrap().unwrap();
    assert_eq!(change.removed.len(), 3, "all at once");
}

#[test]
fn weight_and_identity_come_from_labels() {
    let views = views();
    let one = |labels: &[(&str, &str)]| vec![member(1, Status::Alive, labels)];
    let weight =
        |views: &Published| views.load().ring.node("10.0.0.1:7100").map_or(0, |node| node.weight());
    publish(&views, one(&[(WEIGHT_LABEL, "3")]), 1, OnRing::Reachable).unwrap();
    assert_eq!(weight(&views), 3);
    let change =
        publish(&views, one(&[(WEIGHT_LABEL, "nonsense")]), 2, OnRing::Reachable).unwrap().unwrap();
    assert_eq!(weight(&views), 1);
    assert_eq!(ids(&change.updated), ["10.0.0.1:7100"]);
    publish(&views, one(&[(WEIGHT_LABEL, "4000000000")]), 3, OnRing::Reachable).unwrap();
    assert_eq!(weight(&views), WEIGHT_MAX);
    let change = publish(&views, one(&[(IDENTITY_LABEL, "worker-1")]), 4, OnRing::Reachable)
        .unwrap()
        .unwrap();
    assert_eq!(ids(&change.updated), ["10.0.0.1:7100"]);
    let change =
        publish(&views, one(&[(WEIGHT_LABEL, "0")]), 5, OnRing::Reachable).unwrap().unwrap();
    assert_eq!(ids(&change.removed), ["10.0.0.1:7100"]);
    assert!(views.load().ring.is_empty());
}

/// A process died, and its successor took its identity at another address:
/// the keys are the successor's before anybody missed the dead one, whichever
/// address sorts lower.
#[test]
fn a_successor_has_the_keys_of_its_identity_at_once() {
    for (dead, successor) in [(2, 3), (3, 2)] {
        let views = views();
        let mut one = member(dead, Status::Alive, &[(IDENTITY_LABEL, "p1")]);
        let mut two = member(successor, Status::Alive, &[(IDENTITY_LABEL, "p1")]);
        (one.incarnation, two.incarnation) = (5, 6);
        let local = member(1, Status::Alive, &[]);
        let before = vec![local.clone(), one.clone()];
        publish(&views, before, 1, OnRing::Reachable).unwrap();
        let owned = |views: &Published, address: &Address| {
            let view = views.load();
            (0..200).filter(|i| view.lookup(&[*i]) == Some(address.as_str())).count()
        };
        let keys = owned(&views, &one.address);
        assert!(keys > 0);
        publish(&views, vec![local, one.clone(), two.clone()], 2, OnRing::Reachable).unwrap();
        assert_eq!((owned(&views, &one.address), owned(&views, &two.address)), (0, keys));
        let shared = &views.load().shared_identities;
        assert_eq!(shared[0].owner, two.address);
        assert_eq!(shared[0].others, [one.address]);
    }
}

/// Views of a ring so small that a few members of 100 points for each unit exceed it.
fn small(weight_sum_max: u32) -> Published {
    let views = views();
    views.publisher.lock().unwrap().points_max = 100 * weight_sum_max;
    views
}

/// Members that ask for a ring.
fn weighing(weights: &[u32]) -> Vec<Member> {
    let one = |(i, weight): (u32, &u32)| {
        let weight = weight.to_string();
        member(i, Status::Alive, &[(WEIGHT_LABEL, &weight), (PLACEMENT_LABEL, "ring:100")])
    };
    (1..).zip(weights).map(one).collect()
}

fn points_of(views: &Published, i: u32) -> Option<u32> {
    let view = views.load();
    view.ring.as_ring().expect("it is a ring").points_of(&format!("10.0.0.{i}:7100"))
}

/// One message can bring so many members; the ring must follow all the same.
#[test]
fn members_that_want_too_many_points_are_capped_alike_everywhere() {
    let (one, two) = (small(20), small(20));
    let mut members = weighing(&[2, 9, 9, 9]);
    publish(&one, members[..2].to_vec(), 1, OnRing::Reachable).unwrap();
    let published = one.publish(members.clone(), Vec::new(), 2, OnRing::Reachable).unwrap();
    let cap = Cap { wanted: 29, weight_max: 6, members_max: 4, left_out: 0 };
    assert_eq!(published.cap, Some(cap));
    assert_eq!(one.stats().capped, 1);
    let points = |i| points_of(&one, i);
    assert_eq!((points(1), points(2), points(4)), (Some(200), Some(600), Some(600)));

    members.reverse();
    publish(&two, members.clone(), 2, OnRing::Reachable).unwrap();
    assert_eq!(one.load().ring_checksum, two.load().ring_checksum);
    let published = one.publish(weighing(&[2, 9, 9]), Vec::new(), 3, OnRing::Reachable);
    assert_eq!(published.unwrap().cap, None, "it is over when they fit again");
    assert_eq!(points(2), Some(900));
}

#[test]
fn when_even_weights_of_one_are_too_many_the_first_have_their_place() {
    let views = small(3);
    let members = weighing(&[2, 2, 0, 2, 2]);
    let published = views.publish(members, Vec::new(), 1, OnRing::Reachable).unwrap();
    let cap = Cap { wanted: 8, weight_max: 1, members_max: 3, left_out: 1 };
    assert_eq!(published.cap, Some(cap));
    assert_eq!((views.load().ring.len(), points_of(&views, 4)), (3, Some(100)));
}

#[test]
fn the_ring_does_not_depend_on_its_history() {
    let (one, two) = (views(), views());
    let all: Vec<Member> = (1..6).map(|i| member(i, Status::Alive, &[])).collect();
    publish(&one, all.clone(), 1, OnRing::Reachable).unwrap();
    for i in (0..5).rev() {
        publish(&two, vec![all[i].clone()], 1, OnRing::Reachable).unwrap();
    }
    publish(&two, all.into_iter().rev().collect(), 1, OnRing::Reachable).unwrap();
    assert_eq!(one.load().ring_checksum, two.load().ring_checksum);
}

#[test]
fn lookups_name_this_member_as_local_and_follow_the_latest_view() {
    let views = views();
    let mut owners = Owners::new();
    views.owners(b"key", 3, &mut owners);
    assert!(owners.is_empty());
    publish(&views, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
    views.owners(b"key", 3, &mut owners);
    assert_eq!(owners[..], [Owner::Local]);
    publish(&views, (1..4).map(|i| member(i, Status::Alive, &[])).collect(), 2, OnRing::Reachable)
        .unwrap();
    owners.clear();
    views.owners(b"key", 3, &mut owners);
    assert_eq!(owners.len(), 3);
    assert_eq!(owners.iter().filter(|owner| **owner == Owner::Local).count(), 1);
}

#[tokio::test]
async fn whoever_waits_for_another_ring_is_woken_by_it() {
    let views = views();
    publish(&views, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
    let seen = views.epoch();
    let mut changed = std::pin::pin!(views.changed(seen));
    publish(&views, vec![member(1, Status::Suspect, &[])], 2, OnRing::Reachable).unwrap();
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(changed.as_mut().poll(cx)));
    assert!(waits.await.is_pending(), "the ring is the same");
    publish(&views, vec![member(2, Status::Alive, &[])], 3, OnRing::Reachable).unwrap();
    changed.await;
}

#[tokio::test]
async fn whoever_follows_a_key_is_told_when_the_member_stops() {
    let views = views();
    publish(&views, vec![member(2, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
    let forwarder = ringpop_forward::Forwarder::builder(Arc::clone(&views.views)).build().unwrap();
    let mut ownership = forwarder.ownership("key");
    assert!(ownership.owner().is_some());
    views.publisher.lock().unwrap().end();
    assert_eq!(ownership.changed().await, None);
    assert_eq!(views.load().members.len(), 1, "what it knew of the members stays");
}

/// Two clusters in one thread must not see each other's view.
#[test]
fn threads_keep_the_views_of_several_clusters_apart() {
    let (one, two) = (views(), views());
    publish(&one, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
    for _ in 0..3 {
        assert_eq!(one.with(|view| view.ring.len()), 1);
        assert_eq!(two.with(|view| view.ring.len()), 0);
    }
}

/// A thread that asks once and lives on must not keep a cluster in memory.
#[test]
fn no_thread_keeps_a_cluster_that_is_gone() {
    let views = Arc::new(views());
    publish(&views, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
    let (asked, was_asked) = std::sync::mpsc::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let other = Arc::clone(&views);
    let thread = std::thread::spawn(move || {
        assert_eq!(other.with(|view| view.ring.len()), 1);
        drop(other);
        asked.send(()).unwrap();
        let _ = ends.recv();
    });
    assert_eq!(views.with(|view| view.ring.len()), 1);
    was_asked.recv().unwrap();
    let view = Arc::downgrade(&views.load());
    drop(views);
    assert!(view.upgrade().is_none(), "somebody keeps the view");
    drop(end);
    thread.join().unwrap();
}

/// What runs on a view may look into it, and into another, once more.
#[test]
fn lookups_within_lookups_see_the_latest_view() {
    let (one, two) = (views(), views());
    publish(&one, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
    let seen = one.with(|view| {
        (view.ring.len(), one.with(|view| view.ring.len()), two.with(|view| view.ring.len()))
    });
    assert_eq!(seen, (1, 1, 0));
}

#[test]
fn a_member_that_cannot_be_dialled_stays_off_the_ring() {
    let views = views();
    let odd = Address::new("not-a-host-and-port").unwrap();
    let odd = Member::new(odd, Status::Alive, 1, Labels::default());
    assert!(publish(&views, vec![odd], 1, OnRing::Reachable).unwrap().is_none());
}

/// By what changed, the ring becomes what it would be from scratch: with weights,
/// shared identities, damping, bursts, more weight than a ring may have, and members that ask for
/// different placements.
#[test]
fn a_ring_that_follows_changes_is_that_of_its_members() {
    let (views, mut random) = (small(12), 3_u64);
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    let (mut capped, mut shared, mut switched) = (0, 0, 0);
    let placements = ["ring:100", "ring:100", "ring:150", "local-rendezvous:100", "unknown:1", ""];
    for round in 0..800 {
        let address = |i: u64| Address::new(&format!("10.0.0.{i}:7100")).unwrap();
        let i = draw(16);
        let status = [Status::Alive, Status::Suspect, Status::Faulty][draw(3) as usize];
        let (weight, name) = (draw(4).to_string(), format!("10.0.0.{}:7100", draw(16)));
        let mut labels = vec![(WEIGHT_LABEL, weight.as_str())];
        if draw(3) == 0 {
            labels.push((IDENTITY_LABEL, &name));
        }
        let placement = placements[draw(6) as usize];
        if !placement.is_empty() {
            labels.push((PLACEMENT_LABEL, placement));
        }
        let mut known = member(i as u32, status, &labels);
        known.incarnation = draw(3);
        let known = (draw(5) > 0).then_some(known);
        let mut damped: Vec<Address> = (0..draw(3)).map(|_| address(draw(16))).collect();
        damped.sort_unstable();
        damped.dedup();
        let on_ring = match draw(8) {
            0 => OnRing::Nobody,
            1 | 2 => OnRing::AsBefore,
            _ => OnRing::Reachable,
        };
        let mut publisher = views.publisher.lock().unwrap();
        let changes = vec![(address(i), known)];
        let published = publisher.publish(changes, damped.clone().into(), round, on_ring).unwrap();
        capped += usize::from(published.cap.is_some());
        let change = published.change.as_ref();
        switched += usize::from(change.is_some_and(|change| change.placement_before.is_some()));
        let view = views.load();
        if matches!(on_ring, OnRing::AsBefore) {
            continue;
        }
        let anew = small(12);
        let all = view.members.iter().cloned().collect();
        let from_scratch = anew.publish(all, damped, round, on_ring).unwrap();
        let anew = anew.load();
        assert_eq!(published.cap, from_scratch.cap, "round {round}");
        assert_eq!(published.dissent, from_scratch.dissent, "round {round}");
        assert_eq!(view.ring.placement(), anew.ring.placement(), "round {round}");
        assert_eq!(view.ring_checksum, anew.ring_checksum, "round {round}");
        assert_eq!(view.shared_identities, anew.shared_identities, "round {round}");
        shared += view.shared_identities.len();
    }
    assert!(
        capped > 40 && shared > 40 && switched > 40,
        "{capped} caps, {shared} shared identities, {switched} switches"
    );
}

/// A change of a member that stays off the ring costs as much among 30,000 members as
/// among 100, in allocations and in bytes. A copy of the list would be megabytes.
#[test]
fn what_a_change_costs_does_not_depend_on_the_members() {
    for members in [100, 1_000, 30_000] {
        let at = |i: u32| Address::new(&format!("10.{}.{}.1:7100", i / 250, i % 250)).unwrap();
        let known = |i, status| Member::new(at(i), status, 1, Labels::default());
        let views = views();
        let mut publisher = views.publisher.lock().unwrap();
        let local = (views.local.clone(), Some(member(1, Status::Alive, &[])));
        let all = (0..members).map(|i| (at(i), Some(known(i, Status::Faulty))));
        let all = all.chain([local]).collect();
        publisher.publish(all, Arc::default(), 1, OnRing::Reachable).unwrap();
        let change = vec![(at(members / 2), Some(known(members / 2, Status::Leave)))];
        let cost = allocation_counter::measure(|| {
            publisher.publish(change, Arc::default(), 2, OnRing::Reachable).unwrap();
        });
        assert!(cost.count_total <= 16, "{} allocations among {members}", cost.count_total);
        assert!(cost.bytes_total <= 16 * 1024, "{} bytes among {members}", cost.bytes_total);
    }
}

/// A ring of many heavy members has room for fewer of their points when each unit has more, and
/// for all when it has none: neither of the two rings may be made of the weights of the other.
#[test]
fn a_switch_keeps_the_limits_of_the_next_placement() {
    let (views, mut members) = (small(20), weighing(&[9, 9, 9]));
    let (few, many) = ("ring:100", "ring:200");
    let ask = |members: &mut [Member], placement: &str| {
        for member in members {
            member.labels = member.labels.with(PLACEMENT_LABEL, placement).unwrap();
        }
    };
    let capped = |views: &Published, members: &[Member]| {
        let published = views.publish(members.to_vec(), Vec::new(), 1, OnRing::Reachable).unwrap();
        let before = published.change.and_then(|change| change.placement_before);
        (published.cap.map(|cap| cap.weight_max), before.map(|before| before.to_string()))
    };
    ask(&mut members, few);
    assert_eq!(capped(&views, &members), (Some(6), None));
    ask(&mut members, many);
    assert_eq!(capped(&views, &members), (Some(3), Some(few.to_owned())));
    ask(&mut members, "rendezvous");
    assert_eq!(capped(&views, &members), (None, Some(many.to_owned())));
    let weights = views.load().ring.nodes().iter().map(|node| node.weight()).collect::<Vec<_>>();
    assert_eq!(weights, [9, 9, 9]);
    ask(&mut members, many);
    assert_eq!(capped(&views, &members), (Some(3), Some("rendezvous".to_owned())));
    assert_eq!(capped(&views, &[]), (None, None), "an empty ring has switched nothing");
}

/// The placement in use is that of the majority, one change of a member long, and nobody that is
/// off the ring has a vote.
#[test]
fn members_off_the_ring_have_no_vote() {
    let asks = |i, status, placement, weight| {
        member(i, status, &[(PLACEMENT_LABEL, placement), (WEIGHT_LABEL, weight)])
    };
    let views = views();
    let mut members = vec![
        asks(1, Status::Alive, "ring:100", "1"),
        asks(2, Status::Alive, "ring:200", "0"),
        asks(3, Status::Faulty, "ring:200", "1"),
        asks(4, Status::Leave, "ring:200", "1"),
        asks(5, Status::Suspect, "ring:100", "1"),
        asks(6, Status::Alive, "ring:300", "1"),
    ];
    let damped = vec![members[5].address.clone()];
    let published = views.publish(members.clone(), damped, 1, OnRing::Reachable).unwrap();
    assert_eq!(published.dissent, None);
    assert_eq!(views.load().ring.placement().to_string(), "ring:100");
    members[5] = asks(6, Status::Alive, "of a later version", "1");
    let published = views.publish(members.clone(), Vec::new(), 2, OnRing::Reachable).unwrap();
    let dissent = published.dissent.unwrap();
    assert_eq!(dissent.asks_for, "of a later version");
    assert_eq!((&dissent.address, dissent.members), (&members[5].address, 1));
}
