//! Tests of ringpop-go with several real members: full syncs between them, and
//! the healing of partitions (`disseminator_test.go`,
//! `heal_partition_test.go`).

use std::ops::Range;

use swim_core::Status::{Alive, Faulty, Suspect};
use swim_core::{Address, Body, Config, Event, Labels, Status};

use crate::support::{Cluster, address, change, message, secs};

/// Clusters of these sizes that do not know each other, whose members have
/// nothing to spread.
fn strangers(sizes: &[usize]) -> Cluster {
    let never = Config::ringpop().to_builder().heal_probability_base(0).build().unwrap();
    let mut cluster = Cluster::new(never);
    let mut size_of = Vec::new();
    for size in sizes {
        let part = size_of.len()..size_of.len() + size;
        part.clone().for_each(|i| cluster.start(i, part.clone()));
        size_of.extend(part.map(|_| *size));
    }
    cluster.until("each part knows itself", secs(30), |c| {
        // A member that is alone has nobody to tell about itself.
        let quiet = |i: usize| size_of[i] == 1 || c.node(i).pending_changes() == 0;
        (0..size_of.len()).all(|i| c.node(i).len() == size_of[i] && quiet(i))
    });
    cluster
}

/// Lets the members of one part believe something about those of another.
fn believe(cluster: &mut Cluster, part: Range<usize>, about: Range<usize>, status: Status) {
    let changes: Vec<_> =
        about.map(|i| change(i, status, cluster.node(i).local().incarnation)).collect();
    for i in part {
        let probe = Body::Ping { checksum: 0, changes: changes.clone() };
        cluster.inject(i, message(&address(99), 1, 1, probe));
    }
}

fn hosts(n: usize) -> Vec<Address> {
    (0..n).map(address).collect()
}

/// Heals from member 0; gives how many members were contacted and how many
/// did not answer.
fn heal(cluster: &mut Cluster, hosts: Vec<Address>) -> (usize, usize) {
    let ended = |c: &Cluster| c.events(0).filter(|e| matches!(e, Event::HealEnded { .. })).count();
    let before = ended(cluster);
    cluster.command(0, |node, now| node.heal(now, hosts)).unwrap();
    cluster.until("healing ends", secs(60), |c| ended(c) > before);
    let last = cluster.events(0).filter_map(|event| match event {
        Event::HealEnded { contacted, failures } => Some((contacted.len(), *failures)),
        _ => None,
    });
    last.last().unwrap()
}

fn agree(cluster: &mut Cluster, n: usize) {
    cluster.until("one view", secs(20), |c| c.agree(n));
}

fn digests_sent(cluster: &Cluster) -> bool {
    cluster
        .sent()
        .iter()
        .any(|(_, t)| matches!(t.message.body, Body::Sync(_) | Body::SyncAck { .. }))
}

/// `TestReverseFullSync`, `SemiParition`: one side sees the other, which knows
/// nothing of it or takes it for faulty. Full syncs in both directions bring
/// them together, without the healer and without digests.
#[test]
fn a_semi_partition_heals_by_reverse_full_sync() {
    for other_way in [None, Some(Faulty)] {
        let mut cluster = strangers(&[3, 3]);
        if let Some(status) = other_way {
            believe(&mut cluster, 3..6, 0..3, status);
            let quiet = |c: &Cluster| (3..6).all(|i| c.node(i).pending_changes() == 0);
            cluster.until("nothing is left to spread", secs(30), quiet);
        }
        believe(&mut cluster, 0..3, 3..6, Alive);
        agree(&mut cluster, 6);
        assert!(!digests_sent(&cluster), "no other Ringpop knows them");
        let completed: u64 = (0..6).map(|i| cluster.node(i).stats().syncs_completed).sum();
        assert!(completed > 0);
    }
}

/// All of it at once, among members that start together.
#[test]
fn forty_members_agree_and_notice_a_crash() {
    let mut cluster = Cluster::new(Config::ringpop());
    (0..40).for_each(|i| cluster.start(i, 0..40));
    cluster.until("one view", secs(10), |c| c.agree(40));
    cluster.crash(7);
    cluster.until("faulty everywhere", secs(30), |c| c.all_say(7, Faulty));
    assert!(!digests_sent(&cluster));
}

