//! Shares, ranges and movement against circles that are small enough to try every place.

use std::collections::BTreeMap;

use crate::common::{TOYS, Toy, nodes, ring_of};
use hashring::{Crc32, Node, Ring, Scheme, Xxh3, diff};
use proptest::prelude::*;

fn owner_at<S>(ring: &Ring<(), S>, place: u64) -> Option<&str> {
    ring.lookup_at(place).map(|node| node.id())
}

fn places(toy: Toy) -> std::ops::Range<u64> {
    0..1 << toy.bits
}

proptest! {
    #[test]
    fn shares_count_the_places_of_every_node(nodes in nodes()) {
        for toy in TOYS {
            let ring = ring_of(toy, &nodes);
            let mut counted = BTreeMap::<_, u128>::new();
            for place in places(toy) {
                *counted.entry(owner_at(&ring, place)).or_default() += 1;
            }
            let shares = ring.shares();
            for share in &shares {
                let expected = counted.get(&Some(share.node.id())).copied().unwrap_or(0);
                prop_assert_eq!(share.places, expected);
                prop_assert_eq!(Some(share.points), ring.points_of(share.node.id()));
            }
            let unowned = counted.get(&None).copied().unwrap_or(0);
            prop_assert_eq!(shares.iter().map(|share| share.places).sum::<u128>() + unowned, ring.circle_places());
        }
    }

    #[test]
    fn shares_sum_to_the_circle_exactly(nodes in nodes()) {
        check_sum(&ring_of(Xxh3, &nodes))?;
        check_sum(&ring_of(Crc32, &nodes))?;
    }

    #[test]
    fn ranges_hold_exactly_the_places_of_their_owner(nodes in nodes()) {
        for toy in TOYS {
            let ring = ring_of(toy, &nodes);
            for node in ring.nodes() {
                let ranges: Vec<_> = ring.ranges_of(node.id()).collect();
                for place in places(toy) {
                    let holding = ranges.iter().filter(|range| range.contains(place)).count();
                    prop_assert_eq!(holding, usize::from(owner_at(&ring, place) == Some(node.id())));
                }
                let sum: u128 = ranges.iter().map(|range| range.places()).sum();
                let share = ring.shares().iter().find(|share| share.node.id() == node.id()).map(|share| share.places);
                prop_assert_eq!(Some(sum), share);
            }
            let owners: Vec<_> = ring.ranges().map(|(_, node)| node.id()).collect();
            if owners.len() > 1 {
                prop_assert!((0..owners.len()).all(|at| owners[at] != owners[(at + 1) % owners.len()]),
                    "neighbouring ranges have one owner: {:?}", owners);
            }
        }
    }

    #[test]
    fn diff_tells_the_move_of_every_place(old in nodes(), new in nodes()) {
        for toy in TOYS {
            let (old, new) = (ring_of(toy, &old), ring_of(toy, &new));
            let movement = diff(&old, &new).expect("both rings have one scheme");
            let mut moved = 0_u128;
            for place in places(toy) {
                let (from, to) = (owner_at(&old, place), owner_at(&new, place));
                let holding: Vec<_> = movement.iter().filter(|moved| moved.range.contains(place)).collect();
                prop_assert_eq!(holding.len(), usize::from(from != to), "place {}", place);
                if let [found] = holding[..] {
                    prop_assert_eq!(found.from.map(|node| node.id()), from);
                    prop_assert_eq!(found.to.map(|node| node.id()), to);
                    moved += 1;
                }
                prop_assert_eq!(movement.of(place).is_some(), from != to, "place {}", place);
            }
            prop_assert_eq!(movement.places(), moved);
            let ranges: Vec<_> = movement.iter().collect();
            for at in 0..ranges.len() {
                let (this, next) = (ranges[at], ranges[(at + 1) % ranges.len()]);
                let ends = |node: Option<&std::sync::Arc<Node>>| node.map(|node| node.id().to_owned());
                let joinable = this.range.through() == next.range.after()
                    && (ends(this.from), ends(this.to)) == (ends(next.from), ends(next.to));
                prop_assert!(ranges.len() == 1 || !joinable, "two ranges could be one");
            }
        }
    }
}

fn check_sum<S: Scheme>(ring: &Ring<(), S>) -> Result<(), TestCaseError> {
    let sum: u128 = ring.shares().iter().map(|share| share.places).sum();
    let owned = ring.points().len() > 0;
    prop_assert_eq!(sum, if owned { ring.circle_places() } else { 0 });
    Ok(())
}

#[test]
fn one_point_owns_the_whole_circle() {
    let ring =
        Ring::builder().points_per_weight_unit(1).node("only").build().expect("one node is a ring");
    let shares = ring.shares();
    assert_eq!(shares.iter().map(|share| share.places).collect::<Vec<_>>(), [1 << 64]);
    assert_eq!(shares.peak_to_average(), Some(1.0));
    assert_eq!(shares.deviation(), Some(0.0));
    let ranges: Vec<_> = ring.ranges_of("only").collect();
    assert_eq!(ranges.len(), 1);
    assert_eq!(ranges[0].places(), 1 << 64);
    assert!([0, 1, u64::MAX].iter().all(|place| ranges[0].contains(*place)));
    assert_eq!(ring.ranges_of("unknown").count(), 0);
}

#[test]
fn a_ring_without_points_has_no_shares_and_no_ranges() {
    let ring = Ring::builder()
        .node(Node::new("idle").with_weight(0))
        .build()
        .expect("weight 0 is allowed");
    assert_eq!(ring.shares().peak_to_average(), None);
    assert_eq!(ring.shares().deviation(), None);
    assert_eq!(ring.shares().iter().map(|share| share.places).sum::<u128>(), 0);
    assert_eq!(ring.ranges().count(), 0);
}

#[test]
fn the_first_nodes_take_the_whole_circle() {
    let empty = Ring::<()>::default();
    let ring = Ring::builder().nodes(["a", "b"]).build().expect("two nodes are a ring");
    let movement = diff(&empty, &ring).expect("both rings have one scheme");
    assert_eq!(movement.places(), ring.circle_places());
    assert_eq!(movement.fraction(), 1.0);
    assert!(movement.iter().all(|moved| moved.from.is_none() && moved.to.is_some()));
    assert!(diff(&empty, &empty).expect("one scheme").is_empty());
    assert!(diff(&ring, &ring.clone()).expect("one scheme").is_empty());
}

#[test]
fn rings_of_different_schemes_cannot_be_compared() {
    let schemes =
        ["xxh3", "crc32"].map(|name| hashring::scheme::by_name(name).expect("the scheme exists"));
    let [old, new] = schemes
        .map(|scheme| Ring::builder().scheme(scheme).node("a").build().expect("a valid ring"));
    let error = diff(&old, &new).expect_err("the places of keys differ");
    assert_eq!(
        error.to_string(),
        "a key has one place by scheme xxh3 and another by scheme crc32; compare rings of one scheme"
    );
}
