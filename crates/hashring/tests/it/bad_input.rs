//! What nobody should pass, and what happens then: a documented result or an error that says what
//! to do.

use std::{ops::Range, sync::Arc};

use hashring::{
    ActiveSet, ActiveSetError, BackendRecord, BuildError, Crc32, Edit, EnvoyRingHash, Ketama,
    LoadBound, Node, POINTS_MAX, POINTS_MAX_DEFAULT, Ring, Scheme, UpdateError,
    limits::DISCOVERED_BACKENDS_MAX,
    scheme::{NodeName, PointRule, RingSizeError, by_name},
};

#[test]
fn a_ring_without_points_has_no_owner() {
    let idle = Node::new("idle").with_weight(0);
    let rings =
        [Ring::default(), Ring::builder().nodes([idle]).build().expect("weight 0 is allowed")];
    for ring in rings {
        assert!(ring.lookup(b"key").is_none());
        assert!(ring.lookup_at(u64::MAX).is_none());
        assert!(ring.walk(b"key").next().is_none());
        let mut owners = vec![];
        ring.lookup_n(b"key", 3, &mut owners);
        assert!(owners.is_empty());
        ring.owners_spread(b"key", 3, |_| 0, &mut owners);
        assert!(owners.is_empty());
        assert!(ring.lookup_bounded(b"key", LoadBound::default(), 10, |_| 1).is_none());
        assert_eq!(ring.points().len(), 0);
    }
    assert!(Ring::<()>::default().is_empty());
}

#[test]
fn every_scheme_builds_empty_idle_and_single_rings() {
    for name in ["xxh3", "crc32", "ringpop", "envoy", "ketama"] {
        let scheme = by_name(name).expect("the scheme exists");
        let build =
            |nodes: Vec<Node>| Ring::builder().scheme(Arc::clone(&scheme)).nodes(nodes).build();
        let empty = build(vec![]).expect("no nodes are a ring");
        assert!(empty.lookup(b"key").is_none(), "{name}");
        let idle = build(vec![Node::new("a").with_weight(0)]).expect("weight 0 is allowed");
        assert!(idle.lookup(b"key").is_none(), "{name}");
        let single = build(vec![Node::new("a"), Node::new("b").with_weight(0)])
            .expect("two nodes are a ring");
        for key in [&b""[..], b"key", &[0xff, 0x00, 0xc3, 0x28], &[0; 10_000]] {
            assert_eq!(single.lookup(key).map(|node| node.id()), Some("a"), "{name}");
        }
    }
    assert!(by_name("md4").is_none());
}

#[test]
fn ids_must_be_unique() {
    let error = Ring::builder().nodes(["a", "b", "a"]).build().expect_err("a stands there twice");
    assert_eq!(error, BuildError::DuplicateId { id: "a".to_owned() });
    let ring = Ring::builder().nodes(["a", "b"]).build().expect("two nodes are a ring");
    assert_eq!(ring.apply([Edit::add("a")]), Err(UpdateError::Build(error.clone())));
    assert_eq!(
        ring.apply([Edit::add("c"), Edit::add("c")]).expect_err("c comes twice").to_string(),
        "two nodes have the id \"c\"; give each node an id of its own"
    );
    assert_eq!(
        ring.with_nodes([Node::new("x"), Node::new("x")]),
        Err(BuildError::DuplicateId { id: "x".to_owned() })
    );
}

#[test]
fn edits_name_what_is_there_and_are_made_in_their_order() {
    let ring = Ring::builder().nodes(["a", "b"]).build().expect("two nodes are a ring");
    for edit in [Edit::remove("z"), Edit::reweight("z", 2), Edit::replace("z")] {
        assert_eq!(ring.apply([edit]), Err(UpdateError::UnknownId { id: "z".to_owned() }));
    }
    assert!(ring.apply([Edit::remove("a"), Edit::remove("a")]).is_err());
    let same = ring.apply([Edit::remove("a"), Edit::add("a")]).expect("it left and came back");
    assert_eq!(same, ring);
    let heavier = ring.apply([Edit::add("c"), Edit::reweight("c", 3)]).expect("it came and grew");
    assert_eq!(heavier.points_of("c"), Some(300));
    assert_eq!(ring.apply([]).expect("nothing changes"), ring);
}

#[test]
fn a_changed_identity_moves_the_node() {
    let ring = Ring::builder().nodes(["a", "b"]).build().expect("two nodes are a ring");
    let moved =
        ring.apply([Edit::replace(Node::new("a").with_identity("elsewhere"))]).expect("a is there");
    let fresh =
        Ring::builder().nodes([Node::new("a").with_identity("elsewhere"), Node::new("b")]).build();
    assert_eq!(Ok(moved), fresh);
}

#[test]
fn points_are_limited() {
    let error =
        Ring::builder().points_per_weight_unit(0).node("a").build().expect_err("no points at all");
    assert_eq!(error, BuildError::ZeroPointsPerWeightUnit);

    let builder = || Ring::builder().points_per_weight_unit(1_000);
    let error =
        builder().node(Node::new("a").with_weight(10_000)).build().expect_err("10 million points");
    assert_eq!(error, BuildError::TooManyPoints { needed: 10_000_000, limit: POINTS_MAX_DEFAULT });
    let error = Ring::builder()
        .points_per_weight_unit(u32::MAX)
        .node(Node::new("a").with_weight(u32::MAX))
        .build();
    let needed = u64::from(u32::MAX) * u64::from(u32::MAX);
    assert_eq!(error, Err(BuildError::TooManyPoints { needed, limit: POINTS_MAX_DEFAULT }));

    let ring = builder().max_points(2_000).nodes(["a", "b"]).build().expect("2,000 points fit");
    assert_eq!(
        ring.apply([Edit::add("c")]).expect_err("3,000 points do not fit").to_string(),
        "the nodes need 3000 points and the limit is 2000; lower their weights or points_per_weight_unit, or raise max_points"
    );
    for value in [0, POINTS_MAX + 1, u32::MAX] {
        assert_eq!(
            builder().max_points(value).node("a").build(),
            Err(BuildError::MaxPoints { value })
        );
    }
}

