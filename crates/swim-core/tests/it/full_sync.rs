//! Views that differ although gossip is silent.

use swim_core::{Body, Config, State, Status};

use crate::support::{Cluster, address, change, lan, message, secs};

#[test]
fn views_that_differ_without_gossip_are_synced_in_both_directions() {
    let config = lan().to_builder().sync_period(secs(86_400)).build().unwrap();
    let mut cluster = Cluster::joined(config, 8);
    cluster.run_for(secs(30));
    // Two members learn something that is not spread.
    for (observer, subject) in [(0, 20), (1, 21)] {
        let ack = Body::JoinAck {
            checksum: 0,
            changes: vec![change(subject, Status::Faulty, 1)],
            next: None,
        };
        learn_unspread(&mut cluster, observer, ack);
    }
    assert_ne!(cluster.node(0).checksum(), cluster.node(1).checksum());
    cluster.until("all know both", secs(20), |c| {
        (0..8).all(|i| c.status(i, 20).is_some() && c.status(i, 21).is_some())
    });
    cluster.until("quiet", secs(20), |c| (0..8).all(|i| c.node(i).pending_changes() == 0));
    assert!((0..8).map(|i| cluster.node(i).stats().syncs_completed).sum::<u64>() > 0);
    let started = |c: &Cluster| (0..8).map(|i| c.node(i).stats().syncs_started).sum::<u64>();
    let before = started(&cluster);
    cluster.run_for(secs(60));
    assert_eq!(started(&cluster), before, "no sync without a difference");
}

/// Lets a member leave and join a peer that answers with `ack`: a join list is
/// applied and not spread.
fn learn_unspread(cluster: &mut Cluster, observer: usize, ack: Body) {
    let liar = address(99);
    cluster.command(observer, |node, now| node.leave(now)).unwrap();
    cluster.until("left", secs(1), |c| c.node(observer).state() == State::Left);
    cluster.command(observer, |node, now| node.join(now, vec![address(99)])).unwrap();
    let (_, join) = cluster
        .sent()
        .iter()
        .rfind(|(_, t)| t.to == liar && matches!(t.message.body, Body::Join { .. }))
        .cloned()
        .unwrap();
    cluster.inject(observer, message(&liar, 1, join.message.seq, ack));
    assert_eq!(cluster.node(observer).state(), State::Ready);
}

#[test]
fn a_sync_moves_only_the_buckets_that_differ() {
    let mut cluster = Cluster::joined(lan(), 30);
    cluster.run_for(secs(60));
    let before: u64 = (0..30).map(|i| cluster.node(i).stats().changes_received).sum();
    let digests = vec![1, 0, 0, 0];
    let sync = Body::Sync(swim_core::SyncStep::Compare { digests });
    cluster.inject(0, message(&address(50), 1, 9, sync));
    let Body::SyncAck { differing, .. } = &cluster.replies(0, &address(50), 9)[0] else { panic!() };
    assert_eq!(*differing, [0, 1, 2, 3]);
    let after: u64 = (0..30).map(|i| cluster.node(i).stats().changes_received).sum();
    assert_eq!(before, after, "comparing applies nothing");
}

#[test]
fn a_long_sync_runs_page_by_page() {
    let config = Config::builder().message_bytes_max(512).build().unwrap();
    let mut cluster = Cluster::joined(config, 3);
    cluster.run_for(secs(20));
    let changes = (100..160).map(|i| change(i, Status::Faulty, 1)).collect();
    let ack = Body::JoinAck { checksum: 0, changes, next: None };
    learn_unspread(&mut cluster, 0, ack);
    cluster.forget_traffic();
    cluster.until("all know all", secs(20), |c| (0..3).all(|i| c.node(i).len() == 63));
    for (_, transmit) in cluster.sent() {
        if let Body::SyncAck { changes, .. } = &transmit.message.body {
            let bytes: usize = changes.iter().map(swim_core::Change::encoded_len).sum();
            assert!(bytes <= 512, "{bytes}");
        }
    }
}

#[test]
fn full_syncs_are_bounded() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.run_for(secs(20));
    for i in 0..20 {
        let body = Body::Ping { checksum: 12345, changes: vec![] };
        cluster.inject(0, message(&address(30 + i), 1, 1, body));
    }
    assert_eq!(cluster.node(0).stats().syncs_started, 5);
    assert_eq!(cluster.node(0).stats().syncs_omitted, 15);
}
