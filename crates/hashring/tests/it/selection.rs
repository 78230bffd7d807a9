//! Discovery, ring and local health together, on a clock that the tests move.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use hashring::{
    BackendRecord, Edit, HealthConfig, Outcome, PickError, Selector, SelectorError, SetChange,
    WhenAllQuarantined,
};

const WINDOW: Duration = Duration::from_secs(10);

fn records(ids: impl IntoIterator<Item = u32>) -> Vec<BackendRecord> {
    ids.into_iter()
        .map(|i| BackendRecord::new(format!("backend-{i}"), format!("10.0.0.{i}:80")))
        .collect()
}

/// One failure is enough, for any number of backends.
fn unbounded() -> HealthConfig {
    HealthConfig::default()
        .with_threshold(1)
        .with_window(WINDOW)
        .with_max_quarantined_percent(100)
        .with_min_eligible(0)
        .with_panic_threshold_percent(0)
}

fn selector(when_all_quarantined: WhenAllQuarantined, now: Instant) -> Selector {
    Selector::builder()
        .health(unbounded())
        .when_all_quarantined(when_all_quarantined)
        .build(now)
        .expect("the options are valid")
}

fn tokens() -> impl Iterator<Item = Vec<u8>> {
    (0..500).map(|i| format!("user-{i}").into_bytes())
}

fn picks(selector: &Selector, now: Instant) -> BTreeMap<Vec<u8>, String> {
    let mut picker = selector.picker();
    tokens()
        .map(|token| (token.clone(), picker.pick(&token, now).expect("a backend").id().to_owned()))
        .collect()
}

#[test]
fn a_quarantine_moves_only_the_tokens_of_its_backend_and_gives_them_back() {
    let now = Instant::now();
    let selector = selector(WhenAllQuarantined::Fail, now);
    let replaced = selector.replace_backends(records(0..10)).expect("the list is valid");
    assert_eq!(replaced.change, SetChange::Membership);

    let before = picks(&selector, now);
    assert_eq!(selector.report("backend-3", Outcome::Failure, now), Some(WINDOW));
    let during = picks(&selector, now);
    let without = selector.ring().apply([Edit::remove("backend-3")]).expect("it is listed");
    for (token, id) in &before {
        if id == "backend-3" {
            let next = without.lookup(token).expect("there are others").id();
            assert_eq!(during[token], next, "it goes where it would go if the backend had left");
        } else {
            assert_eq!(&during[token], id);
        }
    }
    assert_eq!(picks(&selector, now + WINDOW), before, "the quarantine is over");

    selector.report("backend-3", Outcome::Failure, now + WINDOW);
    selector.report("backend-3", Outcome::Success, now + WINDOW);
    assert_eq!(picks(&selector, now + WINDOW), before, "a success ends it at once");
}

#[test]
fn picks_and_skips_are_counted_per_backend() {
    let now = Instant::now();
    let selector = selector(WhenAllQuarantined::Fail, now);
    selector.replace_backends(records(0..5)).expect("the list is valid");
    selector.report("backend-1", Outcome::Failure, now);
    let expected = picks(&selector, now);
    // A list that says the same, or changes an address, keeps the counts.
    let mut again = records((0..5).rev());
    again[0].address = "10.9.9.9:80".to_owned();
    assert_eq!(
        selector.replace_backends(again).expect("the list is valid").change,
        SetChange::Details
    );
    let ring = selector.ring();
    for node in ring.nodes() {
        let picked = expected.values().filter(|id| *id == node.id()).count() as u64;
        assert_eq!(node.data().picks(), picked, "{}", node.id());
    }
    let passed = tokens()
        .filter(|token| ring.lookup(token).is_some_and(|node| node.id() == "backend-1"))
        .count();
    let skips = ring.node("backend-1").expect("it is listed").data().skips();
    assert!(skips >= passed as u64 && passed > 0, "{skips} skips for {passed} tokens");
    assert_eq!(ring.node("backend-4").expect("it is listed").data().address(), "10.9.9.9:80");
}

