//! A partition of a mixed cluster, and its end.

use std::time::Duration;

use super::cluster::{Cluster, Kind};
use super::proxy::Network;
use super::{DETECTION, TURN};
use crate::support::{ask, free_addresses, until};

/// Each side has both kinds.
const KINDS: [Kind; 5] = [Kind::Node, Kind::Node, Kind::Bridge, Kind::Node, Kind::Bridge];
const OTHER_SIDE: [usize; 2] = [3, 4];

#[tokio::test]
async fn a_partition_across_both_kinds_heals() {
    let _turn = TURN.lock().await;
    let mut addresses = free_addresses(2 * KINDS.len()).into_iter();
    let pairs: Vec<(String, String)> =
        KINDS.iter().filter_map(|_| Some((addresses.next()?, addresses.next()?))).collect();
    let network = Network::start(&pairs).await;
    let members =
        KINDS.into_iter().zip(pairs).map(|(kind, (known, listens))| (kind, known, listens));
    let Some(cluster) = Cluster::start(members.collect()).await else { return };
    cluster.expect_all_alive("all are alive everywhere", Duration::from_secs(30)).await;

    network.cut(&OTHER_SIDE);
    let faulty_to_each_other = || async {
        let mut faulty = true;
        for i in 0..KINDS.len() {
            let Some(stats) = cluster.stats(i).await else { return false };
            for j in 0..KINDS.len() {
                let apart = OTHER_SIDE.contains(&i) != OTHER_SIDE.contains(&j);
                let (status, _) = crate::support::seen(&stats, cluster.address(j)).unwrap();
                faulty &= status == if apart { "faulty" } else { "alive" };
            }
        }
        faulty
    };
    let limit = 2 * DETECTION;
    until("each side takes the other for faulty", limit, faulty_to_each_other).await;

    // Healing is tried by each kind; it takes two rounds at least.
    network.mend();
    let healed = || async {
        for healer in [0, 2] {
            let at = &cluster.peers[healer].listens;
            ask(at, "/admin/healpartition/disco", "{}").await.expect("it answers");
        }
        let round = Duration::from_secs(2);
        let all_alive = cluster.expect_all_alive("the sides are one", round);
        // A round that was not enough is followed by another.
        tokio::time::timeout(round / 2, all_alive).await.is_ok()
    };
    until("the partition is healed", Duration::from_secs(60), healed).await;
}
