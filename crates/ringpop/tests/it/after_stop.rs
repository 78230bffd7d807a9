//! A member that has stopped says so, in every method that could do or know something.

use std::time::Duration;

use ringpop::swim::{Config, Labels};
use ringpop::{BootstrapError, HealError, LeaveRingError, ReapError, ReconfigureError};
use ringpop::{RejoinError, Ringpop, ServeError, SetLabelsError, State};

use crate::cluster::{PATIENCE, cluster_with};

fn too_many_labels() -> Labels {
    Labels::new((0..16).map(|i| (format!("label-{i}"), String::new()))).unwrap()
}

async fn stopped() -> Ringpop {
    let mut members = cluster_with(2, |builder| builder.config(Config::local())).await;
    let member = members.pop().unwrap();
    assert!(member.membership_stats().await.joins_sent > 0);
    member.shutdown(PATIENCE).await;
    assert_eq!(member.state(), State::Stopped);
    member
}

#[tokio::test]
async fn every_command_fails_and_says_that_the_member_has_stopped() {
    let member = stopped().await;
    let none = Duration::ZERO;
    assert_eq!(member.serve(tonic::service::Routes::default()), Err(ServeError::Stopped));
    let told: Vec<String> = vec![
        member.bootstrap().await.unwrap_err().to_string(),
        member.leave(none).await.unwrap_err().to_string(),
        member.leave_ring(none).await.unwrap_err().to_string(),
        member.rejoin(none).await.unwrap_err().to_string(),
        member.set_labels(Labels::default()).await.unwrap_err().to_string(),
        member.set_label("role", "api").await.unwrap_err().to_string(),
        member.remove_label("role").await.unwrap_err().to_string(),
        member.set_weight(2).await.unwrap_err().to_string(),
        member.set_zone("a").await.unwrap_err().to_string(),
        member.change_labels([("role", "api")], []).await.unwrap_err().to_string(),
        // More labels than there may be: that it has stopped matters more.
        member.set_labels(too_many_labels()).await.unwrap_err().to_string(),
        member.evict(member.whoami(), Duration::from_secs(60)).await.unwrap_err().to_string(),
        member.undo_evict(member.whoami()).await.unwrap_err().to_string(),
        member.drain().await.unwrap_err().to_string(),
        member.undrain().await.unwrap_err().to_string(),
        member.reconfigure(Config::local()).await.unwrap_err().to_string(),
        member.config().await.unwrap_err().to_string(),
        member.reap("127.0.0.1:1").await.unwrap_err().to_string(),
        member.reap_faulty().await.unwrap_err().to_string(),
        member.heal().await.unwrap_err().to_string(),
        member.stop_gossip().await.unwrap_err().to_string(),
        member.start_gossip().await.unwrap_err().to_string(),
        member.tick().await.unwrap_err().to_string(),
    ];
    for told in told {
        assert!(told.contains("stopped"), "{told}");
    }
    assert!(matches!(member.bootstrap().await, Err(BootstrapError::State(State::Stopped))));
    assert!(matches!(member.set_weight(2).await, Err(SetLabelsError::Stopped)));
    assert!(matches!(member.reconfigure(Config::local()).await, Err(ReconfigureError::Stopped)));
    assert!(matches!(member.reap_faulty().await, Err(ReapError::Stopped)));
    assert!(matches!(member.heal().await, Err(HealError::Stopped)));
    assert!(matches!(member.leave_ring(none).await, Err(LeaveRingError::State(State::Stopped))));
    assert!(matches!(member.rejoin(none).await, Err(RejoinError::State(State::Stopped))));
}

#[tokio::test]
async fn it_owns_nothing_and_its_figures_stay() {
    let member = stopped().await;
    assert_eq!(member.lookup(b"key"), None);
    assert!(!member.owns(b"key") && member.lookup_n(b"key", 2).is_empty());
    assert!(member.view().ring.is_empty() && member.views().borrow().ring.is_empty());
    assert_eq!(member.ownership("key").lost().await, None);
    assert!(member.events().next().await.is_none());

    let stats = member.membership_stats().await;
    assert!(stats.joins_sent > 0 && stats.pings_sent > 0, "they are not zero: {stats:?}");
    let counters = member.counters().await;
    assert_eq!(counters.get("membership.joins_sent"), Some(stats.joins_sent));
    assert_eq!(member.membership_stats().await, stats);
    let uptime = member.uptime();
    assert!(uptime > Duration::ZERO);
}

#[tokio::test]
async fn whoever_waits_for_views_gets_the_latest_and_the_last() {
    let members = cluster_with(2, |builder| builder.config(Config::local())).await;
    let mut views = members[0].views();
    assert_eq!(views.borrow().ring_checksum, members[0].ring_checksum());
    members[1].set_weight(3).await.unwrap();
    let heavier = views.wait_for(|view| {
        view.ring.node(members[1].whoami()).is_some_and(|node| node.weight() == 3)
    });
    tokio::time::timeout(PATIENCE, heavier).await.unwrap().unwrap();
    members[0].shutdown(PATIENCE).await;
    let last = views.wait_for(|view| view.ring.is_empty());
    tokio::time::timeout(PATIENCE, last).await.unwrap().unwrap();
}
