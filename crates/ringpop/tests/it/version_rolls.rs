//! Rolls from version to version, in which members take the places of those that leave.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringpop::hand_off::Map;
use ringpop::limits::ROLL_WAIT_MAX;
use ringpop::swim::Config;
use ringpop::testing::Cluster;
use ringpop::{Builder, Ringpop};

use crate::runs_all::runs_all;

const KEYS: usize = 1_000;
const LIMIT: Duration = Duration::from_secs(30);

fn key(i: usize) -> String {
    format!("key-{i}")
}

fn owners(cluster: &Cluster) -> Vec<String> {
    let member = cluster.running().next().unwrap();
    (0..KEYS).map(|i| member.lookup(key(i).as_bytes()).unwrap().to_string()).collect()
}

/// A cluster whose members have maps, and the version of those that start from now on.
struct Fleet {
    cluster: Cluster,
    version: Arc<AtomicUsize>,
    maps: Arc<Mutex<HashMap<usize, Arc<Map>>>>,
    owners: Vec<String>,
    /// As a part of all keys.
    moved: f64,
}

impl Fleet {
    /// The first `running` of `members` run.
    async fn start(members: usize, running: usize, settings: fn(Builder) -> Builder) -> Self {
        let version = Arc::new(AtomicUsize::new(1));
        let maps = Arc::new(Mutex::new(HashMap::new()));
        let (of_start, for_hooks) = (Arc::clone(&version), Arc::clone(&maps));
        let each = move |i, builder: Builder| {
            let map = Arc::new(Map::new(10_000, 1 << 20));
            for_hooks.lock().unwrap().insert(i, Arc::clone(&map));
            let version = of_start.load(Ordering::Relaxed).to_string();
            // A member that a busy machine takes for dead moves keys as well.
            let builder = builder.config(Config::lan()).lame_duck(Duration::ZERO);
            settings(builder.version(version).hand_off(map))
        };
        let mut cluster = Cluster::builder(members).settings(each).start().await.unwrap();
        for i in running..members {
            cluster.stop(i, LIMIT).await;
        }
        cluster.converged().await.unwrap();
        let owners = owners(&cluster);
        let fleet = Self { cluster, version, maps, owners, moved: 0.0 };
        for i in 0..KEYS {
            fleet.map_of(&fleet.owners[i]).put(key(i), format!("value-{i}")).unwrap();
        }
        fleet.version.store(2, Ordering::Relaxed);
        fleet
    }

    fn map_of(&self, address: &str) -> Arc<Map> {
        Arc::clone(&self.maps.lock().unwrap()[&self.cluster.index_of(address).unwrap()])
    }

    async fn stop(&mut self, i: usize) {
        self.cluster.stop(i, LIMIT).await;
        self.count().await;
    }

    async fn restart(&mut self, i: usize) {
        self.cluster.restart(i).await.unwrap();
        self.count().await;
    }

    /// Counts the keys that have moved since it was asked last.
    async fn count(&mut self) {
        self.cluster.converged().await.unwrap();
        let now = owners(&self.cluster);
        let moved = now.iter().zip(&self.owners).filter(|(now, before)| now != before).count();
        self.moved += moved as f64 / KEYS as f64;
        self.owners = now;
    }

    fn assert_all_there(&self) {
        for (i, owner) in self.owners.iter().enumerate() {
            let (value, expected) =
                (self.map_of(owner).get(key(i).as_bytes()), format!("value-{i}"));
            assert_eq!(value.as_deref(), Some(expected.as_bytes()), "{} at {owner}", key(i));
        }
    }

    fn on_ring(&self) -> usize {
        self.cluster.running().next().unwrap().view().ring.len()
    }
}

#[tokio::test]
async fn a_new_member_takes_the_place_of_an_old_one_with_its_state() {
    let n = if runs_all("a roll of ten members from version to version") { 10 } else { 3 };
    let mut fleet = Fleet::start(2 * n, n, |builder| builder).await;
    for i in 0..n {
        fleet.restart(n + i).await;
        assert_eq!(fleet.on_ring(), n, "the new member stands by");
        fleet.stop(i).await;
        assert_eq!(fleet.on_ring(), n);
    }
    assert!(fleet.moved < 1.05, "{} of at most 1.1", fleet.moved);
    fleet.assert_all_there();
    let counters = fleet.cluster.member(n).counters().await;
    assert_eq!(counters.get("moves.places_taken"), Some(1));
}

/// Two parts of `n` more than each key once; without versions each key moves twice.
#[tokio::test]
async fn members_that_restart_in_place_take_the_places_of_each_other() {
    let mut fleet = Fleet::start(4, 4, |builder| builder).await;
    for i in 0..4 {
        fleet.stop(i).await;
        fleet.restart(i).await;
    }
    assert_eq!(fleet.on_ring(), 4, "the last one took a free place");
    assert!((1.4..1.7).contains(&fleet.moved), "{}", fleet.moved);
    fleet.assert_all_there();
}

#[tokio::test]
async fn a_member_that_stands_by_in_vain_takes_its_share_and_its_own_place_is_handed_over_by_none()
{
    let wait = |builder: Builder| builder.roll_wait(Duration::from_millis(300));
    let mut fleet = Fleet::start(3, 3, wait).await;
    fleet.cluster.stop(0, LIMIT).await;
    fleet.cluster.restart(0).await.unwrap();
    let all = |cluster: &Cluster| cluster.running().all(|member| member.view().ring.len() == 3);
    fleet.cluster.until("it comes onto the ring", all).await.unwrap();
    fleet.cluster.converged().await.unwrap();
    fleet.owners = owners(&fleet.cluster);
    fleet.assert_all_there();
}

#[tokio::test]
async fn settings_of_rolls_that_cannot_be_meant_are_refused() {
    let builder = || Ringpop::builder("test");
    let error = builder().roll_wait(Duration::ZERO).bind().await.unwrap_err().to_string();
    assert!(error.contains("`version`"), "{error}");
    let wait = ROLL_WAIT_MAX + Duration::from_secs(1);
    let error = builder().version("1").roll_wait(wait).bind().await.unwrap_err().to_string();
    assert!(error.contains("3601s") && error.contains("3600s"), "{error}");
    let error = builder().version("1").label("version", "2").bind().await.unwrap_err().to_string();
    assert!(error.contains("more than once"), "{error}");
    for reserved in ["ring-place", "ring-standby"] {
        let error = builder().label(reserved, "1").bind().await.unwrap_err().to_string();
        assert!(error.contains(reserved), "{error}");
    }
}
