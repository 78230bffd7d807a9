//! Messages that are refused, and bounds that hold.

use swim_core::limits::PUBLIC_LABELS_MAX;
use swim_core::{Body, Config, Event, JoinFailure, Labels, Refusal, Rejection, State, Status};

use crate::support::{Cluster, address, change, lan, message, ms, secs};

#[test]
fn members_of_another_application_are_refused_in_every_message() {
    let mut cluster = Cluster::joined(lan(), 2);
    let foreign = address(9);
    let bodies = [
        Body::Ping { checksum: 0, changes: vec![change(5, Status::Alive, 1)] },
        Body::PingReq { target: address(1), checksum: 0, changes: vec![] },
        Body::Join { cursor: None, nonce: 0 },
        Body::Sync(swim_core::SyncStep::Compare { digests: vec![0] }),
    ];
    for (seq, body) in (1..).zip(bodies) {
        let mut message = message(&foreign, 1, seq, body);
        message.app = "other".into();
        cluster.inject(0, message);
        let replies = cluster.replies(0, &foreign, seq);
        assert_eq!(replies, [Body::Refused { reason: Refusal::AppMismatch }]);
    }
    assert_eq!(cluster.node(0).stats().rejected_app, 4);
    assert_eq!(cluster.status(0, 5), None);
    let theirs = Rejection::AppMismatch { theirs: "other".into() };
    assert!(
        cluster
            .events(0)
            .any(|e| { matches!(e, Event::Rejected { reason, .. } if *reason == theirs) })
    );
}

#[test]
fn joining_another_application_fails_at_once_and_says_why() {
    let mut cluster = Cluster::joined(lan(), 2);
    cluster.start_as(5, "other", Labels::default());
    cluster.command(5, |node, now| node.join(now, vec![address(0), address(1)])).unwrap();
    cluster.until("failed", secs(1), |c| c.node(5).state() == State::Idle);
    let refused = |e: &Event| {
        let Event::JoinFailed { failure: JoinFailure::OtherApp { theirs, .. }, .. } = e else {
            return false;
        };
        **theirs == *"app"
    };
    assert!(cluster.events(5).any(refused));
}

#[test]
fn messages_out_of_bounds_are_refused_and_change_nothing() {
    let mut cluster = Cluster::joined(lan(), 2);
    let checksum = cluster.node(0).checksum();
    let far = 2 * swim_core::limits::INCARNATION_AHEAD_MAX;
    let many = vec![change(5, Status::Alive, 1); swim_core::limits::CHANGES_PER_MESSAGE_MAX + 1];
    let ping = |changes| Body::Ping { checksum, changes };
    cluster.inject(0, message(&address(9), 1, 1, ping(vec![change(5, Status::Alive, far)])));
    cluster.inject(0, message(&address(9), 1, 2, ping(many)));
    cluster.inject(0, message(&address(9), far, 3, ping(vec![])));
    cluster.inject(0, message(&address(0), 1, 4, ping(vec![])));
    cluster.inject(0, message(&address(9), 1, 5, Body::Ack { checksum, changes: vec![] }));
    let unknown = Body::PingReq { target: address(77), checksum, changes: vec![] };
    cluster.inject(0, message(&address(9), 1, 6, unknown));
    for digests in [vec![], vec![0; 3], vec![0; 256]] {
        let sync = Body::Sync(swim_core::SyncStep::Compare { digests });
        cluster.inject(0, message(&address(9), 1, 7, sync));
    }
    let stats = cluster.node(0).stats();
    assert_eq!((stats.rejected_invalid, stats.rejected_self, stats.rejected_replies), (5, 1, 1));
    assert_eq!(stats.rejected_clock, 2);
    assert_eq!(cluster.node(0).checksum(), checksum);
}

#[test]
fn the_member_list_is_bounded() {
    let config = Config::builder().members_max(5).build().unwrap();
    let mut cluster = Cluster::joined(config, 3);
    let changes = (10..20).map(|i| change(i, Status::Faulty, 1)).collect();
    cluster.inject(0, message(&address(9), 1, 1, Body::Ping { checksum: 0, changes }));
    assert_eq!(cluster.node(0).len(), 5);
    assert_eq!(cluster.node(0).stats().rejected_members_full, 8);
}

/// Temporal's fork of ringpop-go: invalid labels neither erase known ones nor
/// hide a failure.
#[test]
fn labels_beyond_the_limits_are_dropped_and_the_status_counts() {
    let mut cluster = Cluster::joined(lan(), 3);
    let good = Labels::new([("zone", "a")]).unwrap();
    cluster.command(1, |node, now| node.set_labels(now, &good)).unwrap();
    cluster.until("seen", secs(3), |c| c.member(0, 1).unwrap().labels == good);
    let mut bad = change(1, Status::Suspect, cluster.member(0, 1).unwrap().incarnation);
    bad.member.labels =
        Labels::new((0..=PUBLIC_LABELS_MAX).map(|i| (format!("k{i}"), "v"))).unwrap();
    let body = Body::Ping { checksum: 0, changes: vec![bad] };
    cluster.inject(0, message(&address(9), 1, 1, body));
    let known = cluster.member(0, 1).unwrap();
    assert_eq!((known.status, &known.labels), (Status::Suspect, &good));
    assert_eq!(cluster.node(0).stats().rejected_labels, 1);
}

#[test]
fn a_ping_from_a_faulty_member_does_not_make_it_alive() {
    let mut cluster = Cluster::joined(lan(), 3);
    let incarnation = cluster.member(0, 1).unwrap().incarnation;
    let body = Body::Ping { checksum: 0, changes: vec![change(1, Status::Faulty, incarnation)] };
    cluster.cut(&[0], &[1, 2]);
    cluster.inject(0, message(&address(9), 1, 1, body));
    cluster.run_for(ms(600));
    let ping = Body::Ping { checksum: 0, changes: vec![] };
    cluster.inject(0, message(&address(1), incarnation, 2, ping));
    assert_eq!(cluster.status(0, 1), Some(Status::Faulty));
}
