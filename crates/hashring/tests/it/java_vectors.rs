//! Rings that a Java `TreeMap` with `java.util.zip.CRC32` built, point for point and token for
//! token.

use hashring::{Crc32, Node, Ring};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/java_ring_vectors.json")).expect("the file is JSON")
}

fn array<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value[field].as_array().unwrap_or_else(|| panic!("{field} is a list"))
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} is a number"))
}

fn set<'v>(vectors: &'v Value, name: &str) -> &'v Value {
    array(vectors, "sets")
        .iter()
        .find(|set| set["name"] == name)
        .unwrap_or_else(|| panic!("there is a set {name}"))
}

fn ring_of(set: &Value) -> Ring<(), Crc32> {
    let nodes = array(set, "backends").iter().map(|backend| {
        Node::new(backend["id"].as_str().expect("an id is text"))
            .with_weight(number(backend, "weight") as u32)
    });
    Ring::builder()
        .scheme(Crc32)
        .points_per_weight_unit(number(set, "pointsPerWeightUnit") as u32)
        .nodes(nodes)
        .build()
        .expect("the set is a valid ring")
}

/// The sets whose rings do not depend on the order of insertion, or that were inserted in ascending
/// order.
const AGREEING_SETS: [&str; 4] = [
    "weighted-1-2-3",
    "addr-mixed-with-zero-weight",
    "collision-ascending-insert",
    "single-backend-single-point",
];

#[test]
fn token_hashes_are_those_of_java() {
    let vectors = vectors();
    let ring = Ring::<(), Crc32>::default();
    for (token, crc) in array(&vectors, "tokens").iter().zip(array(&vectors, "token_crc32")) {
        let token = token.as_str().expect("a token is text");
        assert_eq!(Some(ring.place(token.as_bytes())), crc.as_u64(), "token {token:?}");
    }
}

#[test]
fn every_token_goes_to_the_backend_that_java_picks() {
    let vectors = vectors();
    for name in AGREEING_SETS {
        let set = set(&vectors, name);
        let ring = ring_of(set);
        let backends = array(set, "backends");
        for (token, pick) in array(&vectors, "tokens").iter().zip(array(set, "picks")) {
            let token = token.as_str().expect("a token is text");
            let expected = &backends[pick.as_u64().expect("a pick is an index") as usize]["id"];
            let owner = ring.lookup(token.as_bytes()).map(|node| node.id());
            assert_eq!(owner, expected.as_str(), "set {name}, token {token:?}");
        }
    }
}

/// Java writes every distinct point as `hash=owner;` and takes the CRC-32 of the text.
#[test]
fn the_points_are_those_of_java() {
    let vectors = vectors();
    for name in AGREEING_SETS {
        let set = set(&vectors, name);
        let ring = ring_of(set);
        assert_eq!(ring.points().len() as u64, number(set, "puts"), "set {name}");
        let mut owned: Vec<_> = ring.points().collect();
        // The first of equal points owns the place; a Java map has no others.
        owned.dedup_by_key(|point| point.place);
        assert_eq!(owned.len() as u64, number(set, "ringSize"), "set {name}");
        assert_eq!(owned[0].place, number(set, "firstKey"), "set {name}");
        assert_eq!(owned[owned.len() - 1].place, number(set, "lastKey"), "set {name}");
        let text: String =
            owned.iter().map(|point| format!("{}={};", point.place, point.node.id())).collect();
        assert_eq!(
            u64::from(crc32fast::hash(text.as_bytes())),
            number(set, "ring_crc32_of_key=owner;"),
            "set {name}"
        );
    }
}

/// A Java map that is filled in descending order gives colliding points to the other backend. Ours
/// is the ring of the ascending order, whatever the order was.
#[test]
fn the_order_of_insertion_decides_in_java_and_not_here() {
    let vectors = vectors();
    let descending = set(&vectors, "collision-descending-insert");
    let ascending = set(&vectors, "collision-ascending-insert");
    assert_eq!(ring_of(descending), ring_of(ascending));
    let backends = array(descending, "backends");
    let ring = ring_of(descending);
    let moved = array(&vectors, "tokens")
        .iter()
        .zip(array(descending, "picks"))
        .filter(|(token, pick)| {
            let token = token.as_str().expect("a token is text");
            let expected = &backends[pick.as_u64().expect("a pick is an index") as usize]["id"];
            ring.lookup(token.as_bytes()).map(|node| node.id()) != expected.as_str()
        })
        .count();
    assert!(moved > 100, "the set documents a difference, and {moved} tokens differ");
}
