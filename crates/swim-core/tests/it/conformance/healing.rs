//! `partition-healing-tests.js`

use std::time::Duration;

use swim_core::Status::{Alive, Faulty, Suspect};
use swim_core::{Address, Event, Member, Status};

use super::fakes::{INCARNATION, REAL_INCARNATION, fake, member, real, said, sizes};
use super::suite::{Sent, Suite};

/// Fake 0 is with the real member in partition A, fakes 1 and 2 are
/// partition B.
const A1: usize = 0;
const B: [usize; 2] = [1, 2];

/// What each side knows: fake, status, incarnation.
type View<'a> = &'a [(usize, Status, u64)];

fn partitioned(n: usize, a: View<'_>, b: View<'_>) -> Suite {
    let mut suite = Suite::prepare(n);
    suite.drain();
    for (about, status, incarnation) in a {
        suite.tell(A1, *about, *status, *incarnation);
    }
    // Partition B took the real member for faulty long ago.
    let mut list: Vec<Member> = b.iter().map(|(i, s, inc)| member(fake(*i), *s, *inc)).collect();
    list.push(member(real(), Faulty, 1000));
    for i in B {
        suite.fakes[i].list.clone_from(&list);
    }
    suite.forget_probes();
    suite
}

/// Heals and gives the pings to partition B that this brought.
fn heal(suite: &mut Suite) -> Vec<Sent> {
    let hosts: Vec<Address> = suite.fakes.iter().map(|fake| fake.address.clone()).collect();
    suite.command(|sut, now| sut.heal(now, hosts)).unwrap();
    let ended = |event: &Event| matches!(event, Event::HealEnded { .. });
    suite.until("the healing ends", |suite| suite.events.iter().any(ended));
    let Some(Event::HealEnded { contacted, .. }) = suite.events.iter().rfind(|e| ended(e)) else {
        panic!("it ended")
    };
    let contacted = contacted.clone();
    assert_eq!(contacted.len(), 1, "one target");
    let joins = suite.take(Sent::is_join);
    assert_eq!(joins.iter().filter(|join| join.to == contacted[0]).count(), 1, "one join");
    let up = |join: &&Sent| suite.fakes.iter().any(|fake| fake.address == join.to && fake.up);
    assert_eq!(joins.iter().filter(up).count(), 1, "one join that was answered");
    suite.take(|sent| sent.is_ping() && contacted.contains(&sent.to))
}

fn with_status(sent: &Sent, status: Status) -> Vec<Member> {
    let changes = sent.changes().iter().map(|change| change.member.clone());
    let mut members: Vec<Member> = changes.filter(|member| member.status == status).collect();
    members.sort_by(|a, b| a.address.cmp(&b.address));
    members
}

#[test]
fn reincarnating_partitions_a_and_b() {
    let mut suite = partitioned(
        3,
        &[(1, Faulty, INCARNATION), (2, Faulty, INCARNATION)],
        &[(0, Faulty, INCARNATION), (1, Alive, INCARNATION), (2, Alive, INCARNATION)],
    );
    let pings = heal(&mut suite);
    let suspects = B.map(|i| member(fake(i), Suspect, INCARNATION));
    assert_eq!(with_status(&pings[0], Suspect), suspects);
    assert!(with_status(&pings[0], Alive).is_empty(), "no merge");
    let ping = suite.next_ping(|ping| ping.to == fake(A1));
    assert!(with_status(&ping, Suspect).contains(&member(fake(A1), Suspect, INCARNATION)));
    suite.assert_counts(&[(Alive, 1), (Suspect, 1), (Faulty, 2)]);
    suite.finish();
}

const REINCARNATED: u64 = INCARNATION + 3;

#[test]
fn merge_partitions_a_and_b_when_reincarnated() {
    let mut suite = partitioned(
        3,
        &[(0, Alive, REINCARNATED), (1, Faulty, INCARNATION), (2, Faulty, INCARNATION)],
        &[(0, Faulty, INCARNATION), (1, Alive, REINCARNATED), (2, Alive, REINCARNATED)],
    );
    let pings = heal(&mut suite);
    let alive = with_status(&pings[0], Alive);
    assert!(alive.contains(&member(fake(A1), Alive, REINCARNATED)));
    assert!(alive.contains(&member(real(), Alive, REAL_INCARNATION)));
    suite.assert_counts(&[(Alive, 4)]);
    suite.finish();
}

