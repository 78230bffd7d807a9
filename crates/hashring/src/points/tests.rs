use super::{PointEdits, Points, Renumber};
use crate::scheme::TieOrder;

/// Every point set of a toy circle against the definition: the first point at or after a place,
/// else the first.
#[test]
fn ceil_is_the_first_point_at_or_after_a_place() {
    for bits in [1, 4, 8] {
        for seed in 0..200_u64 {
            let mask = (1_u64 << bits) - 1;
            let added: Vec<_> = (0..seed % 40)
                .map(|i| ((seed * 1_103_515_245 + i * i * 12_345) >> 3 & mask, (i % 5) as u32))
                .collect();
            let points = points_of(bits, &added);
            for place in 0..=mask {
                let expected =
                    points.hashes().iter().position(|hash| *hash >= place).unwrap_or(points.len());
                assert_eq!(points.ceil(place), expected, "bits {bits} seed {seed} place {place}");
                let owner = points.owners().get(expected).or(points.owners().first()).copied();
                assert_eq!(points.owner_of(place), owner);
            }
        }
    }
}

#[test]
fn a_crowded_bucket_is_searched_to_its_end() {
    // All points share their top bits, as a hash without spread makes them.
    let added: Vec<_> = (0..1_000).map(|i| (i * 2, i as u32)).collect();
    let points = points_of(64, &added);
    for place in 0..1_998 {
        assert_eq!(points.owner_of(place), Some(place.div_ceil(2) as u32));
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
        assert_eq!(points.merged(edits, &Renumber::Same), None);
    }
}

#[test]
fn equal_places_stand_in_tie_order_whatever_came_first() {
    for (tie_order, expected) in
        [(TieOrder::LowestIdFirst, [0, 1, 2]), (TieOrder::HighestIdFirst, [2, 1, 0])]
    {
        let empty = Points::empty(8, tie_order);
        let first = empty.merged(added(&[(7, 1)]), &Renumber::Same).expect("nothing is taken out");
        let second = first.merged(added(&[(7, 2)]), &Renumber::Same).expect("nothing is taken out");
        let third = second.merged(added(&[(7, 0)]), &Renumber::Same).expect("nothing is taken out");
        assert_eq!(third.owners(), expected);
    }
}

fn points_of(bits: u32, points: &[(u64, u32)]) -> Points {
    let empty = Points::empty(bits, TieOrder::LowestIdFirst);
    empty.merged(added(points), &Renumber::Same).expect("nothing is taken out")
}

fn added(points: &[(u64, u32)]) -> PointEdits {
    PointEdits { removed: Vec::new(), added: points.to_vec() }
}
