//! Members that live and own no keys: evicted, drained, unhealthy; and their way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringpop::admin_client::{
    DrainRequest, EvictRequest, GetMembersRequest, MemberStatus, UndoEvictRequest, UndrainRequest,
};
use ringpop::swim::{Event as SwimEvent, Status};
use ringpop::testing::Cluster;
use ringpop::{
    AdminAccess, BindError, Event, EvictError, HealthCheck, HealthCheckError, OffRing,
    OwnLabelError, Problem, Ringpop, SlowStart, SlowStartError,
};
use tonic::Code;

use crate::admin::client as admin;

const MINUTE: Duration = Duration::from_secs(60);

/// Why each of the members is off the ring, if all see the same.
fn off(cluster: &Cluster) -> Option<Vec<(String, OffRing)>> {
    let seen = |member: &Ringpop| -> Vec<(String, OffRing)> {
        let view = member.view();
        let known = view.members.iter();
        let off = known.filter_map(|known| {
            let address = known.address.as_str();
            let on_ring = view.ring.node(address).is_some();
            let off = view.off_ring(address).cloned();
            assert!(off.is_none() || !on_ring, "{address} is off the ring and on it");
            Some((address.to_owned(), off?))
        });
        off.collect()
    };
    let mut all = cluster.running().map(seen);
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// Waits until all see exactly these members off the ring.
async fn until_off(cluster: &Cluster, members: &[usize]) {
    let mut expected: Vec<&str> = members.iter().map(|i| cluster.address(*i)).collect();
    expected.sort_unstable();
    let is_so = |cluster: &Cluster| {
        off(cluster).is_some_and(|off| {
            off.iter().map(|(address, _)| &**address).eq(expected.iter().copied())
        })
    };
    cluster.until(&format!("{members:?} are off the ring"), is_so).await.unwrap();
    // Nobody takes them for dead. A suspicion that a busy machine causes is refuted and harmless.
    let lives = |member: &Ringpop| {
        let view = member.view();
        let lives = |status: Status| matches!(status, Status::Alive | Status::Suspect);
        view.members.iter().filter(|member| lives(member.status)).count()
    };
    assert!(cluster.running().all(|member| lives(member) == cluster.running().count()));
}

#[tokio::test]
async fn an_eviction_spreads_is_undone_by_another_member_and_the_newest_counts() {
    let cluster = Cluster::start(4).await.unwrap();
    let target = cluster.address(3).to_owned();
    cluster.member(0).evict(&target, MINUTE).await.unwrap();
    until_off(&cluster, &[3]).await;
    let Some(OffRing::Evicted { by, .. }) = cluster.member(2).view().off_ring(&target).cloned()
    else {
        panic!("it is evicted");
    };
    assert_eq!(by.as_str(), cluster.address(0));
    assert!(!cluster.member(3).owns(b"any key") && cluster.member(3).lookup(b"any key").is_some());
    let problems = cluster.member(3).problems();
    assert!(
        matches!(&problems[..], [Problem::Evicted { by, .. }] if by.as_str() == cluster.address(0))
    );

    cluster.member(1).undo_evict(&target).await.unwrap();
    until_off(&cluster, &[]).await;
    let over = |cluster: &Cluster| cluster.member(3).problems().is_empty();
    cluster.until("the problem is over", over).await.unwrap();
    let error = cluster.member(2).undo_evict(&target).await.unwrap_err();
    assert_eq!(error, EvictError::NotEvicted(target.clone()));
    // Evicted once more by the member itself, and undone by the member that was asked first.
    cluster.member(3).evict(&target, MINUTE).await.unwrap();
    until_off(&cluster, &[3]).await;
    cluster.member(0).undo_evict(&target).await.unwrap();
    until_off(&cluster, &[]).await;
}

#[tokio::test]
async fn a_member_is_evicted_and_put_back_by_any_spelling_of_its_address() {
    let cluster = Cluster::start(2).await.unwrap();
    let port = cluster.address(1).rsplit(':').next().unwrap();
    for spelling in [format!("[::ffff:127.0.0.1]:{port}"), format!("[0:0:0::ffff:7f00:1]:{port}")] {
        cluster.member(0).evict(&spelling, MINUTE).await.unwrap();
        until_off(&cluster, &[1]).await;
        let view = cluster.member(0).view();
        assert!(view.off_ring(&spelling).is_some() && view.member(&spelling).is_some());
        cluster.member(0).undo_evict(&spelling).await.unwrap();
        until_off(&cluster, &[]).await;
    }
}

#[tokio::test]
async fn an_eviction_ends_by_itself() {
    let cluster = Cluster::start(3).await.unwrap();
    let began = Instant::now();
    cluster.member(0).evict(cluster.address(1), Duration::from_secs(1)).await.unwrap();
    until_off(&cluster, &[1]).await;
    until_off(&cluster, &[]).await;
    // The wall clock of the test counts whole milliseconds.
    assert!(began.elapsed() >= Duration::from_millis(998), "{:?}", began.elapsed());
}

/// The promise: it outlives the restart of the asked member, and that of the evicted one.
#[tokio::test]
async fn an_eviction_outlives_a_restart_of_either_of_its_holders() {
    let mut cluster = Cluster::start(4).await.unwrap();
    cluster.member(0).evict(cluster.address(3), MINUTE).await.unwrap();
    until_off(&cluster, &[3]).await;
    let held = |cluster: &Cluster| {
        let view = cluster.member(1).view();
        [0, 3].iter().all(|i| {
            let member = view.member(cluster.address(*i));
            member.is_some_and(|member| member.labels.get("ring-evictions").is_some())
        })
    };
    cluster.until("both hold it", held).await.unwrap();
    for restarts in [0, 3, 0] {
        cluster.restart(restarts).await.unwrap();
        until_off(&cluster, &[3]).await;
        cluster.until("both hold it again", held).await.unwrap();
    }
    cluster.member(2).undo_evict(cluster.address(3)).await.unwrap();
    until_off(&cluster, &[]).await;
}

#[tokio::test]
async fn what_cannot_be_evicted_is_refused() {
    let cluster = Cluster::start(2).await.unwrap();
    let member = cluster.member(0);
    for (address, time) in [
        ("10.9.9.9:7100", MINUTE),
        ("what is this", MINUTE),
        (cluster.address(1), Duration::ZERO),
        (cluster.address(1), MINUTE * 60 * 24 * 8),
    ] {
        let error = member.evict(address, time).await.unwrap_err();
        assert!(matches!(error, EvictError::Unknown(_) | EvictError::Time(_)), "{error}");
    }
    until_off(&cluster, &[]).await;
}

#[tokio::test]
async fn operators_evict_and_drain_by_the_administration_service_when_they_may() {
    let access = AdminAccess::read_only().loopback();
    let builder = Cluster::builder(3).settings(move |i, builder| {
        if i == 0 { builder } else { builder.admin_access(access.clone()) }
    });
    let cluster = builder.start().await.unwrap();
    let evict = |time_ms| EvictRequest { address: cluster.address(2).to_owned(), time_ms };
    let refused = admin(cluster.member(0)).await.evict(evict(60_000)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = admin(cluster.member(0)).await.drain(DrainRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let mut client = admin(cluster.member(1)).await;
    let refused = client.evict(evict(1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let until = client.evict(evict(60_000)).await.unwrap().into_inner().until_unix_ms;
    assert!(client.drain(DrainRequest {}).await.unwrap().into_inner().changed);
    assert!(!client.drain(DrainRequest {}).await.unwrap().into_inner().changed);
    until_off(&cluster, &[1, 2]).await;
    let mut asked = admin(cluster.member(0)).await;
    let members = asked.get_members(GetMembersRequest::default()).await.unwrap().into_inner();
    let of = |i: usize| -> MemberStatus {
        let of = members.members.iter().find(|member| member.address == cluster.address(i));
        of.unwrap().clone()
    };
    let evicted = of(2).off_ring.unwrap();
    assert_eq!((&*evicted.reason, &*evicted.by), ("evicted", cluster.address(1)));
    assert_eq!(evicted.until_unix_ms, until);
    assert_eq!(of(1).off_ring.unwrap().reason, "draining");
    assert_eq!((of(0).off_ring, of(0).share), (None, 1.0));
    let counters = cluster.member(0).counters().await;
    assert_eq!((counters.get("ring.evicted"), counters.get("ring.draining")), (Some(1), Some(1)));

    let undo = UndoEvictRequest { address: cluster.address(2).to_owned() };
    client.undo_evict(undo.clone()).await.unwrap();
    assert!(client.undrain(UndrainRequest {}).await.unwrap().into_inner().changed);
    until_off(&cluster, &[]).await;
    let refused = client.undo_evict(undo).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

/// A cluster whose members each have a switch for their health.
async fn with_health(n: usize, check_ms: u64) -> (Cluster, Arc<Vec<AtomicBool>>) {
    let healthy: Arc<Vec<AtomicBool>> = Arc::new((0..n).map(|_| AtomicBool::new(true)).collect());
    let switches = Arc::clone(&healthy);
    let builder =
        Cluster::builder(n).settings(move |i, builder| {
            let switches = Arc::clone(&switches);
            let check = move || {
                let is_healthy = switches[i].load(Ordering::Relaxed);
                // As a handler that waits for a lock for ever.
                async move {
                    if is_healthy { Ok::<_, String>(()) } else { std::future::pending().await }
                }
            };
            let time = Duration::from_millis(check_ms);
            builder.health_check(HealthCheck::new(check).interval(time).timeout(time))
        });
    (builder.start().await.unwrap(), healthy)
}

fn set(switches: &[AtomicBool], members: &[usize], healthy: bool) {
    members.iter().for_each(|i| switches[*i].store(healthy, Ordering::Relaxed));
}

#[tokio::test]
async fn a_check_that_never_answers_takes_its_member_off_the_ring_and_back_on() {
    let (cluster, healthy) = with_health(3, 20).await;
    set(&healthy, &[1], false);
    until_off(&cluster, &[1]).await;
    assert_eq!(cluster.member(0).view().off_ring(cluster.address(1)), Some(&OffRing::Unhealthy));
    let problems = cluster.member(1).problems();
    assert!(
        matches!(&problems[..], [Problem::Unhealthy { reason }] if reason.contains("no answer within 20ms")),
        "{problems:?}"
    );
    let counters = cluster.member(1).counters().await;
    assert!(counters.get("health.checks_failed") >= Some(2));
    set(&healthy, &[1], true);
    until_off(&cluster, &[]).await;
    let over = |cluster: &Cluster| cluster.member(1).problems().is_empty();
    cluster.until("the problem is over", over).await.unwrap();
}

/// With every check failing, the floor stays on: half of the members, rounded up.
#[tokio::test]
async fn when_every_check_fails_the_floor_stays_on_the_ring() {
    let (cluster, healthy) = with_health(5, 20).await;
    set(&healthy, &[4], false);
    until_off(&cluster, &[4]).await;
    set(&healthy, &[0, 1, 2, 3], false);
    let all_fail = |cluster: &Cluster| {
        let view = cluster.member(0).view();
        let failing =
            view.members.iter().filter(|member| member.labels.get("ring-unhealthy").is_some());
        failing.count() == 5 && off(cluster).is_some()
    };
    cluster.until("all say that their checks fail", all_fail).await.unwrap();
    let seen = off(&cluster).unwrap();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().any(|(address, _)| address == cluster.address(4)), "the first stays off");
    assert_eq!(cluster.member(0).view().ring.len(), 3);
    set(&healthy, &[0, 1, 2, 3, 4], true);
    until_off(&cluster, &[]).await;
}

#[tokio::test]
async fn a_drained_member_comes_back_in_steps() {
    let slowly = SlowStart::new(Duration::from_millis(200)).steps(4);
    let builder = Cluster::builder(3).settings(move |i, builder| {
        let builder = builder.weight(8);
        if i == 2 { builder.slow_start(slowly) } else { builder }
    });
    let cluster = builder.start().await.unwrap();
    let warm = |cluster: &Cluster| {
        cluster
            .running()
            .all(|member| member.view().ring.nodes().iter().all(|node| node.weight() == 8))
    };
    cluster.until("all have their whole weights", warm).await.unwrap();
    assert!(cluster.member(2).drain().await.unwrap());
    until_off(&cluster, &[2]).await;
    let first_step = |cluster: &Cluster| {
        let view = cluster.member(0).view();
        let member = view.member(cluster.address(2));
        member.is_some_and(|member| member.labels.get("ring-warming") == Some("1/4"))
    };
    cluster.until("it says that it will begin with a part", first_step).await.unwrap();
    let mut events = cluster.member(2).events();
    cluster.member(2).undrain().await.unwrap();
    let mut steps = Vec::new();
    while steps.last() != Some(&None) {
        let Some(Event::Membership(SwimEvent::MemberChanged { after: Some(after), .. })) =
            events.next().await
        else {
            continue;
        };
        if after.address.as_str() == cluster.address(2) {
            steps.push(after.labels.get("ring-warming").map(str::to_owned));
        }
    }
    steps.dedup();
    let expected = ["1/4", "2/4", "3/4"].map(|step| Some(step.to_owned()));
    assert_eq!(steps, [&expected[..], &[None]].concat());
    cluster.until("all have their whole weights", warm).await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_be_meant_are_refused_at_the_start() {
    let check = HealthCheck::new(|| async { Ok::<_, String>(()) });
    let error = Ringpop::builder("test").health_check(check.failures(0)).bind().await.unwrap_err();
    assert!(matches!(error, BindError::HealthCheck(HealthCheckError::Count { .. })), "{error}");
    let slowly = SlowStart::new(Duration::from_secs(1));
    let error = Ringpop::builder("test").slow_start(slowly).bind().await.unwrap_err();
    assert!(matches!(error, BindError::SlowStart(SlowStartError::Weight { weight: 1 })), "{error}");
    for reserved in ["ring-draining", "ring-unhealthy", "ring-evictions", "ring-warming"] {
        let error = Ringpop::builder("test").label(reserved, "1").bind().await.unwrap_err();
        assert!(matches!(error, BindError::OwnLabel(OwnLabelError::Reserved { .. })), "{error}");
    }
}

/// As many labels as an application may set leave room for those of the member.
#[tokio::test]
async fn a_member_with_all_its_labels_can_still_be_drained_and_evict() {
    let cluster = Cluster::builder(2).settings(|_, builder| {
        (0..5).fold(builder, |builder, i| builder.label(format!("k{i}"), "v"))
    });
    let cluster = cluster.start().await.unwrap();
    cluster.member(0).evict(cluster.address(1), MINUTE).await.unwrap();
    until_off(&cluster, &[1]).await;
    let error = cluster.member(0).set_label("k5", "v").await.unwrap_err();
    assert!(error.to_string().contains("6 labels"), "{error}");
    assert_eq!(cluster.member(0).config().await.unwrap().label_limits().count, 5);
}

/// The bars at full size: a stuck handler is off all rings within the time of its check and two
/// seconds, an eviction is everywhere within a second among a hundred.
#[tokio::test(flavor = "multi_thread")]
async fn off_all_rings_in_time_among_many() {
    let is_whole = std::env::var_os("RINGPOP_TEST_ALL").is_some_and(|value| value == "1");
    let n = if is_whole { 20 } else { 12 };
    let (cluster, healthy) = with_health(n, 250).await;
    let began = Instant::now();
    set(&healthy, &[n - 1], false);
    until_off(&cluster, &[n - 1]).await;
    let (stuck, check) = (began.elapsed(), Duration::from_millis(250 * 2 * 2));
    set(&healthy, &[n - 1], true);
    until_off(&cluster, &[]).await;
    let began = Instant::now();
    cluster.member(0).evict(cluster.address(1), MINUTE).await.unwrap();
    until_off(&cluster, &[1]).await;
    let evicted = began.elapsed();
    println!("{n} members: stuck off all rings after {stuck:?}, evicted after {evicted:?}");
    if is_whole {
        // Members of one process share its cores: the figures are those of a quiet machine.
        return;
    }
    assert!(stuck < check + Duration::from_secs(2), "{stuck:?}");
    assert!(evicted < Duration::from_secs(1), "{evicted:?}");
}
