use proptest::prelude::*;

use super::*;

const CLASSES: [FailureClass; 9] = [
    FailureClass::NeverSent,
    FailureClass::Refused,
    FailureClass::Unavailable,
    FailureClass::Ambiguous,
    FailureClass::Unanswered,
    FailureClass::HttpError,
    FailureClass::Overloaded,
    FailureClass::Committed,
    FailureClass::Caller,
];

fn failed(class: FailureClass) -> RetryContext {
    RetryContext {
        class,
        idempotent: false,
        replayable: true,
        attempts: 1,
        waits: 0,
        untried: true,
        remaining: None,
        affordable: true,
        pushback: None,
        jitter: 0.5,
    }
}

#[test]
fn the_table() {
    use Decision::{GiveUp as No, NextOwner, Wait};
    use FailureClass::{
        Ambiguous, Caller, Committed, HttpError, NeverSent, Overloaded, Refused, Unanswered,
        Unavailable,
    };

    let now = Wait(Duration::ZERO);
    // Failure, decision for a method that is not idempotent, decision for one that is.
    let rows = [
        (NeverSent, NextOwner, NextOwner),
        (Refused, NextOwner, NextOwner),
        (Unavailable, No(GiveUp::MaybeExecuted), now),
        (Ambiguous, No(GiveUp::MaybeExecuted), now),
        (Unanswered, No(GiveUp::MaybeExecuted), now),
        (HttpError, No(GiveUp::MaybeExecuted), now),
        (Overloaded, No(GiveUp::Overloaded), No(GiveUp::Overloaded)),
        (Committed, No(GiveUp::Committed), No(GiveUp::Committed)),
        (Caller, No(GiveUp::Caller), No(GiveUp::Caller)),
    ];
    assert_eq!(rows.map(|row| row.0), CLASSES);
    for (class, careful, idempotent) in rows {
        let situation = failed(class);
        assert_eq!(decide(&Policy::default(), &situation), careful, "{class:?}");
        let situation = RetryContext { idempotent: true, ..situation };
        assert_eq!(decide(&Policy::default(), &situation), idempotent, "{class:?}, idempotent");
    }
}

#[test]
fn the_table_of_what_outcomes_say_about_a_peer() {
    let says: Vec<_> =
        CLASSES.iter().map(|class| AttemptOutcome::Failed(*class).evidence()).collect();
    assert_eq!(
        says,
        [
            Evidence::Fails,       // never sent
            Evidence::Nothing,     // refused
            Evidence::FailsForKey, // unavailable
            Evidence::FailsForKey, // ambiguous
            Evidence::FailsForKey, // unanswered
            Evidence::Fails,       // HTTP error
            Evidence::Nothing,     // overloaded
            Evidence::Nothing,     // committed
            Evidence::Nothing,     // caller
        ]
    );
    assert_eq!(AttemptOutcome::Answered.evidence(), Evidence::Serves);
}

#[test]
fn a_round_over_the_owners_is_free_and_the_next_one_waits() {
    let policy = Policy::default();
    let tried_all = RetryContext { untried: false, ..failed(FailureClass::NeverSent) };
    for (waits, expected) in [(0, 0), (1, 50), (2, 200), (3, 1000), (9, 1000)] {
        let decision = decide(&policy, &RetryContext { waits, ..tried_all });
        assert_eq!(decision, Decision::Wait(Duration::from_millis(expected)));
    }
}

#[test]
fn a_wait_that_would_outlast_the_deadline_is_not_begun() {
    let policy = Policy::default().schedule(Schedule::ringpop_go());
    let tried_all = RetryContext { untried: false, ..failed(FailureClass::NeverSent) };
    let with = |secs| RetryContext { remaining: Some(Duration::from_secs(secs)), ..tried_all };
    assert_eq!(decide(&policy, &with(4)), Decision::Wait(Duration::from_secs(3)));
    assert_eq!(decide(&policy, &with(3)), Decision::GiveUp(GiveUp::NoTimeLeft));
}

#[test]
fn settings_are_checked_by_name() {
    let error = |policy: Policy| policy.check().map_err(|e| e.to_string()).unwrap_err();
    assert!(Policy::default().check().is_ok());
    assert!(error(Policy::default().max_attempts(0)).contains("max_attempts is 0"));
    assert!(error(Policy::default().max_attempts(17)).contains("max_attempts is 17"));
    assert!(
        error(Policy::default().target(RetryTarget::NextOwner { owners: 0 }))
            .contains("owners is 0")
    );
    let hasty = Policy::default().hedge_after(Duration::ZERO);
    assert!(error(hasty).contains("hedge_after is 0ns"));
    let long = Schedule::new([Duration::from_secs(61)]);
    assert!(error(Policy::default().schedule(long)).contains("schedule is 61s"));
    let many = Schedule::new([Duration::ZERO; 17]);
    assert!(error(Policy::default().schedule(many)).contains("entries is 17"));
}

