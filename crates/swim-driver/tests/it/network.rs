//! Clusters on the network in memory, in virtual time.

use std::time::Duration;

use swim_driver::memory::{Network, NetworkStats};
use swim_driver::swim_core::{Node, Status};
use tokio::time::sleep;

use crate::support::{Member, address, cluster, node};

async fn all_reach(members: &[Member], count: usize) -> bool {
    for member in members {
        if member.reachable().await != count {
            return false;
        }
    }
    true
}

/// Waits in virtual time.
async fn until_all_reach(members: &[Member], count: usize) {
    for _ in 0..600 {
        if all_reach(members, count).await {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("not all of {} members reach {count} in ten minutes", members.len());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_cut_off_is_faulty_and_comes_back() {
    let network = Network::new(1);
    let members = cluster(&network, 5).await;
    until_all_reach(&members, 5).await;
    network.isolate(&address(5));
    until_all_reach(&members[..4], 4).await;
    assert_eq!(members[0].status(5).await, Some(Status::Faulty));
    network.restore();
    until_all_reach(&members, 5).await;
}

#[tokio::test(start_paused = true)]
async fn two_halves_become_one_again() {
    let network = Network::new(2);
    network.set_latency(Duration::from_millis(1)..Duration::from_millis(20));
    let members = cluster(&network, 6).await;
    until_all_reach(&members, 6).await;
    let (left, right) = ([1, 2, 3].map(address), [4, 5, 6].map(address));
    network.partition(&[&left, &right]);
    until_all_reach(&members, 3).await;
    network.restore();
    until_all_reach(&members, 6).await;
}

/// Helpers carry probes around a way that is cut, in either direction.
#[tokio::test(start_paused = true)]
async fn a_way_that_is_cut_between_two_does_not_make_either_faulty() {
    let network = Network::new(3);
    let members = cluster(&network, 5).await;
    until_all_reach(&members, 5).await;
    network.cut(&address(1), &address(2));
    sleep(Duration::from_secs(120)).await;
    assert_ne!(members[0].status(2).await, Some(Status::Faulty));
    assert_ne!(members[1].status(1).await, Some(Status::Faulty));
    assert!(network.stats().cut > 0);
}

/// A period is 200 ms, and each brings one probe as a rule.
#[tokio::test(start_paused = true)]
async fn a_member_that_has_joined_probes_four_others_at_once() {
    let network = Network::new(4);
    let members = cluster(&network, 4).await;
    until_all_reach(&members, 4).await;
    let joined = Member::join(&network, 5).await;
    sleep(Duration::from_millis(20)).await;
    let pings = |node: &mut Node, _| node.stats().pings_sent;
    assert_eq!(joined.handle.with(pings).await.unwrap(), 4);
}

async fn history(seed: u64) -> (Vec<String>, NetworkStats) {
    let network = Network::new(seed);
    network.set_latency(Duration::from_millis(1)..Duration::from_millis(50));
    network.set_loss(0.1);
    let members = cluster(&network, 4).await;
    network.isolate(&address(3));
    sleep(Duration::from_secs(60)).await;
    network.restore();
    sleep(Duration::from_secs(60)).await;
    let mut lines = Vec::new();
    for member in &members {
        lines.append(&mut member.log.lock().unwrap());
    }
    (lines, network.stats())
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_history() {
    let (events, stats) = history(7).await;
    assert!(events.len() > 20 && stats.lost > 0, "{} events, {stats:?}", events.len());
    assert_eq!(history(7).await, (events.clone(), stats));
    assert_ne!(history(8).await, (events, stats));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_stopped_frees_its_address_and_is_refused_at_once() {
    let network = Network::new(4);
    let members = cluster(&network, 2).await;
    assert!(network.endpoint(&node(2)).is_err(), "it is taken");
    members[1].handle.stop().await;
    members[1].handle.ended().await;
    sleep(Duration::from_secs(5)).await;
    assert!(network.stats().refused > 0);
    assert_ne!(members[0].status(2).await, Some(Status::Alive));
    assert!(network.endpoint(&node(2)).is_ok());
}
