//! Golden vectors of other implementations: every scheme, point for point and key for key.
//!
//! The nginx ring is no scheme of this crate. It is here as a scheme that a user writes, with
//! points that chain.

use std::ops::Range;

use hashring::{
    Crc32, EnvoyRingHash, Ketama, Node, Ring, Ringpop, Scheme,
    scheme::{NodeName, PointRule},
};
use serde_json::Value;
use twox_hash::XxHash64;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/ring_vectors.json")).expect("the file is JSON")
}

fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value[field].as_array().unwrap_or_else(|| panic!("{field} is a list in {value}"))
}

/// A list that some cases leave out.
fn list_if_any<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is text in {value}"))
}

fn small(value: &Value, field: &str) -> u32 {
    value[field]
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or_else(|| panic!("{field} is a number"))
}

/// Numbers beyond 2^53 are text in the file.
fn big(value: &Value, field: &str) -> u64 {
    text(value, field).parse().unwrap_or_else(|_| panic!("{field} is a decimal number in {value}"))
}

/// Points by number, first points, last point, and the XXH64 over `place, owner, 0` of every point.
fn check_points<S: Scheme>(case: &Value, ring: &Ring<(), S>) {
    let name = text(case, "name");
    let points: Vec<_> = ring.points().map(|point| (point.place, point.node.id())).collect();
    assert_eq!(points.len() as u32, small(case, "n_points"), "{name}");
    for field in ["points", "first_points"] {
        for (point, expected) in points.iter().zip(list_if_any(case, field)) {
            assert_eq!(*point, (big(expected, "hash"), text(expected, "owner")), "{name}");
        }
    }
    if let Some(last) = case.get("last_point") {
        assert_eq!(points.last(), Some(&(big(last, "hash"), text(last, "owner"))), "{name}");
    }
    if case.get("ring_digest_xxh64").is_some() {
        let mut bytes = Vec::new();
        for (place, owner) in &points {
            bytes.extend_from_slice(
                &place.to_le_bytes()[..ring.scheme().circle_bits() as usize / 8],
            );
            bytes.extend_from_slice(owner.as_bytes());
            bytes.push(0);
        }
        assert_eq!(XxHash64::oneshot(0, &bytes), big(case, "ring_digest_xxh64"), "{name}");
    }
}

fn check_picks<S: Scheme>(case: &Value, picks: &[Value], key_field: &str, ring: &Ring<(), S>) {
    for pick in picks {
        let key = text(pick, key_field);
        assert_eq!(
            ring.place(key.as_bytes()),
            big(pick, "h"),
            "{} key {key:?}",
            text(case, "name")
        );
        let owner = ring.lookup(key.as_bytes()).map(|node| node.id());
        assert_eq!(owner, Some(text(pick, "owner")), "{} key {key:?}", text(case, "name"));
    }
}

#[test]
fn hashes_are_those_of_the_originals() {
    let ketama = Ring::<(), Ketama>::default();
    let ringpop = Ring::<(), Ringpop>::default();
    let envoy = Ring::<(), EnvoyRingHash>::default();
    let crc32 = Ring::<(), Crc32>::default();
    for primitive in list(&vectors(), "primitives") {
        let input = text(primitive, "in").as_bytes();
        assert_eq!(crc32.place(input), big(primitive, "crc32_ieee"));
        assert_eq!(envoy.place(input), big(primitive, "xxh64_seed0"));
        assert_eq!(ringpop.place(input), big(primitive, "farm_fingerprint32"));
        assert_eq!(ketama.place(input), big(primitive, "ketama_hashi"));
    }
}

#[test]
fn envoy_and_grpc_rings() {
    let vectors = vectors();
    for case in list(&vectors["envoy_grpc_ring_hash"], "cases") {
        let scheme = EnvoyRingHash::new(small(case, "min_ring_size"), small(case, "max_ring_size"))
            .expect("the sizes are valid");
        let nodes = list(case, "hosts")
            .iter()
            .map(|host| Node::new(text(host, "key")).with_weight(small(host, "weight")));
        let ring =
            Ring::builder().scheme(scheme).nodes(nodes).build().expect("the case is a valid ring");
        check_points(case, &ring);
        for (host, count) in case["stats"]["per_host"].as_object().expect("counts are an object") {
            assert_eq!(
                ring.points_of(host).map(u64::from),
                count.as_u64(),
                "{} {host}",
                text(case, "name")
            );
        }
        for pick in list(case, "picks_by_hash") {
            let owner = ring.lookup_at(big(pick, "h")).map(|node| node.id());
            assert_eq!(owner, Some(text(pick, "owner")), "{} {pick}", text(case, "name"));
        }
        check_picks(case, list(case, "picks_by_key"), "key", &ring);
    }
}

#[test]
fn libketama_rings() {
    let vectors = vectors();
    for case in list(&vectors["libketama"], "cases") {
        let nodes = list(case, "servers")
            .iter()
            .map(|server| Node::new(text(server, "addr")).with_weight(small(server, "memory")));
        let ring =
            Ring::builder().scheme(Ketama).nodes(nodes).build().expect("the case is a valid ring");
        check_points(case, &ring);
        for (server, count) in case["points_per_server"].as_object().expect("counts are an object")
        {
            assert_eq!(
                ring.points_of(server).map(u64::from),
                count.as_u64(),
                "{} {server}",
                text(case, "name")
            );
        }
        check_picks(case, list(case, "picks"), "key", &ring);
    }
}