prop_compose! {
    fn situations()(
        class in proptest::sample::select(&CLASSES[..]),
        idempotent: bool,
        replayable: bool,
        attempts in 1..20_u32,
        waits in 0..20_u32,
        untried: bool,
        remaining in proptest::option::of((0..5_000_u64).prop_map(Duration::from_millis)),
        affordable: bool,
        jitter in 0.0..=1.0_f64,
    ) -> RetryContext {
        RetryContext { class, idempotent, replayable, attempts, waits, untried, remaining, affordable, pushback: None, jitter }
    }
}

proptest! {
    #[test]
    fn what_may_have_been_executed_is_sent_again_only_if_idempotent(now in situations(), max in 1..=16_u32) {
        if !matches!(decide(&Policy::default().max_attempts(max), &now), Decision::GiveUp(_)) {
            let not_executed = matches!(now.class, FailureClass::NeverSent | FailureClass::Refused);
            prop_assert!(not_executed || (now.idempotent && now.affordable));
            prop_assert!(!matches!(now.class, FailureClass::Committed | FailureClass::Caller));
            prop_assert!(now.replayable);
        }
    }

    #[test]
    fn never_more_than_the_allowed_attempts(now in situations(), max in 1..=16_u32) {
        let decision = decide(&Policy::default().max_attempts(max), &now);
        // Walking past an owner that cannot be reached is no attempt.
        let walks_past = now.class == FailureClass::NeverSent && decision == Decision::NextOwner;
        if now.attempts >= max && !walks_past {
            prop_assert!(matches!(decision, Decision::GiveUp(_)));
        }
    }

    #[test]
    fn an_owner_that_cannot_be_reached_is_walked_past_while_there_is_time(now in situations()) {
        let now = RetryContext { class: FailureClass::NeverSent, untried: true, replayable: true, ..now };
        let has_time = now.remaining.is_none_or(|left| !left.is_zero());
        let decision = decide(&Policy::default().max_attempts(1), &now);
        prop_assert_eq!(decision == Decision::NextOwner, has_time);
    }

    #[test]
    fn never_past_the_deadline(now in situations()) {
        let Some(left) = now.remaining else { return Ok(()) };
        match decide(&Policy::default().max_attempts(16), &now) {
            Decision::Wait(wait) => prop_assert!(wait < left),
            Decision::NextOwner => prop_assert!(!left.is_zero()),
            Decision::GiveUp(_) => {}
        }
    }

    #[test]
    fn moving_on_at_once_needs_an_untried_owner(now in situations()) {
        if decide(&Policy::default().max_attempts(16), &now) == Decision::NextOwner {
            prop_assert!(now.untried);
        }
    }

    #[test]
    fn jitter_stays_within_a_fifth(round in 0..10_u32, unit in 0.0..=1.0_f64) {
        let exact = Schedule::default().wait(round, 0.5);
        let jittered = Schedule::default().wait(round, unit);
        prop_assert!(jittered >= exact.mul_f64(0.8) && jittered <= exact.mul_f64(1.2));
    }
}

#[test]
fn a_server_that_is_asked_again_says_when() {
    let idempotent = RetryContext { idempotent: true, ..failed(FailureClass::Unavailable) };
    let pushed = |pushback, remaining| {
        let situation = RetryContext { pushback: Some(pushback), remaining, ..idempotent };
        decide(&Policy::default(), &situation)
    };
    let (second, long) = (Duration::from_secs(1), Duration::from_secs(600));
    assert_eq!(pushed(Pushback::After(second), None), Decision::Wait(second), "without jitter");
    assert_eq!(pushed(Pushback::Never, None), Decision::GiveUp(GiveUp::PushedBack));
    assert_eq!(pushed(Pushback::After(second), Some(second)), Decision::GiveUp(GiveUp::NoTimeLeft));
    assert_eq!(pushed(Pushback::After(long), None), Decision::GiveUp(GiveUp::PushedBack));
    assert_eq!(pushed(Pushback::After(long), Some(2 * long)), Decision::Wait(long));
    // A call that was refused before its handler goes elsewhere, where nobody is pushed back.
    let refused = failed(FailureClass::Refused);
    let pushback = Some(Pushback::After(second));
    let elsewhere = decide(&Policy::default(), &RetryContext { pushback, ..refused });
    assert_eq!(elsewhere, Decision::NextOwner);
}

#[test]
fn pushback_is_read_as_the_proposal_has_it() {
    let read = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_PUSHBACK_HEADER, text.parse().unwrap());
        Pushback::from_headers(&headers)
    };
    assert_eq!(read("0"), Some(Pushback::After(Duration::ZERO)));
    assert_eq!(read("1500"), Some(Pushback::After(Duration::from_millis(1500))));
    for never in ["-1", "soon", "", "99999999999"] {
        assert_eq!(read(never), Some(Pushback::Never), "{never:?}");
    }
    assert_eq!(Pushback::from_headers(&HeaderMap::new()), None);
}

#[test]
fn the_time_of_an_attempt_has_bounds() {
    let error = |limit| Policy::default().attempt_timeout(limit).check().unwrap_err().to_string();
    assert!(error(Duration::ZERO).contains("attempt_timeout is 0ns"));
    assert!(error(Duration::from_secs(3601)).contains("attempt_timeout is 3601s"));
    assert_eq!(Policy::default().attempt_timeout(Duration::from_secs(3)).check(), Ok(()));
}
