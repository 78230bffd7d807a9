//! At the bounds of what a driver or a configuration can say.

use std::time::Duration;

use crate::support::{Cluster, address, change, message, secs};
use swim_core::limits::DURATION_MAX;
use swim_core::{Body, Config, ConfigError, Cursor, Instant, Status};

/// Deadlines that saturate must not be due again and again.
#[test]
fn the_end_of_time_is_no_livelock() {
    let mut cluster = Cluster::joined(Config::lan(), 2);
    let end = Instant::from_start(Duration::MAX);
    cluster.command(0, |node, _| node.handle_timeout(end));
    assert!(cluster.node(0).poll_timeout().is_some());
    cluster.command(0, |node, _| node.handle_timeout(end));
}

#[test]
fn durations_are_bounded_so_that_nothing_overflows() {
    let error = Config::builder().suspect_timeout(Duration::MAX).build().unwrap_err();
    assert!(matches!(error, ConfigError::TooLong { field: "suspect_timeout", .. }), "{error}");
    let longest = Config::builder()
        .suspect_timeout(DURATION_MAX)
        .suspect_timeout_max_factor(1000)
        .ping_timeout(DURATION_MAX)
        .ping_req_timeout(DURATION_MAX)
        .awareness_max(1000)
        .build()
        .unwrap();
    let mut cluster = Cluster::new(longest);
    (0..4).for_each(|i| cluster.start(i, 0..4));
    cluster.run_for(secs(1));
    let ping = Body::Ping {
        checksum: 0,
        changes: vec![change(1, Status::Suspect, u64::from(u32::MAX) << 9)],
    };
    cluster.inject(0, message(&address(2), 1, 1, ping));
    assert_eq!(cluster.status(0, 1), Some(Status::Suspect));
}

/// What a peer gives as the place of the next page is said to it in turn, so it
/// must be one that a member can read.
#[test]
fn a_position_that_leads_nowhere_ends_a_join() {
    for (buckets, bucket) in [(0, 0), (3, 0), (256, 0), (8, 8)] {
        let mut cluster = Cluster::new(Config::lan());
        cluster.start(0, [1]);
        let seq = cluster.sent()[0].1.message.seq;
        let next = Some(Cursor { buckets, bucket, after: None });
        let changes = vec![change(5, Status::Alive, 1)];
        cluster
            .inject(0, message(&address(1), 1, seq, Body::JoinAck { checksum: 0, changes, next }));
        assert_eq!(cluster.sent().len(), 1, "no further page is asked for at {buckets}/{bucket}");
        assert_eq!(cluster.node(0).stats().joins_failed, 1);
    }
}