#[test]
fn merge_partitions_a_and_b_when_reincarnated_while_having_an_extra_faulty_node() {
    let extra = (3, Faulty, INCARNATION);
    let mut suite = partitioned(
        4,
        &[(0, Alive, REINCARNATED), (1, Faulty, INCARNATION), (2, Faulty, INCARNATION), extra],
        &[(0, Faulty, INCARNATION), (1, Alive, REINCARNATED), (2, Alive, REINCARNATED), extra],
    );
    suite.fakes[3].up = false;
    let pings = heal(&mut suite);
    let alive = with_status(&pings[0], Alive);
    assert!(alive.contains(&member(fake(A1), Alive, REINCARNATED)));
    assert!(alive.contains(&member(real(), Alive, REAL_INCARNATION)));
    assert_eq!(suite.member(3), Some(&member(fake(3), Faulty, INCARNATION)));
    suite.assert_counts(&[(Alive, 4), (Faulty, 1)]);
    suite.finish();
}

#[test]
fn do_not_merge_partitions_when_b_is_not_fully_reincarnated() {
    let mut suite = partitioned(
        3,
        &[(1, Faulty, INCARNATION), (2, Faulty, INCARNATION)],
        &[(0, Faulty, INCARNATION), (1, Alive, INCARNATION + 1), (2, Suspect, INCARNATION)],
    );
    let pings = heal(&mut suite);
    let [ping] = &pings[..] else { panic!("one ping: {pings:?}") };
    assert!(with_status(ping, Alive).is_empty());
    assert_eq!(with_status(ping, Suspect), [member(fake(2), Suspect, INCARNATION)]);
    let by_sut = |change: &swim_core::Change| {
        change.source.as_ref().is_some_and(|source| source.address == real())
    };
    assert!(!ping.changes().iter().any(by_sut), "or it would be left out as known to its source");
    assert_eq!(suite.member(0), Some(&member(fake(0), Suspect, INCARNATION)));
    for i in B {
        assert_eq!(suite.member(i), Some(&member(fake(i), Faulty, INCARNATION)));
    }
    suite.finish();
}

#[test]
fn partition_healer_kicks_in_to_previously_unknown_nodes() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(1);
        (1..n).for_each(|_| suite.add_fake());
        suite.list_all(&[]);
        heal(&mut suite);
        suite.assert_counts(&[(Alive, n + 1)]);
        suite.finish();
    }
}

/// The two rounds one after the other: the suspects refute in between.
#[test]
fn two_healings_bring_the_partitions_together() {
    let mut suite = partitioned(
        3,
        &[(1, Faulty, INCARNATION), (2, Faulty, INCARNATION)],
        &[(0, Faulty, INCARNATION), (1, Alive, INCARNATION), (2, Alive, INCARNATION)],
    );
    heal(&mut suite);
    suite.ping(0, vec![said(0, member(fake(0), Alive, REINCARNATED))]);
    for i in B {
        let of_b = B.map(|b| member(fake(b), Alive, REINCARNATED));
        suite.fakes[i].list.retain(|member| !B.iter().any(|b| member.address == fake(*b)));
        suite.fakes[i].list.extend(of_b);
    }
    suite.events.clear();
    suite.run_for(Duration::from_millis(100));
    heal(&mut suite);
    suite.assert_counts(&[(Alive, 4)]);
    suite.finish();
}

/// It is enough that one side would lose somebody.
#[test]
fn no_merge_while_one_side_has_something_to_refute() {
    let b_alive = [(1, Alive, INCARNATION), (2, Alive, INCARNATION)];
    let mut b = b_alive.to_vec();
    b.push((0, Alive, INCARNATION));
    let mut suite = partitioned(3, &[(1, Faulty, INCARNATION), (2, Faulty, INCARNATION)], &b);
    let pings = heal(&mut suite);
    assert_eq!(with_status(&pings[0], Suspect).len(), 2);
    assert!(with_status(&pings[0], Alive).is_empty(), "B refutes first");
    suite.assert_counts(&[(Alive, 2), (Faulty, 2)]);
    suite.finish();

    let mut b = b_alive.map(|(i, status, incarnation)| (i, status, incarnation + 1)).to_vec();
    b.push((0, Faulty, INCARNATION));
    let mut suite = partitioned(3, &[(1, Faulty, INCARNATION), (2, Faulty, INCARNATION)], &b);
    assert!(heal(&mut suite).is_empty(), "there is nothing to tell B");
    suite.assert_counts(&[(Alive, 1), (Suspect, 1), (Faulty, 2)]);
    suite.finish();
}

/// ringpop-go looks for the first time when it starts and then every 30 s. The
/// cases of the suite, which take up to 20 s, see no join that they did not ask
/// for.
#[test]
fn nobody_looks_for_partitions_in_the_first_period() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n);
        let wanted = |suite: &Suite| suite.events.contains(&Event::HealWanted);
        suite.run_for(suite.sut.config().heal_period() - Duration::from_secs(1));
        assert!(!wanted(&suite), "too early with {n}");
        if n <= 2 {
            suite.run_for(suite.sut.config().heal_period() + Duration::from_secs(1));
            assert!(wanted(&suite), "a cluster of up to three looks in every period");
        }
        suite.finish();
    }
}
