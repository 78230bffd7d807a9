//! Every interleaving of reports and questions, by loom.

use std::time::{Duration, Instant};

use super::{BackendHealth, HealthConfig, LocalHealth, Outcome};

fn backend(threshold: u16, start: Instant) -> BackendHealth {
    let config = HealthConfig::default()
        .with_threshold(threshold)
        .with_back_off(Duration::from_secs(1), Duration::from_secs(60));
    LocalHealth::new(config, start).expect("the config is valid").track("backend")
}

#[test]
fn racing_failures_are_all_counted() {
    let start = Instant::now();
    loom::model(move || {
        let backend = backend(2, start);
        let other = backend.clone();
        let reporter = loom::thread::spawn(move || other.report(Outcome::Failure, start));
        let here = backend.report(Outcome::Failure, start);
        let there = reporter.join().expect("the reporter does not panic");
        assert!(backend.is_quarantined(start), "a failure was lost");
        assert_eq!(
            here.is_some() as u8 + there.is_some() as u8,
            1,
            "one report begins the quarantine"
        );
    });
}

#[test]
fn racing_failures_begin_one_quarantine_and_not_two() {
    let start = Instant::now();
    loom::model(move || {
        let backend = backend(1, start);
        let other = backend.clone();
        let reporter = loom::thread::spawn(move || other.report(Outcome::Failure, start));
        let here = backend.report(Outcome::Failure, start);
        let there = reporter.join().expect("the reporter does not panic");
        assert_eq!(here.or(there), Some(Duration::from_secs(1)));
        assert!(here.is_none() || there.is_none(), "the back-off was doubled by one incident");
    });
}

#[test]
fn a_racing_success_comes_before_or_after_and_never_half() {
    let start = Instant::now();
    loom::model(move || {
        let backend = backend(1, start);
        let other = backend.clone();
        let reporter = loom::thread::spawn(move || other.report(Outcome::Success, start));
        backend.report(Outcome::Failure, start);
        reporter.join().expect("the reporter does not panic");
        let later = start + Duration::from_secs(2);
        let next = backend.report(Outcome::Failure, later);
        // Cleared: the next quarantine is a first one. Not cleared: it is the second, and twice as
        // long.
        assert!(matches!(next.map(|window| window.as_secs()), Some(1 | 2)));
    });
}