#[test]
fn when_all_are_quarantined_the_caller_chooses() {
    let now = Instant::now();
    for policy in [WhenAllQuarantined::Fail, WhenAllQuarantined::Ignore] {
        let selector = selector(policy, now);
        selector.replace_backends(records(0..40)).expect("the list is valid");
        let homes = picks(&selector, now);
        for i in 0..40 {
            selector.report(&format!("backend-{i}"), Outcome::Failure, now);
        }
        let mut picker = selector.picker();
        let mut several = Vec::new();
        for token in tokens() {
            let picked = picker.pick(&token, now).map(|node| node.id().to_owned());
            let filled = picker.pick_n(&token, 3, now, &mut several);
            match policy {
                WhenAllQuarantined::Fail => {
                    assert_eq!(picked, Err(PickError::AllQuarantined));
                    assert_eq!(filled, Err(PickError::AllQuarantined));
                    assert!(several.is_empty());
                }
                WhenAllQuarantined::Ignore => {
                    assert_eq!(picked.as_ref(), Ok(&homes[&token]));
                    assert_eq!(filled, Ok(()));
                    assert_eq!(several[0].id(), homes[&token]);
                    assert_eq!(several.len(), 3);
                }
            }
        }
    }
}

#[test]
fn without_backends_nothing_is_picked() {
    let now = Instant::now();
    for policy in [WhenAllQuarantined::Fail, WhenAllQuarantined::Ignore] {
        let selector = selector(policy, now);
        let mut picker = selector.picker();
        assert_eq!(picker.pick(b"token", now).err(), Some(PickError::NoBackends));
        let idle = records(0..3).into_iter().map(|record| record.with_weight(0));
        selector.replace_backends(idle).expect("weight 0 is allowed");
        assert_eq!(picker.pick(b"token", now).err(), Some(PickError::NoBackends));
        let mut several = vec![];
        assert_eq!(picker.pick_n(b"token", 2, now, &mut several), Err(PickError::NoBackends));
        assert_eq!(picker.pick_n(b"token", 0, now, &mut several), Ok(()));
        let sick = records(0..3).into_iter().map(|record| record.with_healthy(false));
        assert_eq!(selector.replace_backends(sick).expect("a valid list").unhealthy, 3);
        assert!(picker.ring().is_empty());
        assert_eq!(
            selector.report("backend-1", Outcome::Failure, now),
            None,
            "nobody of this name is listed"
        );
    }
}

#[test]
fn pick_n_takes_distinct_backends_and_leaves_out_the_quarantined() {
    let now = Instant::now();
    let selector = selector(WhenAllQuarantined::Ignore, now);
    selector.replace_backends(records(0..6)).expect("the list is valid");
    selector.report("backend-0", Outcome::Failure, now);
    selector.report("backend-5", Outcome::Failure, now);
    let mut picker = selector.picker();
    let mut picked = Vec::new();
    for token in tokens() {
        picker.pick_n(&token, 10, now, &mut picked).expect("four are left");
        let ring = Arc::clone(picker.ring());
        let expected: Vec<_> = ring
            .walk(&token)
            .filter(|node| !["backend-0", "backend-5"].contains(&node.id()))
            .collect();
        assert_eq!(
            picked.iter().map(|node| node.id()).collect::<Vec<_>>(),
            expected.iter().map(|node| node.id()).collect::<Vec<_>>()
        );
        assert_eq!(picked.len(), 4);
    }
}

#[test]
fn the_ring_is_replaced_only_when_something_changed() {
    let now = Instant::now();
    let selector = selector(WhenAllQuarantined::Ignore, now);
    selector.replace_backends(records(0..5)).expect("the list is valid");
    let ring = selector.ring();
    let mut shuffled = records([3, 1, 4, 1, 0, 2, 3]);
    shuffled.push(BackendRecord::new("", "nameless:80"));
    shuffled.push(BackendRecord::new("backend-9", "10.0.0.9:80").with_healthy(false));
    let replaced = selector.replace_backends(shuffled).expect("the list is valid");
    assert_eq!(replaced.change, SetChange::None);
    assert_eq!((replaced.duplicates, replaced.without_id, replaced.unhealthy), (2, 1, 1));
    assert!(
        Arc::ptr_eq(&ring, &selector.ring()),
        "the same membership is no reason for another ring"
    );

    let mut heavier = records(0..5);
    heavier[2].weight = 3;
    assert_eq!(
        selector.replace_backends(heavier).expect("a valid list").change,
        SetChange::Membership
    );
    assert_eq!(selector.ring().points_of("backend-2"), Some(300));
}

