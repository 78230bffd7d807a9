//! Other settings while a member runs.

use crate::support::{Cluster, address, message, ms, secs};
use swim_core::{
    Body, Coalescing, Config, ConfigBuilder, Damping, Event, Instant, JoinFailure, LabelLimits,
    Labels, ReconfigureError, State, Status, Transmit,
};

/// Changes the settings of all members.
fn reconfigure(cluster: &mut Cluster, n: usize, change: impl Fn(ConfigBuilder) -> ConfigBuilder) {
    for i in 0..n {
        let config = change(cluster.node(i).config().to_builder()).build().unwrap();
        cluster.command(i, |node, now| node.reconfigure(now, config)).unwrap();
    }
}

fn refused(change: impl Fn(ConfigBuilder) -> ConfigBuilder) -> String {
    let mut cluster = Cluster::joined(Config::lan(), 3);
    let labels = Labels::new([("a", "1"), ("b", "2")]).unwrap();
    cluster.command(0, |node, now| node.set_labels(now, &labels)).unwrap();
    let before = cluster.node(0).config().clone();
    let config = change(before.to_builder()).build().unwrap();
    let error = cluster.command(0, |node, now| node.reconfigure(now, config)).unwrap_err();
    assert_eq!(*cluster.node(0).config(), before, "nothing was changed");
    error.to_string()
}

#[test]
fn what_cannot_change_is_named() {
    for (change, field) in [
        (ConfigBuilder::late_acks as fn(ConfigBuilder, bool) -> ConfigBuilder, "late_acks"),
        (ConfigBuilder::second_path, "second_path"),
        (ConfigBuilder::sync_whole_list, "sync_whole_list"),
    ] {
        let error = refused(|config| change(config, true));
        let expected =
            format!("{field} cannot be changed while the member runs; start it with the new value");
        assert_eq!(error, expected);
    }
    let error = refused(|config| config.members_max(2));
    assert_eq!(error, "members_max is 2, but this member holds 3 already; raise the bound");
    let limits = LabelLimits { count: 1, ..LabelLimits::default() };
    let error = refused(|config| config.label_limits(limits));
    let expected = "label_limits: 2 labels count (`a`, `b`), at most 1 may be set; \
                    remove one, or raise the setting `label_limits`";
    assert_eq!(error, expected);
}

/// The same settings again change nothing: no timer, no message, no event.
#[test]
fn equal_settings_change_nothing() {
    let mut cluster = Cluster::joined(Config::lan(), 4);
    cluster.crash(3);
    cluster.until("suspect", secs(20), |c| c.status(0, 3) == Some(Status::Suspect));
    let before = |c: &Cluster| (c.node(0).poll_timeout(), c.node(0).pending_timers());
    let (timers, events, sent) =
        (before(&cluster), cluster.events(0).count(), cluster.sent().len());
    reconfigure(&mut cluster, 3, |config| config);
    assert_eq!((before(&cluster), cluster.events(0).count()), (timers, events));
    assert_eq!(cluster.sent().len(), sent);
}

#[test]
fn a_suspicion_under_way_gets_the_new_timeout() {
    for (timeout, from, to) in [(secs(60), secs(55), secs(65)), (secs(1), secs(0), secs(2))] {
        let fixed = Config::builder().suspect_timeout(secs(20)).suspect_timeout_max_factor(1);
        let mut cluster = Cluster::joined(fixed.build().unwrap(), 3);
        cluster.crash(2);
        cluster.until("suspect", secs(10), |c| c.all_say(2, Status::Suspect));
        let suspect = cluster.now();
        reconfigure(&mut cluster, 2, |config| config.suspect_timeout(timeout));
        cluster.until("faulty", secs(100), |c| c.all_say(2, Status::Faulty));
        let took = cluster.now() - suspect;
        assert!(from <= took && took <= to, "{timeout:?}: {took:?}");
    }
}

