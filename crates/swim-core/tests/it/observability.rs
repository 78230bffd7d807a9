//! Labels, events, counters and traffic that users see.

use swim_core::limits::JOIN_PEERS_MAX;
use swim_core::{Body, Cause, Config, Event, Labels, Status};

use crate::support::{Cluster, address, lan, message, secs};

#[test]
fn labels_spread_and_equal_labels_change_nothing() {
    let mut cluster = Cluster::joined(lan(), 4);
    let labels = Labels::new([("weight", "3")]).unwrap();
    cluster.command(0, |node, now| node.set_labels(now, &labels)).unwrap();
    let incarnation = cluster.node(0).local().incarnation;
    cluster.until("seen", secs(3), |c| (1..4).all(|i| c.member(i, 0).unwrap().labels == labels));
    cluster.command(0, |node, now| node.set_labels(now, &labels)).unwrap();
    assert_eq!(cluster.node(0).local().incarnation, incarnation);
    let reserved = Labels::new([("__identity", "x")]).unwrap();
    assert!(cluster.command(0, |node, now| node.set_labels(now, &reserved)).is_err());
}

/// What a member was and is, who says so, why, and who passed it on.
#[test]
fn every_transition_is_an_event_that_says_who_and_why() {
    type Step = (Option<Status>, Option<Status>, Option<swim_core::Address>, Cause);
    let config = Config::builder().faulty_timeout(secs(10)).tombstone_timeout(secs(5));
    let mut cluster = Cluster::joined(config.build().unwrap(), 4);
    cluster.crash(3);
    cluster.until("forgotten", secs(120), |c| (0..3).all(|i| c.status(i, 3).is_none()));
    let step = |event: &Event| match event.clone() {
        Event::MemberChanged { before, after, source, cause } => {
            let about = before.as_ref().or(after.as_ref())?.address == address(3);
            let [before, after] = [before, after].map(|member| Some(member?.status));
            about.then_some((before, after, source, cause))
        }
        _ => None,
    };
    let mut own_probes = 0;
    for i in 0..3 {
        let steps: Vec<Step> = cluster.events(i).filter_map(step).collect();
        assert_eq!(steps[0].0, None, "{steps:?}");
        assert_eq!(steps.last().unwrap().1, None, "{steps:?}");
        assert!(steps.windows(2).all(|pair| pair[0].1 == pair[1].0), "no gap: {steps:?}");
        let order = [Status::Suspect, Status::Faulty, Status::Tombstone].map(Some);
        let after: Vec<_> = steps.iter().map(|step| step.1).collect();
        assert_eq!(after[after.len() - 4..after.len() - 1], order);
        for (_, after, source, cause) in steps.iter().skip(1) {
            let source = source.clone().expect("somebody says so");
            match cause {
                Cause::Probe => assert_eq!((source, *after), (address(i), order[0])),
                Cause::Timeout => assert_eq!(source, address(i)),
                Cause::Gossip { from } | Cause::Sync { from } => {
                    assert!(*from != address(i) && source != address(i));
                }
                other => panic!("{other:?}"),
            }
            own_probes += usize::from(*cause == Cause::Probe);
        }
    }
    assert!(own_probes > 0, "somebody was the first");

    let labels = Labels::new([("a", "b")]).unwrap();
    cluster.command(0, |node, now| node.set_labels(now, &labels)).unwrap();
    let last = cluster.events(0).last().unwrap().clone();
    let Event::MemberChanged { source, cause, .. } = last else { panic!("{last:?}") };
    assert_eq!((source, cause), (Some(address(0)), Cause::Command));
}

/// Every omission, abandoned request and retry leaves a trace in the counters.
#[test]
fn drops_and_retries_are_counted() {
    let mut cluster = Cluster::new(lan());
    cluster.start_as(0, "app", Labels::default());
    let peers = (1..=JOIN_PEERS_MAX + 3)
        .map(|i| swim_core::Address::new(&format!("nobody:{i}")).unwrap())
        .collect();
    cluster.command(0, |node, now| node.join(now, peers)).unwrap();
    assert_eq!(cluster.node(0).stats().peers_dropped, 3);

    let mut cluster = Cluster::new(lan());
    cluster.start(0, [1]);
    cluster.run_for(secs(10));
    let retrying =
        cluster.events(0).filter(|e| matches!(e, Event::JoinRetrying { .. })).count() as u64;
    assert!(retrying > 0);
    assert_eq!(cluster.node(0).stats().joins_retried, retrying);

    let mut cluster = Cluster::joined(lan(), 2);
    cluster.run_for(secs(30));
    cluster.drop_if(|_, _, message| matches!(message.body, Body::SyncAck { .. }));
    let incarnation = cluster.node(1).local().incarnation;
    let ping = Body::Ping { checksum: 1, changes: vec![] };
    cluster.inject(0, message(&address(1), incarnation, 1, ping));
    cluster.run_for(secs(5));
    let stats = cluster.node(0).stats();
    assert_eq!((stats.syncs_started, stats.syncs_completed, stats.syncs_failed), (1, 0, 1));
}

#[test]
fn probes_are_fair() {
    let mut cluster = Cluster::joined(lan(), 8);
    cluster.run_for(secs(10));
    cluster.forget_traffic();
    cluster.run_for(secs(14));
    let mut counts = [0usize; 8];
    for (_, transmit) in cluster.sent() {
        if transmit.message.from == address(0) && matches!(transmit.message.body, Body::Ping { .. })
        {
            let i = (0..8).find(|i| transmit.to == address(*i)).unwrap();
            counts[i] += 1;
        }
    }
    assert_eq!(counts[0], 0);
    assert_eq!(counts.iter().sum::<usize>(), 70, "one ping each 200 ms");
    assert!(counts[1..].iter().all(|count| (9..=11).contains(count)), "{counts:?}");
}

#[test]
fn an_idle_cluster_sends_nothing_but_pings_and_acks_without_changes() {
    let config = lan().to_builder().sync_period(secs(86_400)).build().unwrap();
    let mut cluster = Cluster::joined(config, 10);
    cluster.run_for(secs(60));
    cluster.forget_traffic();
    cluster.run_for(secs(10));
    for (_, transmit) in cluster.sent() {
        match &transmit.message.body {
            Body::Ping { changes, .. } | Body::Ack { changes, .. } => assert!(changes.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(cluster.sent().len(), 10 * 10 * 5 * 2);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let trace = || {
        let mut cluster = Cluster::joined(lan(), 6);
        cluster.set_loss(100);
        cluster.crash(5);
        cluster.run_for(secs(20));
        cluster.sent().to_vec()
    };
    assert!(trace() == trace());
}
