//! The standard health service says whether a member is ready.

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

#[tokio::test]
async fn a_service_that_nobody_reports_is_not_found() {
    let (_member, mut health) = member().await;
    let request = HealthCheckRequest { service: "test.v1.Other".to_owned() };
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);
}
