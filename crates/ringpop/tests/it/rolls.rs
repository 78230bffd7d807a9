//! New members come while all old ones drain; what an application does before and after a leave.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringpop::discovery::StaticList;
use ringpop::{HookPoint, Ringpop};
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes as Services;

use crate::echo::{Echo, builder, call, channel, peers};

const PATIENCE: Duration = Duration::from_secs(120);

/// Answers after a time, for calls of the same method as [`Echo`].
#[derive(Clone)]
struct Work(Duration);

service!(Work, "test.v1.Echo");

impl Work {
    async fn answer(self, _: http::Request<Body>) -> http::Response<Body> {
        sleep(self.0).await;
        Status::ok("").into_http()
    }
}

/// The members of these ports, all of which discovery lists from the start on.
async fn bound(listeners: Vec<TcpListener>, list: &str, services: &Services) -> Vec<Ringpop> {
    let mut members = Vec::new();
    for listener in listeners {
        let builder = builder().listener(listener).lame_duck(Duration::from_millis(300));
        let discovery = Arc::new(StaticList::parse(list).unwrap());
        let member = builder.discovery(discovery).bind().await.unwrap();
        member.serve(services.clone()).unwrap();
        members.push(member);
    }
    members
}

/// The case of temporal#10730: five new members start while five old ones drain with work under
/// way, and discovery lists all ten. No bootstrap and no call fails. The work takes 10 s with
/// `RINGPOP_TEST_ALL=1`, and 1 s without.
#[tokio::test(flavor = "multi_thread")]
async fn new_members_start_while_all_old_ones_drain() {
    let is_whole = std::env::var_os("RINGPOP_TEST_ALL").is_some_and(|value| value == "1");
    let work = Duration::from_secs(if is_whole { 10 } else { 1 });
    let mut listeners: Vec<_> =
        (0..10).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let list: Vec<String> =
        listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
    let list = list.join(",");
    let for_new = listeners.split_off(5);
    let old = bound(listeners, &list, &Services::new(Work(work))).await;
    for member in &old {
        timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    }
    let mut under_way = Vec::new();
    for (i, member) in old.iter().enumerate() {
        let mut channel = channel(member).await;
        under_way.push(tokio::spawn(async move { call(&mut channel, &format!("old-{i}")).await }));
    }
    // The work has begun, and everybody drains at once.
    while old.iter().map(|member| member.forward_stats().in_flight).sum::<u64>() < 5 {
        sleep(Duration::from_millis(2)).await;
    }
    let drains: Vec<_> = old
        .iter()
        .map(|member| {
            let member = member.clone();
            tokio::spawn(async move { member.shutdown(PATIENCE).await })
        })
        .collect();
    let new = bound(for_new, &list, &Services::new(Echo)).await;
    let starts = new.iter().map(|member| async {
        timeout(PATIENCE, member.bootstrap()).await.unwrap().expect("no bootstrap fails");
        let mut channel = channel(member).await;
        for i in 0..100 {
            call(&mut channel, &format!("key-{i}")).await.expect("no call fails");
        }
    });
    futures_util::future::join_all(starts).await;
    for call in under_way {
        call.await.unwrap().expect("what was under way is finished");
    }
    for drain in drains {
        assert_eq!(drain.await.unwrap().cut_off, 0);
    }
    let together = async {
        while new.iter().any(|member| member.view().ring.len() != 5) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, together).await.expect("the new ones have one ring");
}

/// A member with a hook at each point, which tells whether it owned a key then.
async fn with_hooks(told: &Arc<Mutex<Vec<(HookPoint, bool)>>>) -> Ringpop {
    let member = Arc::<Mutex<Option<Ringpop>>>::default();
    let mut builder = builder().lame_duck(Duration::ZERO);
    for point in [
        HookPoint::BeforeLeave,
        HookPoint::AfterLeave,
        HookPoint::BeforeRejoin,
        HookPoint::AfterRejoin,
        HookPoint::BeforeEvictSelf,
        HookPoint::AfterEvictSelf,
    ] {
        let (told, member) = (Arc::clone(told), Arc::clone(&member));
        builder = builder.hook(point, PATIENCE, move || {
            let (told, member) = (Arc::clone(&told), Arc::clone(&member));
            async move {
                let owns = member.lock().unwrap().as_ref().unwrap().owned("key").is_some();
                told.lock().unwrap().push((point, owns));
            }
        });
    }
    let bound = builder.bind().await.unwrap();
    *member.lock().unwrap() = Some(bound.clone());
    bound
}

#[tokio::test]
async fn hooks_run_before_and_after_each_way_off_the_ring_and_back() {
    let told = Arc::default();
    let member = with_hooks(&told).await;
    member.serve(Services::new(Echo)).unwrap();
    member.bootstrap().await.unwrap();
    let other = builder().discovery(peers(&[&member])).bind().await.unwrap();
    other.serve(Services::new(Echo)).unwrap();
    other.bootstrap().await.unwrap();
    let both = async {
        while member.view().ring.len() != 2 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, both).await.unwrap();
    let owns = member.owns(b"key");
    member.leave_ring(PATIENCE).await.unwrap();
    assert_eq!(
        *told.lock().unwrap(),
        [(HookPoint::BeforeLeave, owns), (HookPoint::AfterLeave, false)]
    );
    member.shutdown(PATIENCE).await;
    other.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn a_member_evicts_itself_and_comes_back_and_shuts_down_between_its_hooks() {
    let told = Arc::default();
    let member = with_hooks(&told).await;
    member.serve(Services::new(Echo)).unwrap();
    member.bootstrap().await.unwrap();
    member.evict_self(PATIENCE).await.unwrap();
    member.rejoin(PATIENCE).await.unwrap();
    member.shutdown(PATIENCE).await;
    let points: Vec<HookPoint> = told.lock().unwrap().iter().map(|(point, _)| *point).collect();
    let expected = [
        HookPoint::BeforeEvictSelf,
        HookPoint::AfterEvictSelf,
        HookPoint::BeforeRejoin,
        HookPoint::AfterRejoin,
        HookPoint::BeforeLeave,
        HookPoint::AfterLeave,
    ];
    assert_eq!(points, expected);
}