#[test]
fn ringpop_rings() {
    let vectors = vectors();
    let section = &vectors["ringpop_go"];
    let empty = Ring::<(), Ringpop>::default();
    assert_eq!(u64::from(empty.identity_checksum()), big(section, "empty_checksum"));
    assert_eq!(u64::from(empty.point_checksum()), big(section, "empty_checksum"));
    for case in list(section, "cases") {
        let name = text(case, "name");
        let nodes = list(case, "members").iter().map(|member| {
            let node = Node::new(text(member, "address"));
            match member["identity"].as_str() {
                Some(identity) => node.with_identity(identity),
                None => node,
            }
        });
        let ring = Ring::builder()
            .scheme(Ringpop)
            .points_per_weight_unit(small(case, "replica_points"))
            .nodes(nodes)
            .build()
            .expect("the case is a valid ring");
        check_points(case, &ring);
        assert_eq!(u64::from(ring.identity_checksum()), big(case, "checksum_legacy"), "{name}");
        assert_eq!(u64::from(ring.point_checksum()), big(case, "checksum_replica"), "{name}");
        check_picks(case, list(case, "lookups"), "key", &ring);
        for lookup in list(case, "lookups") {
            let expected: Vec<_> =
                list(lookup, "lookup_n").iter().filter_map(Value::as_str).collect();
            let mut owners = Vec::new();
            ring.lookup_n(text(lookup, "key").as_bytes(), expected.len(), &mut owners);
            assert_eq!(
                owners.iter().map(|node| node.id()).collect::<Vec<_>>(),
                expected,
                "{name} {lookup}"
            );
        }
    }
}

#[test]
fn crc32_rings() {
    let vectors = vectors();
    for case in list(&vectors["crc32_article"], "cases") {
        let weights = case["weights"].as_object().expect("weights are an object");
        let nodes = weights.iter().map(|(id, weight)| {
            Node::new(id.as_str())
                .with_weight(weight.as_u64().expect("a weight is a number") as u32)
        });
        let ring = Ring::builder()
            .scheme(Crc32)
            .points_per_weight_unit(small(case, "points_per_weight_unit"))
            .nodes(nodes)
            .build()
            .expect("the case is a valid ring");
        check_points(case, &ring);
        check_picks(case, list(case, "picks"), "token", &ring);
    }
}

/// Two ids with points in common: all points stay, the highest id owns, and the other inherits when
/// it leaves.
#[test]
fn crc32_collisions() {
    let vectors = vectors();
    for case in list(&vectors["crc32_article"], "collisions") {
        let points = small(case, "points_per_weight_unit");
        let ring = Ring::builder()
            .scheme(Crc32)
            .points_per_weight_unit(points)
            .nodes([text(case, "a"), text(case, "b")])
            .build()
            .expect("the case is a valid ring");
        assert_eq!(ring.points().len() as u32, 2 * points);
        let mut places: Vec<_> = ring.points().map(|point| point.place).collect();
        places.dedup();
        assert_eq!(places.len() as u32, small(case, "n_points_distinct"));

        let winner = text(case, "owner_if_inserted_ascending_id");
        assert_eq!(ring.lookup_at(big(case, "hash")).map(|node| node.id()), Some(winner));
        let token = text(case, "token_in_that_arc").as_bytes();
        assert_eq!(ring.place(token), big(case, "token_hash"));
        assert_eq!(ring.lookup(token).map(|node| node.id()), Some(text(case, "pick_ascending")));

        let rest = ring.apply([hashring::Edit::remove(winner)]).expect("the winner is in the ring");
        assert_eq!(
            rest.lookup_at(big(case, "hash")).map(|node| node.id()),
            Some(text(case, "owner_if_inserted_descending_id"))
        );
    }
}

/// `hash .. consistent` of nginx: each point is the CRC-32 over the host, a zero byte, the port and
/// the point before.
#[derive(Clone, Debug)]
struct Nginx;

impl Scheme for Nginx {
    fn name(&self) -> &str {
        "nginx"
    }

    fn circle_bits(&self) -> u32 {
        32
    }

    fn point_rule(&self) -> PointRule {
        PointRule::PerWeightUnit { default: 160 }
    }

    fn hash_key(&self, key: &[u8]) -> u64 {
        u64::from(crc32fast::hash(key))
    }

    fn hash_points(&self, node: NodeName<'_>, range: Range<u32>, hashes: &mut Vec<u64>) {
        let (host, port) = node.id.rsplit_once(':').unwrap_or((node.id, ""));
        let mut base = crc32fast::Hasher::new();
        base.update(format!("{host}\0{port}").as_bytes());
        let chain = std::iter::successors(Some(0_u32), |last| {
            let mut hasher = base.clone();
            hasher.update(&last.to_le_bytes());
            Some(hasher.finalize())
        });
        hashes.extend(chain.skip(1 + range.start as usize).take(range.len()).map(u64::from));
    }
}

#[test]
fn nginx_rings_by_a_scheme_of_the_users_own() {
    let vectors = vectors();
    for case in list(&vectors["nginx_consistent"], "cases") {
        let nodes = list(case, "servers")
            .iter()
            .map(|server| Node::new(text(server, "addr")).with_weight(small(server, "weight")));
        let ring =
            Ring::builder().scheme(Nginx).nodes(nodes).build().expect("the case is a valid ring");
        check_points(case, &ring);
        check_picks(case, list(case, "picks"), "key", &ring);
    }
}
