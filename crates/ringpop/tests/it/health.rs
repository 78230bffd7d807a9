//! The standard health service says whether a member is ready.

#[cfg(feature = "testing")]
use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringpop::{Ringpop, State};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// Only a failure waits this long: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(120);

async fn member() -> (Ringpop, HealthClient<Channel>) {
    let member = Ringpop::builder("test").listen("127.0.0.1:0".parse().unwrap()).bind().await;
    let member = member.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    let endpoint: Endpoint = format!("http://{}", member.whoami()).parse().unwrap();
    (member, HealthClient::new(endpoint.connect().await.unwrap()))
}

fn whole() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let message = timeout(PATIENCE, watch.message()).await.expect("a watch hears of it");
    message.unwrap().map(|response| response.status())
}

#[tokio::test]
async fn a_member_serves_when_it_is_ready_and_no_longer_than_that() {
    let (member, mut health) = member().await;
    let status = health.check(whole()).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::NotServing);
    let mut watch = health.watch(whole()).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));

    member.bootstrap().await.unwrap();
    assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
    let status = health.check(whole()).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::Serving);

    let limit = 2 * PATIENCE;
    let stopping = tokio::spawn(async move {
        let report = member.shutdown(limit).await;
        (report, member.state())
    });
    assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut watch).await, None, "a watch does not hold up the end of the server");
    let (report, state) = timeout(PATIENCE, stopping).await.expect("it stops").unwrap();
    assert_eq!((report.cut_off, state), (0, State::Stopped));
}

/// It forwards its keys, and new work should go elsewhere.
#[cfg(feature = "testing")]
#[tokio::test]
async fn a_member_that_its_health_check_keeps_off_the_ring_does_not_serve_until_it_passes() {
    let is_healthy = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_healthy);
    let settings = move |i, builder: ringpop::Builder| {
        let switch = Arc::clone(&switch);
        let check = move || {
            let passes = i != 1 || switch.load(Ordering::Relaxed);
            async move { if passes { Ok(()) } else { Err("stuck") } }
        };
        builder.health_check(ringpop::HealthCheck::new(check).interval(Duration::from_millis(20)))
    };
    let cluster = ringpop::testing::Cluster::builder(3).settings(settings).start().await.unwrap();
    let mut watches = Vec::new();
    for member in [1, 2] {
        let endpoint: Endpoint = format!("http://{}", cluster.address(member)).parse().unwrap();
        let mut health = HealthClient::new(endpoint.connect().await.unwrap());
        watches.push(health.watch(whole()).await.unwrap().into_inner());
    }
    assert_eq!(next(&mut watches[0]).await, Some(ServingStatus::Serving));
    is_healthy.store(false, Ordering::Relaxed);
    assert_eq!(next(&mut watches[0]).await, Some(ServingStatus::NotServing));
    is_healthy.store(true, Ordering::Relaxed);
    assert_eq!(next(&mut watches[0]).await, Some(ServingStatus::Serving));
    // What others have to say of themselves is nothing of its own.
    assert_eq!(next(&mut watches[1]).await, Some(ServingStatus::Serving));
    let more = timeout(Duration::from_millis(1), watches[1].message()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_service_that_nobody_reports_is_not_found() {
    let (_member, mut health) = member().await;
    let request = HealthCheckRequest { service: "test.v1.Other".to_owned() };
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);
}
