use super::{PointEdits, Points, Renumber, Spare};
use crate::scheme::TieOrder;

/// Every point set of a toy circle against the definition: the first point at or after a place,
/// else the first.
#[test]
fn ceil_is_the_first_point_at_or_after_a_place() {
    for bits in [1, 4, 8] {
        for seed in 0..200_u64 {
            let points = toy_circle(bits, seed);
            for place in 0..1 << bits {
                let expected =
                    points.hashes().iter().position(|hash| *hash >= place).unwrap_or(points.len());
                assert_eq!(points.ceil(place), expected, "bits {bits} seed {seed} place {place}");
                let owner = points.owners().get(expected).or(points.owners().first()).copied();
                assert_eq!(points.owner_of(place), owner);
            }
        }
    }
}

/// Every point set of a toy circle against the definition: the least distance either way round.
#[test]
fn the_nearest_point_has_the_least_distance() {
    for bits in [1, 4, 8] {
        for seed in 0..200_u64 {
            let points = toy_circle(bits, seed);
            let mask = (1_u64 << bits) - 1;
            for place in 0..=mask {
                let distance = |hash: u64| {
                    let ahead = hash.wrapping_sub(place) & mask;
                    ahead.min(place.wrapping_sub(hash) & mask)
                };
                let expected = points.hashes().iter().map(|hash| distance(*hash)).min();
                let found = points.nearest([place]);
                assert_eq!(found.map(|near| near.distance), expected, "bits {bits} seed {seed}");
                if let Some(near) = found {
                    assert_eq!(distance(points.hashes()[near.position]), near.distance);
                }
            }
        }
    }
}

#[test]
fn the_clockwise_one_of_two_at_one_distance_is_nearest() {
    let points = points_of(8, &[(10, 0), (20, 1), (20, 2), (250, 3)]);
    let owner = |place| points.nearest([place]).map(|near| points.owners()[near.position]);
    assert_eq!([owner(14), owner(15), owner(16)], [Some(0), Some(1), Some(1)]);
    // From behind, the last of several at one place is the first.
    assert_eq!([owner(20), owner(21)], [Some(1), Some(2)]);
    // Of several places the one that is named first counts where distances are equal.
    let owner_of = |places| points.nearest(places).map(|near| points.owners()[near.position]);
    assert_eq!([owner_of([21, 9]), owner_of([9, 21])], [Some(2), Some(0)]);
    assert_eq!([owner_of([30, 240]), owner_of([30, 248])], [Some(2), Some(3)]);
    // 250 is as far from 2 as 10 is.
    assert_eq!([owner(1), owner(2), owner(255)], [Some(3), Some(0), Some(3)]);
    assert_eq!(points_of(8, &[]).nearest([7]), None);
}

#[test]
fn a_crowded_bucket_is_searched_to_its_end() {
    // All points share their top bits, as a hash without spread makes them.
    let added: Vec<_> = (0..1_000).map(|i| (i * 2, i as u32)).collect();
    let points = points_of(64, &added);
    for place in 0..1_998 {
        assert_eq!(points.owner_of(place), Some(place.div_ceil(2) as u32));
        let nearest = points.nearest([place]).expect("there are points");
        assert_eq!((nearest.distance, nearest.position), (place % 2, place.div_ceil(2) as usize));
    }
    assert_eq!(points.owner_of(u64::MAX), Some(0));
}

#[test]
fn places_above_the_circle_lose_their_high_bits() {
    let points = points_of(8, &[(10, 0), (200, 1)]);
    assert_eq!(points.owner_of(0x1_0B), points.owner_of(0x0B));
    assert_eq!(points.owner_of(0x1_0B), Some(1));
}

#[test]
fn a_point_that_is_not_there_cannot_be_taken_out() {
    let points = points_of(8, &[(10, 0), (10, 2), (20, 1)]);
    for missing in [(10, 1), (11, 0), (255, 0)] {
        let edits = PointEdits { removed: vec![missing], added: vec![] };
        assert_eq!(points.merged(edits, &Renumber::Same, Spare::default()), None);
    }
}

#[test]
fn equal_places_stand_in_tie_order_whatever_came_first() {
    for (tie_order, expected) in
        [(TieOrder::LowestIdFirst, [0, 1, 2]), (TieOrder::HighestIdFirst, [2, 1, 0])]
    {
        let empty = Points::empty(8, tie_order);
        let first = empty
            .merged(added(&[(7, 1)]), &Renumber::Same, Spare::default())
            .expect("nothing is taken out");
        let second = first
            .merged(added(&[(7, 2)]), &Renumber::Same, Spare::default())
            .expect("nothing is taken out");
        let third = second
            .merged(added(&[(7, 0)]), &Renumber::Same, Spare::default())
            .expect("nothing is taken out");
        assert_eq!(third.owners(), expected);
    }
}

/// Up to 39 points, many of them at one place.
fn toy_circle(bits: u32, seed: u64) -> Points {
    let mask = (1_u64 << bits) - 1;
    let place = |i: u64| (seed * 1_103_515_245 + i * i * 12_345) >> 3 & mask;
    let added: Vec<_> = (0..seed % 40).map(|i| (place(i), (i % 5) as u32)).collect();
    points_of(bits, &added)
}

fn points_of(bits: u32, points: &[(u64, u32)]) -> Points {
    let empty = Points::empty(bits, TieOrder::LowestIdFirst);
    empty.merged(added(points), &Renumber::Same, Spare::default()).expect("nothing is taken out")
}

fn added(points: &[(u64, u32)]) -> PointEdits {
    PointEdits { removed: Vec::new(), added: points.to_vec() }
}