/// Views that agree are left alone.
#[test]
fn no_full_sync_without_a_difference() {
    let mut cluster = strangers(&[5]);
    cluster.forget_traffic();
    cluster.run_for(secs(30));
    for (_, transmit) in cluster.sent() {
        match &transmit.message.body {
            Body::Ping { changes, .. } | Body::Ack { changes, .. } => assert!(changes.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

/// `WithMissing`.
#[test]
fn sides_that_do_not_know_each_other_merge_in_one_healing() {
    let mut cluster = strangers(&[5, 5]);
    assert_eq!(heal(&mut cluster, hosts(10)), (1, 0));
    agree(&mut cluster, 10);
}

/// `WithFaulties`, `WithFaultyAndMissing1` to `3`: the first healing lets each
/// side reincarnate in its own view, the second merges.
#[test]
fn sides_that_take_each_other_for_faulty_merge_in_two_healings() {
    let (a, b) = (0..5, 5..10);
    let cases: [(&str, Range<usize>, Range<usize>); 4] = [
        ("all are faulty to the other side", 0..5, 5..10),
        ("some of A are, all of B", 0..2, 5..10),
        ("all of A are, some of B", 0..5, 5..7),
        ("some of each are", 0..2, 5..7),
    ];
    for (what, faulty_a, faulty_b) in cases {
        let mut cluster = strangers(&[5, 5]);
        believe(&mut cluster, a.clone(), faulty_b, Faulty);
        believe(&mut cluster, b.clone(), faulty_a, Faulty);
        assert_eq!(heal(&mut cluster, hosts(10)), (1, 0), "{what}");
        cluster.run_for(secs(4));
        let merged = a.clone().any(|i| b.clone().any(|j| cluster.status(i, j) == Some(Alive)));
        assert!(!merged, "{what}: the first healing does not merge");
        assert_eq!(heal(&mut cluster, hosts(10)), (1, 0), "{what}");
        agree(&mut cluster, 10);
        let lost = |i: usize, j: usize| cluster.history(i, j).contains(&Some(Faulty));
        let own = [(0, 1), (4, 0), (5, 6), (9, 5)];
        assert!(own.iter().all(|(i, j)| !lost(*i, *j)), "{what}: nobody is lost in its own part");
    }
}

/// `WithMultiplePartitions`.
#[test]
fn many_partitions_are_healed_by_contacting_each() {
    let parts: Vec<Range<usize>> = (0..6).map(|k| 2 * k..2 * k + 2).collect();
    let mut cluster = strangers(&[2; 6]);
    for part in &parts {
        for other in parts.iter().filter(|other| *other != part) {
            believe(&mut cluster, part.clone(), other.clone(), Faulty);
        }
    }
    assert_eq!(heal(&mut cluster, hosts(12)), (5, 0));
    cluster.run_for(secs(4));
    heal(&mut cluster, hosts(12));
    cluster.run_for(secs(4));
    heal(&mut cluster, hosts(12));
    agree(&mut cluster, 12);
}

/// `TestHealBeforeBootstrap`: a process that has not joined answers the join
/// and refuses the ping; it counts as a failure, but is known.
#[test]
fn a_healing_that_meets_a_member_before_its_bootstrap() {
    let mut cluster = strangers(&[1]);
    cluster.start_as(5, "app", Labels::default());
    assert_eq!(heal(&mut cluster, vec![address(5)]), (0, 1));
    assert!(cluster.status(0, 5).is_some());
}

/// `TestPartitionHealWithFaulties` begins like this: what is faulty for one
/// side only is suspected, so that it can refute, and never just taken back.
#[test]
fn a_suspicion_of_the_healer_is_refuted_within_the_own_part() {
    let mut cluster = strangers(&[3, 3]);
    believe(&mut cluster, 3..6, 0..3, Faulty);
    believe(&mut cluster, 0..3, 3..6, Faulty);
    let before: Vec<u64> = (0..6).map(|i| cluster.node(i).local().incarnation).collect();
    heal(&mut cluster, hosts(6));
    cluster.run_for(secs(4));
    for (i, before) in before.into_iter().enumerate() {
        assert!(cluster.node(i).local().incarnation > before, "{i} reincarnated");
    }
    assert!(cluster.history(0, 1).contains(&Some(Suspect)));
    assert_eq!(cluster.status(0, 1), Some(Alive));
}
