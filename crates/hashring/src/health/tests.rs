use std::time::{Duration, Instant};

use super::{HealthConfig, HealthConfigError, LocalHealth, Outcome, state::State};

const SECOND: Duration = Duration::from_secs(1);

fn health(config: HealthConfig, start: Instant) -> LocalHealth {
    LocalHealth::new(config, start).expect("the config is valid")
}

#[test]
fn only_failures_in_a_row_count() {
    let now = Instant::now();
    let backend = health(HealthConfig::default().with_threshold(3), now).track("a");
    for outcome in
        [Outcome::Failure, Outcome::Failure, Outcome::Success, Outcome::Failure, Outcome::Failure]
    {
        assert_eq!(backend.report(outcome, now), None);
        assert!(!backend.is_quarantined(now));
    }
    assert_eq!(backend.report(Outcome::Failure, now), Some(5 * SECOND));
    assert!(backend.is_quarantined(now));
}

#[test]
fn a_quarantine_ends_exactly_with_its_window() {
    let start = Instant::now();
    let backend =
        health(HealthConfig::default().with_threshold(1).with_window(SECOND), start).track("a");
    let failed = start + Duration::from_micros(1_500);
    backend.report(Outcome::Failure, failed);
    assert!(backend.is_quarantined(failed + SECOND - Duration::from_millis(1)));
    assert!(!backend.is_quarantined(failed + SECOND + Duration::from_millis(1)));
    assert_eq!(backend.remaining(start + 3 * SECOND), None);
    assert!(backend.remaining(failed).is_some_and(|left| left <= SECOND));
}

#[test]
fn a_success_clears_the_quarantine_and_the_back_off() {
    let now = Instant::now();
    let config = HealthConfig::default().with_threshold(1).with_back_off(SECOND, 60 * SECOND);
    let backend = health(config, now).track("a");
    backend.report(Outcome::Failure, now);
    assert_eq!(backend.report(Outcome::Failure, now + 2 * SECOND), Some(2 * SECOND));
    backend.report(Outcome::Success, now + 2 * SECOND);
    assert!(!backend.is_quarantined(now + 2 * SECOND));
    assert_eq!(backend.report(Outcome::Failure, now + 2 * SECOND), Some(SECOND));
}

#[test]
fn late_failures_do_not_count_during_a_quarantine() {
    let now = Instant::now();
    let config = HealthConfig::default().with_threshold(1).with_back_off(SECOND, 60 * SECOND);
    let backend = health(config, now).track("a");
    backend.report(Outcome::Failure, now);
    for _ in 0..100 {
        assert_eq!(backend.report(Outcome::Failure, now + SECOND / 2), None);
    }
    assert!(!backend.is_quarantined(now + SECOND));
}

#[test]
fn after_a_quarantine_one_failure_is_enough_and_the_window_doubles_up_to_its_limit() {
    let mut now = Instant::now();
    let config = HealthConfig::default().with_threshold(3).with_back_off(SECOND, 10 * SECOND);
    let backend = health(config, now).track("a");
    backend.report(Outcome::Failure, now);
    backend.report(Outcome::Failure, now);
    let mut windows = Vec::new();
    for _ in 0..70 {
        let window =
            backend.report(Outcome::Failure, now).expect("the failure begins a quarantine");
        windows.push(window.as_secs());
        now += window;
    }
    assert_eq!(windows[..6], [1, 2, 4, 8, 10, 10]);
    assert_eq!(windows[69], 10, "the shift does not wrap around");
}

#[test]
fn jitter_shortens_windows_differently_for_each_backend_and_seed() {
    let now = Instant::now();
    let window = |id: &str, seed: u64| {
        let config = HealthConfig::default()
            .with_threshold(1)
            .with_window(10 * SECOND)
            .with_jitter(0.5, seed);
        health(config, now).track(id).report(Outcome::Failure, now).expect("one failure is enough")
    };
    let windows: std::collections::BTreeSet<_> =
        (0..20).flat_map(|i| [window(&format!("b{i}"), 1), window("same", i)]).collect();
    assert!(windows.len() > 30, "{windows:?}");
    assert!(
        windows.iter().all(|window| (5 * SECOND..=10 * SECOND).contains(window)),
        "{windows:?}"
    );
    assert_eq!(window("a", 7), window("a", 7), "the draw is repeatable");
}

#[test]
fn a_backend_that_comes_back_finds_its_record() {
    let now = Instant::now();
    let health = health(HealthConfig::default().with_threshold(1), now);
    health.track("a").report(Outcome::Failure, now);
    assert!(health.track("a").is_quarantined(now));
}

#[test]
fn a_full_memory_forgets_the_clean_before_the_quarantined_and_never_a_held_one() {
    let now = Instant::now();
    let health = health(HealthConfig::default().with_threshold(1).with_capacity(3), now);
    let held = health.track("held");
    health.track("bad").report(Outcome::Failure, now);
    health.track("clean");
    let _more = health.track("more");
    assert_eq!(health.len(), 3);
    assert!(health.track("bad").is_quarantined(now), "the clean one made room");

    let _most = health.track("most");
    assert!(!health.track("bad").is_quarantined(now), "nothing else was left to forget");
    held.report(Outcome::Failure, now);
    assert!(health.track("held").is_quarantined(now), "a held record is never forgotten");
    for i in 0..100 {
        let extra = health.track(&format!("extra-{i}"));
        extra.report(Outcome::Failure, now);
        assert!(extra.is_quarantined(now), "a handle works without being remembered");
        assert!(health.len() <= 3);
    }
}

#[test]
fn times_before_the_start_are_taken_for_it() {
    let start = Instant::now() + 10 * SECOND;
    let backend = health(HealthConfig::default().with_threshold(1), start).track("a");
    assert_eq!(backend.report(Outcome::Failure, start - 5 * SECOND), Some(5 * SECOND));
    assert!(backend.is_quarantined(start - 5 * SECOND));
}

#[test]
fn states_survive_packing() {
    for packed in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef, 1 << 40, 1 << 48, (1 << 40) - 1] {
        assert_eq!(State::unpack(packed).pack(), packed);
    }
}

#[test]
fn values_out_of_range_are_refused_with_their_name() {
    let check = |config: HealthConfig| LocalHealth::new(config, Instant::now()).map(|_| ());
    let config = HealthConfig::default;
    assert_eq!(check(config()), Ok(()));
    assert_eq!(check(config().with_threshold(0)), Err(HealthConfigError::ZeroThreshold));
    assert_eq!(check(config().with_capacity(0)), Err(HealthConfigError::ZeroCapacity));
    for window in [Duration::ZERO, Duration::from_secs(86_401), Duration::MAX] {
        assert_eq!(
            check(config().with_window(window)),
            Err(HealthConfigError::Window { value: window })
        );
    }
    assert_eq!(
        check(config().with_back_off(2 * SECOND, SECOND)),
        Err(HealthConfigError::BackOff { first: 2 * SECOND, max: SECOND })
    );
    for jitter in [-0.1, 1.1, f64::INFINITY, f64::NAN] {
        let error = check(config().with_jitter(jitter, 0)).expect_err("the jitter is refused");
        assert_eq!(error.to_string(), format!("jitter is {jitter}; it must be 0 to 1"));
    }
}
