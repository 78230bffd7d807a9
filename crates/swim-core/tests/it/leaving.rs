//! Members that leave.

use swim_core::{Body, Config, Event, Labels, State, Status};

use crate::support::{Cluster, address, change, lan, message, ms, secs};

#[test]
fn a_member_that_leaves_is_gone_at_once_and_never_suspect() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.command(4, |node, now| node.leave(now)).unwrap();
    cluster.until("left", secs(1), |c| c.node(4).state() == State::Left);
    // Each of those that were told has asked it once, which takes a round trip.
    cluster.until("all know", ms(10), |c| c.all_say(4, Status::Leave));
    let complete = Event::LeaveComplete { acknowledged: 4, told: 4 };
    assert!(cluster.events(4).any(|e| *e == complete));
    cluster.crash(4);
    cluster.run_for(secs(30));
    assert!(cluster.all_say(4, Status::Leave));
    for observer in 0..4 {
        assert!(!cluster.history(observer, 4).contains(&Some(Status::Suspect)));
    }
}

#[test]
fn a_member_that_left_refutes_as_one_that_left() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.command(2, |node, now| node.leave(now)).unwrap();
    cluster.run_for(secs(1));
    let incarnation = cluster.node(2).local().incarnation;
    let body = Body::Ping { checksum: 0, changes: vec![change(2, Status::Alive, incarnation + 1)] };
    cluster.inject(2, message(&address(0), 1, 1, body));
    assert_eq!(cluster.node(2).local().status, Status::Leave);
    assert!(cluster.node(2).local().incarnation > incarnation + 1);
}

#[test]
fn a_member_may_leave_and_join_again() {
    let mut cluster = Cluster::joined(lan(), 4);
    cluster.command(3, |node, now| node.leave(now)).unwrap();
    cluster.until("left", secs(1), |c| c.node(3).state() == State::Left);
    cluster.command(3, |node, now| node.join(now, vec![address(0)])).unwrap();
    cluster.until("back", secs(3), |c| c.agree(4));
}

#[test]
fn a_member_that_left_and_stays_away_is_forgotten() {
    let config = Config::builder().faulty_timeout(secs(10)).tombstone_timeout(secs(5));
    let mut cluster = Cluster::joined(config.build().unwrap(), 3);
    cluster.command(2, |node, now| node.leave(now)).unwrap();
    cluster.run_for(secs(1));
    cluster.crash(2);
    cluster.until("forgotten", secs(30), |c| (0..2).all(|i| c.status(i, 2).is_none()));
}

#[test]
fn commands_out_of_order_are_refused() {
    let mut cluster = Cluster::joined(lan(), 2);
    assert!(cluster.command(0, |node, now| node.join(now, vec![])).is_err());
    cluster.command(0, |node, now| node.leave(now)).unwrap();
    assert!(cluster.command(0, |node, now| node.leave(now)).is_err());
    cluster.start_as(7, "app", Labels::default());
    assert!(cluster.command(7, |node, now| node.leave(now)).is_err());
}

#[test]
fn what_only_a_member_of_the_cluster_can_do_is_named_when_it_is_refused() {
    let mut cluster = Cluster::joined(lan(), 2);
    cluster.command(0, |node, now| node.leave(now)).unwrap();
    cluster.start_as(7, "app", Labels::default());
    for (i, state) in [(0, "has left"), (7, "has not joined")] {
        let error = cluster.command(i, |node, now| node.heal(now, vec![])).unwrap_err();
        let expected = format!("this member {state}, it cannot heal partitions; join first");
        assert_eq!(error.to_string(), expected);
        let error = cluster.command(i, |node, now| node.discovered(now, vec![])).unwrap_err();
        assert!(error.to_string().contains("it cannot look for hosts"), "{error}");
    }
}