#[test]
fn a_scheme_that_counts_points_itself_takes_no_points_per_unit() {
    let error = Ring::builder().scheme(Ketama).points_per_weight_unit(160).node("a").build();
    assert_eq!(error, Err(BuildError::PointsDecidedByScheme { scheme: "ketama".to_owned() }));
}

#[test]
fn sizes_of_an_envoy_ring_are_checked() {
    for (min, max) in [(0, 10), (10, 0), (1, 8_388_609)] {
        assert!(matches!(EnvoyRingHash::new(min, max), Err(RingSizeError::OutOfRange { .. })));
    }
    assert_eq!(EnvoyRingHash::new(11, 10), Err(RingSizeError::Reversed { min: 11, max: 10 }));
    // Weights whose sum passes 32 bits sent another implementation into an endless loop.
    let heavy = ["a", "b", "c"].map(|id| Node::new(id).with_weight(u32::MAX));
    let ring = Ring::builder()
        .scheme(EnvoyRingHash::default())
        .nodes(heavy)
        .build()
        .expect("1,026 points");
    assert_eq!(ring.points().len(), 1_026);
}

#[test]
fn load_factors_are_finite_and_at_least_one() {
    for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 0.99] {
        let error = LoadBound::new(factor).expect_err("the factor is refused");
        assert_eq!(
            error.to_string(),
            format!("the load factor is {factor}; it must be a finite number of at least 1")
        );
    }
    assert!(LoadBound::new(1.0).is_ok());
    assert_eq!(
        LoadBound::new(f64::MAX).expect("it is finite").capacity(u64::MAX, u32::MAX, 0),
        u64::MAX
    );
    assert_eq!(LoadBound::default().capacity(0, 0, 0), 1);
}

#[test]
fn an_endless_list_from_discovery_is_refused() {
    let mut set = ActiveSet::default();
    let _ = set.replace([BackendRecord::new("a", "a:1")]).expect("one backend is a list");
    let endless = std::iter::repeat_with(|| BackendRecord::new("x", "x:1"));
    assert_eq!(set.replace(endless), Err(ActiveSetError::TooManyBackends));
    assert_eq!(set.backends().len(), 1, "the set stays as it was");
    let _ = set
        .replace(vec![BackendRecord::new("x", "x:1"); DISCOVERED_BACKENDS_MAX])
        .expect("the limit itself");
}

/// What a scheme could do wrong, one thing at a time.
#[derive(Clone, Debug)]
enum Broken {
    NoBits,
    TooManyBits,
    FewerPoints,
    MorePoints,
    WrongCounts,
    /// Other points each time.
    Changing(Arc<std::sync::atomic::AtomicU64>),
}

impl Scheme for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn circle_bits(&self) -> u32 {
        match self {
            Self::NoBits => 0,
            Self::TooManyBits => 65,
            _ => 64,
        }
    }

    fn point_rule(&self) -> PointRule {
        match self {
            Self::WrongCounts => PointRule::WholeRing,
            _ => PointRule::PerWeightUnit { default: 3 },
        }
    }

    fn hash_key(&self, key: &[u8]) -> u64 {
        key.len() as u64
    }

    fn hash_points(&self, _node: NodeName<'_>, range: Range<u32>, hashes: &mut Vec<u64>) {
        match self {
            Self::FewerPoints => {}
            Self::MorePoints => hashes.extend([1, 2, 3, 4]),
            Self::Changing(calls) => {
                let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                hashes.extend(range.map(|point| call << 8 | u64::from(point)));
            }
            _ => hashes.extend(range.map(u64::from)),
        }
    }

    fn point_counts(&self, _nodes: &[hashring::scheme::WeightedName<'_>]) -> Vec<u32> {
        vec![1; 7]
    }
}

#[test]
fn a_scheme_that_breaks_its_contract_is_an_error() {
    for scheme in [
        Broken::NoBits,
        Broken::TooManyBits,
        Broken::FewerPoints,
        Broken::MorePoints,
        Broken::WrongCounts,
    ] {
        let result = Ring::builder().scheme(scheme.clone()).node("a").build();
        assert!(matches!(result, Err(BuildError::BrokenScheme { .. })), "{scheme:?}");
    }
    let ring = Ring::builder()
        .scheme(Broken::Changing(Arc::default()))
        .nodes(["a", "b"])
        .build()
        .expect("so far so good");
    let result = ring.apply([Edit::remove("a")]);
    assert!(
        matches!(result, Err(UpdateError::Build(BuildError::BrokenScheme { .. }))),
        "{result:?}"
    );
}

#[test]
fn ids_and_keys_may_be_anything() {
    let ids = ["", " ", "#", "a#1", "ключ", "\u{0}", "🦀"];
    let ring = Ring::builder().scheme(Crc32).nodes(ids).build().expect("any text is an id");
    assert_eq!(ring.len(), ids.len());
    for key in [&b""[..], &[0xff, 0xfe, 0x80], "🦀".as_bytes()] {
        assert!(ring.lookup(key).is_some());
    }
}
