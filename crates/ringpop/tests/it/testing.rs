//! What applications test with: clusters in one process that are killed, cut and slowed down.

use std::time::Duration;

use ringpop::swim::Status;
use ringpop::testing::Cluster;
use ringpop::{Lookup, State};

fn status(cluster: &Cluster, of: usize, at: usize) -> Option<Status> {
    let view = cluster.member(at).view();
    view.member(cluster.address(of)).map(|member| member.status)
}

#[tokio::test]
async fn a_killed_member_is_missed_and_comes_back_at_its_address() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let address = cluster.address(1).to_owned();
    cluster.kill(1).await;
    assert_eq!(cluster.member(1).state(), State::Stopped);
    assert_eq!(cluster.running().count(), 2);
    cluster.converged().await.unwrap();
    assert_eq!(status(&cluster, 1, 0), Some(Status::Faulty));
    assert!((0..100_u8).all(|key| cluster.member(0).lookup(&[key]).unwrap() != *address));
    cluster.restart(1).await.unwrap();
    cluster.converged().await.unwrap();
    assert_eq!(cluster.index_of(&address), Some(1));
    assert_eq!(cluster.member(1).whoami(), address);
}

#[tokio::test]
async fn both_sides_of_a_partition_own_every_key_until_it_is_over() {
    let cluster = Cluster::start(4).await.unwrap();
    let address = |i: usize| cluster.address(i);
    cluster.network().partition(&[&[address(0), address(1)], &[address(2), address(3)]]);
    cluster
        .until("each side has lost the other", |cluster| {
            let is_lost = |at, of| status(cluster, of, at) == Some(Status::Faulty);
            let pairs = (0..2).flat_map(|one| (2..4).map(move |other| (one, other)));
            pairs.into_iter().all(|(one, other)| is_lost(one, other) && is_lost(other, one))
        })
        .await
        .unwrap();
    for side in [[0, 1], [2, 3]] {
        let owners = side.map(|i| cluster.member(i).lookup(b"key").unwrap());
        assert_eq!(owners[0], owners[1]);
        assert!(side.iter().any(|i| owners[0] == *address(*i)));
    }
    cluster.network().restore();
    cluster.converged().await.unwrap();
}

#[tokio::test]
async fn an_isolated_member_is_missed_by_the_others_and_misses_them() {
    let cluster = Cluster::start(3).await.unwrap();
    cluster.network().isolate(cluster.address(0));
    cluster
        .until("they miss each other", |cluster| {
            status(cluster, 0, 1) == Some(Status::Faulty)
                && status(cluster, 1, 0) == Some(Status::Faulty)
        })
        .await
        .unwrap();
    cluster.network().restore();
    cluster.converged().await.unwrap();
}

/// Slower than its pings may take, it is suspected, and contradicts as long as it is heard.
#[tokio::test]
async fn a_slow_member_is_suspected() {
    let cluster = Cluster::start(3).await.unwrap();
    cluster.network().slow(cluster.address(2), Duration::from_millis(1500));
    cluster
        .until("it is suspected", |cluster| {
            [0, 1].iter().any(|at| status(cluster, 2, *at) != Some(Status::Alive))
        })
        .await
        .unwrap();
    cluster.network().slow(cluster.address(2), Duration::ZERO);
    cluster.converged().await.unwrap();
}

#[tokio::test]
async fn what_does_not_come_true_is_told_with_the_views() {
    let cluster = Cluster::builder(2).patience(Duration::from_millis(50)).start().await;
    // On a busy machine the start itself may take longer.
    let Ok(cluster) = cluster else { return };
    let error = cluster.until("pigs fly", |_| false).await.unwrap_err().to_string();
    assert!(error.contains("pigs fly") && error.contains(cluster.address(1)), "{error}");
}

/// Code that asks only who owns a key takes either.
#[tokio::test]
async fn a_member_and_a_fake_ring_agree_on_every_key() {
    let cluster = Cluster::start(3).await.unwrap();
    let others = [cluster.address(1), cluster.address(2)];
    let fake = ringpop::testing::FakeRing::new(cluster.address(0), others).unwrap();
    let rings: [&dyn Lookup; 2] = [cluster.member(0), &fake];
    assert_eq!(rings[0].whoami(), rings[1].whoami());
    for key in 0..200_u32 {
        let key = key.to_be_bytes();
        assert_eq!(rings[0].lookup(&key), rings[1].lookup(&key));
        assert_eq!(rings[0].lookup_n(&key, 3), rings[1].lookup_n(&key, 3));
        assert_eq!(rings[0].owns(&key), rings[1].owns(&key));
    }
}