#[test]
fn of_contradicting_records_the_same_one_wins_in_any_order() {
    let now = Instant::now();
    let one = BackendRecord::new("a", "10.0.0.1:80").with_weight(1);
    let two = BackendRecord::new("a", "10.0.0.1:80").with_weight(2).with_label("zone", "b");
    let sick = BackendRecord::new("a", "10.0.0.0:80").with_healthy(false);
    for list in [vec![one.clone(), two.clone(), sick.clone()], vec![sick, two, one]] {
        let selector = selector(WhenAllQuarantined::Ignore, now);
        assert_eq!(selector.replace_backends(list).expect("a valid list").duplicates, 1);
        let ring = selector.ring();
        assert_eq!(ring.node("a").map(|node| node.weight()), Some(1));
    }
}

#[test]
fn a_list_that_is_refused_leaves_everything() {
    let now = Instant::now();
    let selector = Selector::builder().max_points(1_000).build(now).expect("the options are valid");
    selector.replace_backends(records(0..5)).expect("500 points fit");
    let ring = selector.ring();
    let error = selector.replace_backends(records(0..11)).expect_err("1,100 points do not fit");
    assert!(matches!(error, SelectorError::Ring(_)), "{error}");
    assert!(Arc::ptr_eq(&ring, &selector.ring()));
    assert_eq!(
        selector.replace_backends(records(0..5)).expect("a valid list").change,
        SetChange::None
    );
}

#[test]
fn a_backend_that_leaves_and_returns_is_still_quarantined() {
    let now = Instant::now();
    let selector = selector(WhenAllQuarantined::Fail, now);
    selector.replace_backends(records(0..3)).expect("a valid list");
    selector.report("backend-1", Outcome::Failure, now);
    selector.replace_backends(records([0, 2])).expect("a valid list");
    selector.replace_backends(records(0..3)).expect("a valid list");
    let ring = selector.ring();
    assert!(ring.node("backend-1").expect("it is listed").data().health().is_quarantined(now));
}

/// While lists of 4 to 8 backends come and go, every pick is the owner in one of those five rings.
#[test]
fn pickers_on_many_threads_follow_the_list() {
    let now = Instant::now();
    let selector = selector(WhenAllQuarantined::Ignore, now);
    let mut possible = BTreeMap::<Vec<u8>, Vec<String>>::new();
    for count in 4..=8 {
        selector.replace_backends(records(0..count)).expect("a valid list");
        for (token, id) in picks(&selector, now) {
            possible.entry(token).or_default().push(id);
        }
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut picker = selector.picker();
                for _ in 0..20 {
                    for (token, ids) in &possible {
                        let picked = picker.pick(token, now).expect("there always is a backend");
                        assert!(ids.iter().any(|id| id == picked.id()));
                    }
                }
            });
        }
        for round in 0..200 {
            selector.replace_backends(records(0..4 + round % 5)).expect("a valid list");
        }
    });
    for (token, id) in picks(&selector, now) {
        assert_eq!(Some(&id), possible[&token].last());
    }
}

/// A selector of so many backends with this health, and which of them are quarantined after all
/// have failed once.
fn all_fail(health: HealthConfig, backends: u32, now: Instant) -> (Selector, Vec<u32>) {
    let selector = Selector::builder().health(health).build(now).expect("the options are valid");
    selector.replace_backends(records(0..backends)).expect("the list is valid");
    let begun = (0..backends)
        .filter(|i| selector.report(&format!("backend-{i}"), Outcome::Failure, now).is_some());
    let begun = begun.collect();
    (selector, begun)
}

fn is_quarantined(selector: &Selector, backend: u32, now: Instant) -> bool {
    let ring = selector.ring();
    let node = ring.node(&format!("backend-{backend}")).expect("it is listed");
    node.data().health().is_quarantined(now)
}

#[test]
fn at_most_a_tenth_is_quarantined_at_least_one_and_never_the_last() {
    let now = Instant::now();
    let default = || HealthConfig::default().with_threshold(1).with_window(WINDOW);
    for (backends, expected) in [(1, 0), (2, 1), (3, 1), (6, 1), (19, 1), (20, 2), (45, 4)] {
        let (selector, begun) = all_fail(default(), backends, now);
        assert_eq!(begun.len(), expected, "of {backends}");
        let quarantined = (0..backends).filter(|i| is_quarantined(&selector, *i, now)).count();
        assert_eq!(quarantined, expected, "what is answered is what is done");
        assert_eq!(selector.quarantines_withheld(), u64::from(backends) - expected as u64);
        assert!(picks(&selector, now).len() == 500, "there is always somebody");
    }
}

