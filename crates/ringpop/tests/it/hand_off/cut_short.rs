//! Commands whose time is over, whose caller has gone, or that another command follows, in the
//! midst of a move: none leaves a member off the ring for good.

use std::time::Duration;

use ringpop::RejoinError;
use ringpop::swim::Status;
use ringpop::testing::Cluster;
use tokio::time::timeout;

use super::{Hooks, LONG, Script, Step, scripted};

/// Longer than all that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a hook that hangs holds a move up.
const HELD_UP: Duration = Duration::from_secs(1);

async fn has_left(cluster: &Cluster, i: usize) {
    let left = |cluster: &Cluster| {
        cluster.running().all(|member| {
            let seen = member.view().member(cluster.address(i)).map(|member| member.status);
            seen == Some(Status::Leave)
        })
    };
    cluster.until("all know that it has left", left).await.unwrap();
}

async fn all_on_ring(cluster: &Cluster, n: usize) {
    let all = |cluster: &Cluster| cluster.running().all(|member| member.view().ring.len() == n);
    cluster.until("all are on the ring", all).await.unwrap();
}

/// A cluster of three. A move that the member `by` has to give state for takes [`HELD_UP`].
async fn held_up(by: usize) -> (Cluster, Hooks<Script>) {
    let steps =
        move |i| if i == by { [Step::Hangs, Step::Done, Step::Done] } else { Script::all_done() };
    scripted(3, HELD_UP, steps).await
}

#[tokio::test]
async fn a_leave_of_no_time_is_a_leave_and_ends_with_a_rejoin() {
    let cluster = Cluster::start(3).await.unwrap();
    for limit in [0, 1, 20] {
        cluster.member(0).leave_ring(Duration::from_millis(limit)).await.unwrap();
        has_left(&cluster, 0).await;
        cluster.member(0).rejoin(PATIENCE).await.unwrap();
        all_on_ring(&cluster, 3).await;
        cluster.member(0).evict_self(Duration::from_millis(limit)).await.unwrap();
        cluster.member(0).rejoin(PATIENCE).await.unwrap();
        all_on_ring(&cluster, 3).await;
    }
}

#[tokio::test]
async fn a_leave_whose_caller_has_gone_goes_on() {
    let (cluster, hooks) = held_up(0).await;
    let leaver = cluster.member(0).clone();
    let leaving = tokio::spawn(async move { leaver.leave_ring(LONG).await });
    hooks.of(0).saw("give").await;
    leaving.abort();
    has_left(&cluster, 0).await;
    cluster.member(0).rejoin(PATIENCE).await.unwrap();
    all_on_ring(&cluster, 3).await;
}

#[tokio::test]
async fn a_rejoin_whose_keys_are_late_says_so_and_goes_on() {
    let (cluster, _hooks) = held_up(1).await;
    cluster.member(0).leave_ring(PATIENCE).await.unwrap();
    has_left(&cluster, 0).await;
    let late = cluster.member(0).rejoin(HELD_UP / 2).await;
    assert!(matches!(late, Err(RejoinError::KeysLate)), "{late:?}");
    // Another call waits for the keys, and finds the member at home when they have come.
    let again = cluster.member(0).rejoin(PATIENCE).await;
    assert!(matches!(again, Ok(_) | Err(RejoinError::NotAway)), "{again:?}");
    all_on_ring(&cluster, 3).await;
}

#[tokio::test]
async fn a_rejoin_of_no_time_can_be_tried_again() {
    let (cluster, _hooks) = held_up(1).await;
    for limit in [0, 1, 5, 20] {
        cluster.member(0).leave_ring(PATIENCE).await.unwrap();
        has_left(&cluster, 0).await;
        cluster.member(0).rejoin(Duration::from_millis(limit)).await.unwrap_err();
        cluster.member(0).rejoin(PATIENCE).await.unwrap();
        all_on_ring(&cluster, 3).await;
    }
}

#[tokio::test]
async fn of_two_weights_the_later_counts_while_a_move_is_under_way() {
    let (cluster, hooks) = held_up(1).await;
    let member = cluster.member(0).clone();
    let growing = tokio::spawn(async move { member.set_weight(3).await });
    hooks.of(1).saw("give").await;
    // Back to the weight that it has until the move is done; the zone is no other weight.
    cluster.member(0).set_weight(1).await.unwrap();
    cluster.member(0).set_zone("b").await.unwrap();
    growing.await.unwrap().unwrap();
    let weight_is = |weight| {
        move |cluster: &Cluster| {
            let address = cluster.address(0);
            cluster.running().all(|m| m.view().ring.node(address).unwrap().weight() == weight)
        }
    };
    cluster.until("all have the later weight", weight_is(1)).await.unwrap();
    cluster.member(0).set_weight(2).await.unwrap();
    cluster.until("weights change as before", weight_is(2)).await.unwrap();
}

#[tokio::test]
async fn a_weight_that_is_set_while_keys_come_counts_when_they_have_come() {
    let (cluster, hooks) = held_up(1).await;
    let member = cluster.member(0).clone();
    member.drain().await.unwrap();
    hooks.of(1).began.send_modify(Vec::clear);
    let undrained = tokio::spawn({
        let member = member.clone();
        async move { member.undrain().await }
    });
    hooks.of(1).saw("give").await;
    member.set_weight(2).await.unwrap();
    assert!(undrained.await.unwrap().unwrap());
    let weight_is_2 = |cluster: &Cluster| {
        let address = cluster.address(0);
        let weight = |m: &ringpop::Ringpop| m.view().ring.node(address).map(|node| node.weight());
        cluster.running().all(|m| weight(m) == Some(2))
    };
    cluster.until("all have the later weight", weight_is_2).await.unwrap();
}

#[tokio::test]
async fn an_undrain_ends_the_drain_that_is_under_way() {
    let (cluster, hooks) = held_up(0).await;
    let member = cluster.member(0).clone();
    let draining = tokio::spawn(async move { member.drain().await });
    hooks.of(0).saw("give").await;
    // Dropping it changes nothing.
    draining.abort();
    let undrained = timeout(PATIENCE, cluster.member(0).undrain()).await.unwrap();
    assert!(undrained.unwrap(), "it was drained");
    all_on_ring(&cluster, 3).await;
    assert!(!cluster.member(0).undrain().await.unwrap());
}
