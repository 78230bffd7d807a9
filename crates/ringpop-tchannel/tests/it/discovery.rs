//! Discovery that fails, lists nobody, or is watched: whatever appears in it is joined, or healed
//! with, at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringpop_tchannel::discovery::{
    ChannelSender, Discovery, DiscoveryError, Feed, PeersFuture, Record, channel,
};
use ringpop_tchannel::{BootstrapError, Bridge, BridgeBuilder, Config, Isolation};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// Its pauses between two looks at discovery are longer than a test: only a new list ends a wait.
fn patient() -> BridgeBuilder {
    let config = Config::ringpop().to_builder().join_delay_min(PATIENCE).join_delay_max(PATIENCE);
    Bridge::builder("rides").config(config.join_duration_max(4 * PATIENCE).build().unwrap())
}

/// A registry that the test writes.
fn registry() -> (ChannelSender, Arc<Feed>) {
    let (sender, source) = channel("the registry");
    (sender, Arc::new(Feed::new(source)))
}

fn list(members: &[&Bridge]) -> Vec<Record> {
    members.iter().map(|member| Record::new(member.whoami().parse().unwrap())).collect()
}

async fn sees(member: &Bridge, count: usize) {
    let mut views = member.views();
    let all = views.wait_for(|view| reachable(view) == count);
    timeout(PATIENCE / 2, all).await.expect("one view in time").unwrap();
}

fn reachable(view: &ringpop_tchannel::View) -> usize {
    view.members.iter().filter(|member| member.is_reachable()).count()
}

#[tokio::test]
async fn a_member_that_waits_joins_whoever_appears() {
    let first = Bridge::builder("rides").bind().await.unwrap();
    first.bootstrap().await.unwrap();
    let (registry, feed) = registry();
    let member = Arc::new(patient().discovery(feed).start_alone_after(None).bind().await.unwrap());
    registry.send(list(&[&member]));
    let joining = tokio::spawn({
        let member = member.clone();
        async move { member.bootstrap().await }
    });
    // It lists only this member for a while; then the other one is there.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!joining.is_finished());
    registry.send(list(&[&member, &first]));
    let joined = timeout(PATIENCE / 2, joining).await.expect("no pause was waited for");
    assert_eq!(joined.unwrap().unwrap().joined.len(), 1);
    assert_eq!(member.transport_stats().alone, 0);
}

#[tokio::test]
async fn members_that_began_apart_are_one_cluster_when_discovery_can_tell() {
    let (mut registries, mut members) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (registry, feed) = registry();
        let wait = Duration::from_millis(50);
        let member = patient().discovery(feed).start_alone_after(wait).bind().await.unwrap();
        registry.send(list(&[&member]));
        timeout(PATIENCE / 2, member.bootstrap()).await.unwrap().unwrap();
        assert_eq!(member.transport_stats().alone, 1, "it is told");
        assert_eq!(member.isolation(), Isolation::Alone);
        registries.push(registry);
        members.push(member);
    }
    for registry in &registries {
        registry.send(list(&members.iter().collect::<Vec<_>>()));
    }
    for member in &members {
        sees(member, 3).await;
    }
}

/// Answers as the test wants, and counts the questions.
#[derive(Debug, Clone)]
struct Told {
    peers: Arc<Mutex<Result<Vec<String>, &'static str>>>,
    asked: Arc<AtomicUsize>,
}

impl Told {
    fn new() -> Self {
        Self { peers: Arc::new(Mutex::new(Ok(Vec::new()))), asked: Arc::default() }
    }
}

impl Discovery for Told {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let peers = self.peers.lock().unwrap().clone().map_err(DiscoveryError::other)?;
            Ok(peers.iter().map(|peer| Record::new(peer.parse().unwrap())).collect())
        })
    }

    fn origin(&self) -> String {
        "the test".to_owned()
    }
}

#[tokio::test]
async fn discovery_that_fails_lists_nobody_or_only_this_member_is_asked_again() {
    let first = Bridge::builder("rides").bind().await.unwrap();
    first.bootstrap().await.unwrap();
    for before in [Err("the registry is down"), Ok(Vec::new()), Ok(vec!["own".to_owned()])] {
        let told = Told::new();
        let builder = Bridge::builder("rides").discovery(told.clone()).start_alone_after(PATIENCE);
        let member = builder.bind().await.unwrap();
        let own = member.whoami().to_owned();
        let own_instead = |peers: Vec<String>| peers.iter().map(|_| own.clone()).collect();
        *told.peers.lock().unwrap() = before.clone().map(own_instead);
        let later = async {
            while told.asked.load(Ordering::SeqCst) < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            *told.peers.lock().unwrap() = Ok(vec![own.clone(), first.whoami().to_owned()]);
        };
        let both = async { tokio::join!(member.bootstrap(), later).0 };
        let joined = timeout(PATIENCE, both).await.unwrap().unwrap();
        assert_eq!(joined.joined.len(), 1, "after {before:?}");
    }
}

#[tokio::test]
async fn a_member_that_may_not_start_alone_fails_in_the_end() {
    let limit = Duration::from_millis(1500);
    let config = Config::ringpop().to_builder().join_duration_max(limit).build().unwrap();
    let told = Told::new();
    let builder = Bridge::builder("rides").config(config).discovery(told).start_alone_after(None);
    let member = builder.bind().await.unwrap();
    let begun = Instant::now();
    let error = timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap_err();
    assert!(begun.elapsed() >= limit);
    assert!(matches!(error, BootstrapError::Nobody { .. }), "{error:?}");
    assert!(error.to_string().contains("start the other members"), "{error}");
}

#[tokio::test]
async fn a_member_waits_for_those_that_it_expects_and_not_for_ever() {
    let (registry, feed) = registry();
    let builder = || patient().discovery(feed.clone()).start_alone_after(Duration::from_millis(50));
    let first = builder().expect(2, Duration::from_millis(400)).bind().await.unwrap();
    registry.send(list(&[&first]));
    let begun = Instant::now();
    let joined = timeout(PATIENCE / 2, first.bootstrap()).await.unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!(joined.members, 1);
    let second = builder().expect(2, 2 * PATIENCE).bind().await.unwrap();
    registry.send(list(&[&first, &second]));
    let joined = timeout(PATIENCE / 2, second.bootstrap()).await.unwrap().unwrap();
    assert_eq!(joined.members, 2);
}