#[test]
fn bounds_of_quarantines_are_settable() {
    let now = Instant::now();
    let health = |percent| {
        let health = HealthConfig::default().with_threshold(1).with_window(WINDOW);
        health.with_max_quarantined_percent(percent).with_panic_threshold_percent(0)
    };
    assert_eq!(all_fail(health(0), 10, now).1.len(), 0);
    assert_eq!(all_fail(health(30), 10, now).1.len(), 3);
    assert_eq!(all_fail(health(100), 10, now).1.len(), 9);
    assert_eq!(all_fail(health(100).with_min_eligible(4), 10, now).1.len(), 6);
    assert_eq!(all_fail(health(100).with_min_eligible(20), 10, now).1.len(), 0);
    let error = Selector::builder().health(health(101)).build(now).expect_err("101 %");
    assert_eq!(error.to_string(), "max_quarantined_percent is 101; it must be 0 to 100");
}

#[test]
fn a_place_in_quarantine_becomes_free_by_a_success_by_time_and_by_discovery() {
    let now = Instant::now();
    let health = HealthConfig::default().with_threshold(1).with_window(WINDOW);
    let fail = |selector: &Selector, backend: u32, now| {
        selector.report(&format!("backend-{backend}"), Outcome::Failure, now)
    };

    let (selector, begun) = all_fail(health.clone(), 6, now);
    assert_eq!(begun, [0]);
    assert_eq!(fail(&selector, 1, now), None);
    selector.report("backend-0", Outcome::Success, now);
    assert_eq!(fail(&selector, 1, now), Some(WINDOW), "a success of the other");

    let (selector, _) = all_fail(health.clone(), 6, now);
    assert_eq!(fail(&selector, 1, now + WINDOW / 2), None);
    assert_eq!(fail(&selector, 1, now + WINDOW), Some(WINDOW), "the other's is over");

    let (selector, _) = all_fail(health, 6, now);
    selector.replace_backends(records(1..6)).expect("the list is valid");
    assert_eq!(fail(&selector, 1, now), Some(WINDOW), "the other is listed no more");
}

#[test]
fn when_too_few_are_left_quarantines_are_not_looked_at() {
    let now = Instant::now();
    let health = HealthConfig::default()
        .with_threshold(1)
        .with_window(WINDOW)
        .with_max_quarantined_percent(100);
    let selector = Selector::builder().health(health).build(now).expect("the options are valid");
    selector.replace_backends(records(0..10)).expect("the list is valid");
    let homes = picks(&selector, now);
    for i in 0..5 {
        selector.report(&format!("backend-{i}"), Outcome::Failure, now);
        assert!(!picks(&selector, now).values().any(|id| *id == format!("backend-{i}")));
    }
    let later = now + WINDOW / 2;
    selector.report("backend-5", Outcome::Failure, later);
    assert_eq!(picks(&selector, later), homes, "four of ten are fewer than half");
    let mut several = Vec::new();
    selector.picker().pick_n(b"token", 10, later, &mut several).expect("all are picked");
    assert_eq!(several.len(), 10);
    // The first five are over, so only the sixth is quarantined.
    let after = picks(&selector, now + WINDOW);
    assert!(!after.values().any(|id| id == "backend-5"));
    // A success ends it as well.
    selector.report("backend-4", Outcome::Success, later);
    assert!(!picks(&selector, later).values().any(|id| id == "backend-5"));
}

#[test]
fn several_ids_of_one_address_are_one_destination() {
    let now = Instant::now();
    let selector = selector(WhenAllQuarantined::Ignore, now);
    let twins = ["a", "b", "c"].map(|id| BackendRecord::new(id, "10.0.0.1:80"));
    let other = BackendRecord::new("d", "10.0.0.2:80");
    selector.replace_backends(twins.into_iter().chain([other])).expect("the list is valid");
    let (mut picker, mut picked) = (selector.picker(), Vec::new());
    for token in tokens() {
        let first = picker.pick(&token, now).expect("a backend").id().to_owned();
        picker.pick_n(&token, 3, now, &mut picked).expect("backends");
        let addresses: Vec<_> = picked.iter().map(|node| node.data().address()).collect();
        assert_eq!(picked[0].id(), first, "the first stays the first");
        assert_eq!(addresses.len(), 2);
        assert_ne!(addresses[0], addresses[1]);
    }
}