#[test]
fn faulty_members_and_tombstones_end_when_the_new_timeouts_have_passed() {
    let mut cluster = Cluster::joined(Config::lan(), 3);
    cluster.crash(2);
    cluster.until("faulty", secs(60), |c| c.all_say(2, Status::Faulty));
    cluster.run_for(secs(100));
    // After a hundred seconds of a day, two hundred are half over.
    reconfigure(&mut cluster, 2, |config| config.faulty_timeout(secs(200)));
    cluster.run_for(secs(90));
    assert!(cluster.all_say(2, Status::Faulty));
    cluster.until("tombstone", secs(15), |c| c.all_say(2, Status::Tombstone));
    cluster.run_for(secs(30));
    // Timers that would be over by then are over now.
    reconfigure(&mut cluster, 2, |config| config.tombstone_timeout(secs(10)));
    cluster.until("forgotten", ms(1), |c| (0..2).all(|i| c.status(i, 2).is_none()));
}

#[test]
fn the_next_probe_comes_after_the_new_period_at_the_latest() {
    let slow = Config::builder().protocol_period(secs(100)).build().unwrap();
    let mut cluster = Cluster::new(slow);
    (0..2).for_each(|i| cluster.start(i, 0..2));
    cluster.run_for(secs(10));
    cluster.forget_traffic();
    let pings = |c: &Cluster| {
        let own = |t: &Transmit| {
            t.message.from == address(0) && matches!(t.message.body, Body::Ping { .. })
        };
        c.sent().iter().filter(|(_, t)| own(t)).count()
    };
    cluster.run_for(secs(20));
    assert_eq!(pings(&cluster), 0);
    reconfigure(&mut cluster, 1, |config| config.protocol_period(ms(500)));
    cluster.run_for(secs(10));
    assert!((19..=21).contains(&pings(&cluster)), "{}", pings(&cluster));
    // Settings that change all the time do not stop it.
    cluster.forget_traffic();
    for i in 0..200 {
        reconfigure(&mut cluster, 1, |config| config.protocol_period(ms(500 + i % 2)));
        cluster.run_for(ms(50));
    }
    assert!((18..=21).contains(&pings(&cluster)), "{}", pings(&cluster));
}

#[test]
fn healing_comes_after_the_new_period_at_the_latest() {
    let rarely = Config::builder().heal_period(secs(100_000)).build().unwrap();
    let mut cluster = Cluster::joined(rarely, 2);
    let wanted = |c: &Cluster| c.events(0).filter(|e| **e == Event::HealWanted).count();
    cluster.run_for(secs(60));
    let before = wanted(&cluster);
    reconfigure(&mut cluster, 1, |config| config.heal_period(secs(5)));
    cluster.run_for(secs(61));
    assert_eq!(wanted(&cluster) - before, 12);
}

#[test]
fn a_join_under_way_ends_after_the_new_duration() {
    let mut cluster = Cluster::new(Config::lan());
    cluster.start(0, [1]);
    cluster.run_for(secs(10));
    reconfigure(&mut cluster, 1, |config| config.join_duration_max(secs(20)));
    cluster.run_for(secs(9));
    assert_eq!(cluster.node(0).state(), State::Joining);
    cluster.run_for(secs(2));
    assert_eq!(cluster.node(0).state(), State::Idle);
    let failed =
        |e: &Event| matches!(e, Event::JoinFailed { failure: JoinFailure::Timeout { .. }, .. });
    assert!(cluster.events(0).any(failed));
    assert_eq!(cluster.node(0).pending_timers(), 0, "the former limit is gone");
}

#[test]
fn local_health_stays_below_a_lower_maximum() {
    let mut cluster = Cluster::joined(Config::lan(), 5);
    cluster.cut(&[0], &[1, 2, 3, 4]);
    cluster.until("unwell", secs(60), |c| c.node(0).health_score() >= 4);
    reconfigure(&mut cluster, 1, |config| config.awareness_max(2));
    assert_eq!(cluster.node(0).health_score(), 1);
}

#[test]
fn fewer_syncs_at_once_give_up_the_rest() {
    for whole in [false, true] {
        let config = Config::builder().sync_whole_list(whole).sync_timeout(secs(50));
        let mut cluster = Cluster::joined(config.build().unwrap(), 6);
        cluster.run_for(secs(30));
        assert!((0..6).all(|i| cluster.node(i).pending_changes() == 0));
        // Pings from five, whose checksums differ and whose answers are lost.
        cluster.drop_if(|from, _, _| *from != address(0));
        for i in 1..6 {
            let incarnation = cluster.node(i).local().incarnation;
            let ping = Body::Ping { checksum: 1, changes: vec![] };
            cluster.inject(0, message(&address(i), incarnation, 1, ping));
        }
        let ended = |c: &Cluster| {
            let given_up = |e: &&Event| matches!(e, Event::SyncEnded { complete: false, .. });
            c.events(0).filter(given_up).count()
        };
        assert_eq!(ended(&cluster), 0);
        reconfigure(&mut cluster, 1, |config| config.sync_jobs_max(2));
        assert_eq!(ended(&cluster), 3);
    }
}

