use ringpop::admin_client::MemberStatus;

use super::*;

fn cluster(nodes: u16) -> Cluster {
    let plan = Plan::new(nodes, 7100).unwrap();
    let ids: Vec<_> = (0..u32::from(nodes)).map(|i| Some(100 + i)).collect();
    Cluster::new(&plan, &ids)
}

/// What member `index` says when it sees `members` alive and one more that is faulty.
fn says(index: usize, state: &str, members: usize, checksum: u64) -> Update {
    let address = |i: usize| format!("127.0.0.1:{}", 7100 + i);
    let member = |i: usize, status: Status| MemberStatus {
        address: address(i),
        status: status.into(),
        share: 1.0 / 4.0,
        ..MemberStatus::default()
    };
    let alive = (0..members).map(|i| member(i, Status::Alive));
    let status = GetStatusResponse {
        address: address(index),
        state: state.to_owned(),
        membership_checksum: checksum,
        members: alive.chain([member(63, Status::Faulty)]).collect(),
        ..GetStatusResponse::default()
    };
    let status = Some(Box::new(status));
    Update::Status { index, status }
}

fn silence(index: usize) -> Update {
    Update::Status { index, status: None }
}

fn exit(index: usize) -> Update {
    let how = "killed (signal 9)".to_owned();
    Update::Exited { index, how }
}

fn convergence(events: &[DevEvent]) -> Option<(usize, u64)> {
    events.iter().find_map(|event| match event {
        DevEvent::Converged { nodes, checksum, .. } => Some((*nodes, *checksum)),
        _ => None,
    })
}

#[test]
fn all_agree_when_each_is_ready_and_sees_all() {
    let mut cluster = cluster(2);
    // Both are alone and may even have one checksum.
    assert_eq!(convergence(&cluster.apply(says(0, "ready", 1, 7))), None);
    assert_eq!(convergence(&cluster.apply(says(1, "ready", 1, 7))), None);
    assert_eq!(convergence(&cluster.apply(says(0, "ready", 2, 8))), None);
    assert_eq!(convergence(&cluster.apply(says(1, "bootstrapping", 2, 8))), None);
    let events = cluster.apply(says(1, "ready", 2, 8));
    assert_eq!(convergence(&events), Some((2, 8)));
    assert!(matches!(events.last(), Some(DevEvent::Hints { commands }) if commands.len() == 3));
    assert_eq!(cluster.agreed(), Some(8));
}

#[test]
fn the_rest_agrees_when_it_knows_of_a_death() {
    let mut cluster = cluster(3);
    for i in 0..3 {
        cluster.apply(says(i, "ready", 3, 7));
    }
    assert_eq!(cluster.agreed(), Some(7));
    let events = cluster.apply(exit(2));
    assert!(
        matches!(&events[..], [DevEvent::Exited { restart: Some(line), .. }] if line.contains("node --listen 127.0.0.1:7102")),
        "{events:?}"
    );
    assert_eq!((cluster.agreed(), cluster.running()), (None, 2));
    cluster.apply(says(0, "ready", 2, 8));
    let events = cluster.apply(says(1, "ready", 2, 8));
    assert_eq!(convergence(&events), Some((2, 8)));
    assert!(!events.iter().any(|event| matches!(event, DevEvent::Hints { .. })));
}

#[test]
fn a_member_that_was_started_again_by_hand_counts() {
    let mut cluster = cluster(2);
    cluster.apply(exit(1));
    cluster.apply(says(0, "ready", 2, 8));
    assert_eq!(cluster.agreed(), None);
    cluster.apply(says(1, "ready", 2, 8));
    assert_eq!(cluster.agreed(), Some(8));
    assert_eq!(cluster.nodes()[1].condition(), "ready");
    cluster.apply(silence(1));
    assert_eq!(cluster.nodes()[1].condition(), "killed (signal 9)");
}

#[test]
fn what_does_not_change_is_not_told() {
    let mut cluster = cluster(2);
    assert_eq!(cluster.apply(silence(0)), []);
    assert_eq!(cluster.apply(says(0, "ready", 1, 7)).len(), 1);
    assert_eq!(cluster.apply(says(0, "ready", 1, 7)), []);
    assert!(matches!(cluster.apply(silence(0))[..], [DevEvent::Silent { .. }]));
    assert_eq!(cluster.apply(silence(0)), []);
}

#[test]
fn members_that_stop_as_told_need_no_comment() {
    let mut cluster = cluster(2);
    for i in 0..2 {
        cluster.apply(says(i, "ready", 2, 7));
    }
    assert_eq!(cluster.stop(), DevEvent::Stopping { nodes: 2 });
    assert_eq!(cluster.apply(says(0, "draining", 1, 9)), []);
    assert_eq!(cluster.apply(silence(0)), []);
    let events = cluster.apply(exit(0));
    assert!(matches!(events[..], [DevEvent::Exited { restart: None, .. }]), "{events:?}");
}
