//! Every interleaving of picks, reports and discovery, by loom.

use std::time::Instant;

use super::Selector;
use crate::{BackendRecord, HealthConfig, Outcome, PickError, WhenAllQuarantined};

fn selector(start: Instant) -> Selector {
    let selector = Selector::builder()
        .points_per_weight_unit(1)
        .health(
            HealthConfig::default()
                .with_threshold(1)
                .with_max_quarantined_percent(100)
                .with_min_eligible(0),
        )
        .when_all_quarantined(WhenAllQuarantined::Fail)
        .build(start)
        .expect("the options are valid");
    selector.replace_backends(records(&["a", "b"])).expect("the list is valid");
    selector
}

fn records(ids: &[&str]) -> Vec<BackendRecord> {
    ids.iter().map(|id| BackendRecord::new(*id, *id)).collect()
}

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(body);
}

#[test]
fn a_pick_never_takes_what_was_quarantined_before_it_began() {
    let start = Instant::now();
    model(move || {
        let selector = selector(start);
        let mut picker = selector.picker();
        selector.report("a", Outcome::Failure, start);
        let health = selector.ring().node("b").expect("b is listed").data().health().clone();
        let reporter = loom::thread::spawn(move || health.report(Outcome::Failure, start));
        match picker.pick(b"token", start).map(|node| node.id().to_owned()) {
            Ok(id) => assert_eq!(id, "b"),
            Err(error) => assert_eq!(error, PickError::AllQuarantined),
        }
        reporter.join().expect("the reporter does not panic");
        assert_eq!(picker.pick(b"token", start).err(), Some(PickError::AllQuarantined));
    });
}

#[test]
fn a_quarantine_outlives_a_new_list() {
    let start = Instant::now();
    model(move || {
        let selector = selector(start);
        let health = selector.ring().node("a").expect("a is listed").data().health().clone();
        let reporter = loom::thread::spawn(move || health.report(Outcome::Failure, start));
        selector.replace_backends(records(&["a", "b", "c"])).expect("the list is valid");
        reporter.join().expect("the reporter does not panic");
        let ring = selector.ring();
        assert!(ring.node("a").expect("a is listed").data().health().is_quarantined(start));
        assert_eq!(ring.len(), 3);
    });
}