#[test]
fn damping_can_be_switched_on_and_off() {
    let n = 12;
    let damping = Damping { penalty: 5000, ..Damping::DEFAULT };
    let mut cluster = Cluster::joined(Config::lan(), n);
    reconfigure(&mut cluster, n, |config| config.damping(Some(damping)));
    cluster.config = cluster.node(0).config().clone();
    for _ in 0..2 {
        cluster.crash(11);
        cluster.until("faulty", secs(60), |c| c.all_say(11, Status::Faulty));
        cluster.start(11, 0..n);
        cluster.until("back", secs(30), |c| c.agree(n));
    }
    let damped = |c: &Cluster| (0..n).filter(|i| c.node(*i).is_damped(&address(11))).count();
    cluster.until("damped", secs(60), |c| damped(c) == n);
    reconfigure(&mut cluster, 1, |config| config.damping(None));
    assert_eq!(damped(&cluster), n - 1, "it is damped no more where damping is off");
    assert_eq!(cluster.node(0).local().labels, Labels::default(), "and its vote is withdrawn");
    reconfigure(&mut cluster, 1, |config| config.damping(Some(damping)));
    cluster.run_for(secs(5));
    // A higher threshold undoes what too few have voted for.
    let strict = Damping { quorum: 16, ..damping };
    reconfigure(&mut cluster, n, |config| config.damping(Some(strict)));
    assert_eq!(damped(&cluster), 0);
    reconfigure(&mut cluster, n, |config| config.damping(None));
    cluster.until("agree", secs(10), |c| c.agree(n));
    assert!((0..n).all(|i| cluster.node(0).member(&address(i)).unwrap().labels.is_empty()));
}

#[test]
fn what_was_held_back_is_told_when_coalescing_ends() {
    let coalescing = Coalescing { quiet: secs(60), delay_max: secs(60) };
    let config = Config::builder().coalescing(Some(coalescing)).build().unwrap();
    let mut cluster = Cluster::joined(config, 3);
    cluster.run_for(secs(100));
    cluster.crash(2);
    cluster.until("faulty", secs(60), |c| c.all_say(2, Status::Faulty));
    let told = |c: &Cluster| {
        let left =
            |e: &&Event| matches!(e, Event::ViewChanged { left, .. } if *left == [address(2)]);
        c.events(0).filter(left).count()
    };
    assert_eq!(told(&cluster), 0);
    reconfigure(&mut cluster, 1, |config| config.coalescing(None));
    assert_eq!(told(&cluster), 1);
}

#[test]
fn settings_change_in_every_state() {
    let mut cluster = Cluster::new(Config::lan());
    cluster.start_as(0, "app", Labels::default());
    let other = |config: ConfigBuilder| config.protocol_period(ms(300)).sync_period(secs(7));
    reconfigure(&mut cluster, 1, other);
    assert_eq!(cluster.node(0).state(), State::Idle);
    assert_eq!(cluster.node(0).poll_timeout(), None::<Instant>);
    cluster.start(1, [1]);
    cluster.command(0, |node, now| node.join(now, vec![address(1)])).unwrap();
    cluster.until("joined", secs(5), |c| c.agree(2));
    cluster.command(0, |node, now| node.leave(now)).unwrap();
    reconfigure(&mut cluster, 1, |config| config.ping_timeout(ms(100)));
    cluster.until("left", secs(5), |c| c.node(0).state() == State::Left);
    let error = ReconfigureError::Fixed { field: "late_acks" };
    let config = cluster.node(0).config().to_builder().late_acks(true).build().unwrap();
    assert_eq!(cluster.command(0, |node, now| node.reconfigure(now, config)), Err(error));
}
