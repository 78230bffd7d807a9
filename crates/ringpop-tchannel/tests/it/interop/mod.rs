//! Members in Rust and members of ringpop-node in one cluster, as real
//! processes. Without node and npm these tests are skipped, which they say in
//! a line that begins with `SKIPPED`.

mod cluster;
mod partition;
mod peers;
mod proxy;

use std::time::Duration;

use self::cluster::{Cluster, Kind, SUSPECT_PERIOD};
use crate::support::{ask, free_addresses};
use serde_json::json;
use tokio::sync::Mutex;

/// One cluster at a time: several would take each other's processor and find
/// each other suspect.
static TURN: Mutex<()> = Mutex::const_new(());

const NODE: [usize; 3] = [0, 1, 2];
const TESTPOP: usize = 3;
const BRIDGE: usize = 4;

/// Longest time until a failure is known everywhere: a ping and its helpers
/// that wait, the suspicion, and spreading both.
const DETECTION: Duration = Duration::from_secs(20).saturating_add(SUSPECT_PERIOD);

/// Three members of ringpop-node, two in Rust.
async fn mixed() -> Option<Cluster> {
    let kinds = [Kind::Node, Kind::Node, Kind::Node, Kind::Testpop, Kind::Bridge];
    let members = free_addresses(kinds.len()).into_iter().zip(kinds);
    let members = members.map(|(address, kind)| (kind, address.clone(), address));
    let cluster = Cluster::start(members.collect()).await?;
    // Node takes a second and more to start on a busy machine.
    cluster.expect_all_alive("all are alive everywhere", Duration::from_secs(30)).await;
    Some(cluster)
}

#[tokio::test]
async fn a_mixed_cluster_agrees_on_members_and_owners_and_rests() {
    let _turn = TURN.lock().await;
    let Some(cluster) = mixed().await else { return };
    // Every member takes the same one for the owner of a key.
    let ring = cluster.bridge(BRIDGE).view();
    for i in 0..1000 {
        let key = format!("key-{i}");
        let owner = json!({ "dest": ring.lookup(key.as_bytes()).unwrap() });
        let body = json!({ "key": key }).to_string();
        // One of the others in turn: each answers a few hundred.
        let at = cluster.address(i % BRIDGE).to_owned();
        let answer = ask(&at, "/admin/lookup", &body).await.unwrap().json();
        assert_eq!(answer, owner, "{key} at {at}");
    }
    let ring_checksum = cluster.bridge(BRIDGE).view().ring_checksum;
    for i in 0..BRIDGE {
        let stats = cluster.stats(i).await.unwrap();
        assert_eq!(stats["ring"]["checksum"], json!(ring_checksum), "at {i}");
    }

    // Changes that were left to spread are spread, then nobody asks for a list any more.
    let bridge = cluster.bridge(BRIDGE);
    let checksums = cluster.checksums().await;
    let before = bridge.membership_stats().await;
    let rounds = before.pings_received + 50;
    crate::support::until("ten seconds of gossip", Duration::from_secs(60), || async {
        bridge.membership_stats().await.pings_received >= rounds
    })
    .await;
    let after = bridge.membership_stats().await;
    assert_eq!(after.syncs_started, before.syncs_started, "full syncs by the Rust member");
    assert_eq!(after.joins_received, before.joins_received, "full syncs by ringpop-node");
    assert_eq!(after.changes_applied, before.changes_applied, "nothing changes");
    assert_eq!(cluster.checksums().await, checksums);
}

#[tokio::test]
async fn a_process_of_either_kind_that_is_killed_is_faulty_and_comes_back() {
    let _turn = TURN.lock().await;
    let Some(mut cluster) = mixed().await else { return };
    for victim in [NODE[1], TESTPOP] {
        let incarnation = cluster.incarnation(BRIDGE, victim).await;
        cluster.kill(victim);
        cluster.expect("it is faulty everywhere", DETECTION, &[(victim, "faulty")]).await;
        cluster.launch(victim).await;
        cluster.expect_all_alive("it is back", Duration::from_secs(30)).await;
        assert!(cluster.incarnation(BRIDGE, victim).await > incarnation);
    }
}

#[tokio::test]
async fn a_member_of_either_kind_leaves_and_joins_again() {
    let _turn = TURN.lock().await;
    let Some(cluster) = mixed().await else { return };
    for member in [NODE[0], TESTPOP] {
        cluster.command(member, "/admin/member/leave").await;
        cluster.expect("it has left", DETECTION, &[(member, "leave")]).await;
        cluster.command(member, "/admin/member/join").await;
        cluster.expect_all_alive("it is back", DETECTION).await;
    }
}

#[tokio::test]
async fn a_process_of_either_kind_that_slept_refutes() {
    let _turn = TURN.lock().await;
    let Some(mut cluster) = mixed().await else { return };
    for (sleeper, watcher) in [(NODE[2], BRIDGE), (TESTPOP, NODE[0])] {
        let incarnation = cluster.incarnation(watcher, sleeper).await;
        cluster.process(sleeper).signal("STOP");
        cluster.expect_suspect(watcher, sleeper, DETECTION).await;
        cluster.process(sleeper).signal("CONT");
        cluster.expect_all_alive("it has refuted", DETECTION).await;
        assert!(cluster.incarnation(watcher, sleeper).await > incarnation);
    }
}

/// SIGTERM: two in five of the others hear of it before the process ends.
#[tokio::test]
async fn a_process_of_either_kind_evicts_itself() {
    let _turn = TURN.lock().await;
    let Some(mut cluster) = mixed().await else { return };
    for member in [TESTPOP, NODE[1]] {
        cluster.process(member).signal("TERM");
        let code = cluster.process(member).exit(Duration::from_secs(10)).await;
        assert_eq!(code, Some(0));
        cluster.kill(member);
        // Without a suspicion: the news are there as soon as they are spread.
        let limit = Duration::from_secs(10);
        cluster.expect("it is faulty everywhere", limit, &[(member, "faulty")]).await;
    }
}
