//! Discovery that is watched: what appears in it is joined, or healed with, at once.

use std::sync::Arc;
use std::time::Duration;

use ringpop::discovery::{ChannelSender, Discovery, Feed, Record, channel};
use ringpop::swim::Config;
use ringpop::{Builder, Ringpop, State};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// A registry that the test writes, and a member of it.
fn watched() -> (ChannelSender, Arc<Feed>) {
    let (registry, source) = channel("the registry");
    (registry, Arc::new(Feed::new(source)))
}

/// Its pauses between two looks at discovery are longer than a test: only a new list ends a wait.
fn builder(discovery: Arc<dyn Discovery>) -> Builder {
    let config = Config::lan().to_builder().join_delay_min(PATIENCE).join_delay_max(PATIENCE);
    let config = config.join_duration_max(4 * PATIENCE).build().unwrap();
    Ringpop::builder("test").config(config).discovery(discovery)
}

async fn serving(builder: Builder) -> Ringpop {
    let member = builder.bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    member
}

fn list(members: &[&Ringpop]) -> Vec<Record> {
    members.iter().map(|member| Record::new(member.whoami().parse().unwrap())).collect()
}

async fn sees(member: &Ringpop, count: usize) {
    let seen = async {
        let mut events = member.events();
        while member.view().members.iter().filter(|member| member.is_reachable()).count() != count {
            events.next().await.unwrap();
        }
    };
    timeout(PATIENCE / 2, seen).await.expect("one view in time");
}

#[tokio::test]
async fn a_member_that_waits_joins_whoever_appears() {
    let alone = serving(Ringpop::builder("test").config(Config::lan())).await;
    alone.bootstrap().await.unwrap();
    let (registry, feed) = watched();
    let member = serving(builder(feed).start_alone_after(None)).await;
    registry.send(list(&[&member]));
    let bootstrap = tokio::spawn({
        let member = member.clone();
        async move { member.bootstrap().await }
    });
    member.reached(State::Bootstrapping).await;
    // It lists only this member for a while; then the other one is there.
    tokio::time::sleep(Duration::from_millis(300)).await;
    registry.send(list(&[&member, &alone]));
    let joined = timeout(PATIENCE / 2, bootstrap).await.expect("no pause was waited for");
    assert_eq!(joined.unwrap().unwrap().joined.len(), 1);
}

#[tokio::test]
async fn members_that_began_apart_are_one_cluster_when_discovery_can_tell() {
    let (mut registries, mut members) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (registry, feed) = watched();
        let wait = Duration::from_millis(50);
        let member = serving(builder(feed).start_alone_after(wait)).await;
        registry.send(list(&[&member]));
        timeout(PATIENCE / 2, member.bootstrap()).await.unwrap().unwrap();
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

#[tokio::test]
async fn a_member_is_ready_when_those_it_expects_are_there() {
    let (registry, feed) = watched();
    let expecting = || {
        let builder = builder(feed.clone()).start_alone_after(Duration::from_millis(50));
        serving(builder.expect(2, 2 * PATIENCE))
    };
    let (first, second) = (expecting().await, expecting().await);
    registry.send(list(&[&first]));
    let bootstrap = tokio::spawn({
        let first = first.clone();
        async move { first.bootstrap().await }
    });
    sees(&first, 1).await;
    assert_eq!(first.state(), State::Bootstrapping, "one of two is there");
    registry.send(list(&[&first, &second]));
    let joined = timeout(PATIENCE / 2, second.bootstrap()).await.unwrap().unwrap();
    assert_eq!(joined.members, 2);
    let joined = timeout(PATIENCE / 2, bootstrap).await.unwrap().unwrap().unwrap();
    assert_eq!((joined.members, first.state()), (2, State::Ready));
}

#[tokio::test]
async fn a_member_goes_on_without_those_that_do_not_come() {
    let (registry, feed) = watched();
    let builder = builder(feed).start_alone_after(Duration::from_millis(50));
    let member = serving(builder.expect(2, Duration::from_millis(400))).await;
    registry.send(list(&[&member]));
    let begun = std::time::Instant::now();
    let joined = timeout(PATIENCE / 2, member.bootstrap()).await.unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!((joined.members, member.state()), (1, State::Ready));
}
