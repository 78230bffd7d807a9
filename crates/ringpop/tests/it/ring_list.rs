//! The ring as a plain list over HTTP.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use ringpop::swim::Config;
use ringpop::{Builder, PlacementChoice, RingList, Ringpop};
use serde_json::Value;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::cluster::{PATIENCE, cluster_with};

async fn ask(list: &RingList, request: Request<()>) -> Response<Body> {
    list.clone().oneshot(request).await.unwrap()
}

async fn get(list: &RingList, path: &str) -> Response<Body> {
    ask(list, Request::get(path).body(()).unwrap()).await
}

fn if_none_match(path: &str, etag: &str) -> Request<()> {
    Request::get(path).header("if-none-match", etag).body(()).unwrap()
}

async fn json(response: Response<Body>) -> Value {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

async fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

fn etag(member: &Ringpop) -> String {
    format!("\"{:016x}\"", member.ring_checksum())
}

fn with_points(builder: Builder) -> Builder {
    builder.config(Config::local()).placement(PlacementChoice::Ring { points: 10 })
}

async fn alone() -> Ringpop {
    let member = with_points(crate::echo::builder()).bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    member.bootstrap().await.unwrap();
    member
}

#[tokio::test]
async fn it_is_the_ring_of_the_member() {
    let members = cluster_with(2, with_points).await;
    members[1].set_weight(3).await.unwrap();
    let list = members[1].ring_list();
    let response = get(&list, "/anywhere").await;
    assert_eq!(response.headers()["etag"], etag(&members[1]));
    let told = json(response).await;
    assert_eq!(told["app"], members[1].app());
    assert_eq!(told["ring_checksum"], format!("{:016x}", members[1].ring_checksum()));
    assert_eq!(told["placement"], "ring:10");
    let entries = told["members"].as_array().unwrap();
    let view = members[1].view();
    assert_eq!(entries.len(), 2);
    for (entry, share) in entries.iter().zip(view.ring.shares().iter()) {
        assert_eq!(entry["address"], share.node.id());
        assert_eq!(entry["identity"], share.node.identity());
        assert_eq!(entry["weight"], share.node.weight());
        assert_eq!(entry["points"], share.points);
        assert!((entry["share"].as_f64().unwrap() - share.fraction).abs() < 1e-9);
    }
    let mut weights: Vec<_> = entries.iter().map(|entry| entry["weight"].as_u64()).collect();
    weights.sort_unstable();
    assert_eq!(weights, [Some(1), Some(3)]);
}

#[tokio::test]
async fn an_asker_that_has_it_gets_304_and_may_wait_for_a_change() {
    let member = alone().await;
    let list = member.ring_list();
    let known = etag(&member);
    for tag in [known.clone(), format!("\"0\", W/{known}"), "*".to_owned()] {
        let same = ask(&list, if_none_match("/ring", &tag)).await;
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED, "{tag}");
        assert_eq!(same.headers()["etag"], known);
    }
    let other = ask(&list, if_none_match("/ring", "\"0\"")).await;
    assert_eq!(other.status(), StatusCode::OK);

    let waiting = tokio::spawn({
        let list = list.clone();
        let request = if_none_match("/ring?wait=30", &known);
        async move { ask(&list, request).await }
    });
    member.set_weight(2).await.unwrap();
    let changed = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    let told = json(changed).await;
    assert_eq!(told["members"][0]["weight"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_its_time() {
    let member = alone().await;
    let list = member.ring_list();
    let began = tokio::time::Instant::now();
    let same = ask(&list, if_none_match("/ring?wait=7", &etag(&member))).await;
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    assert!(began.elapsed() >= Duration::from_secs(7));
}

#[tokio::test]
async fn only_reading_is_possible_and_waits_are_bounded() {
    let member = alone().await;
    let list = member.ring_list();
    for method in ["POST", "PUT", "DELETE"] {
        let request = Request::builder().method(method).uri("/ring").body(()).unwrap();
        let refused = ask(&list, request).await;
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers()["allow"], "GET, HEAD");
    }
    for wait in ["31", "-1", "soon", ""] {
        let refused = get(&list, &format!("/ring?wait={wait}")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{wait}");
    }
    let head = Request::head("/ring").body(()).unwrap();
    assert_eq!(ask(&list, head).await.status(), StatusCode::OK);

    let most = ringpop::limits::RING_LIST_WAITERS_MAX;
    let known = etag(&member);
    let request = || if_none_match("/ring?wait=30", &known);
    let mut waiting: Vec<_> = (0..most).map(|_| Box::pin(ask(&list, request()))).collect();
    for waiting in &mut waiting {
        assert!(poll(waiting).await.is_pending());
    }
    let refused = ask(&list, request()).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    waiting.pop();
    assert!(poll(&mut Box::pin(ask(&list, request()))).await.is_pending(), "one went");
}

#[tokio::test]
async fn a_member_that_is_not_ready_tells_nothing() {
    let member = crate::echo::builder().bind().await.unwrap();
    let list = member.ring_list();
    assert_eq!(get(&list, "/ring").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    member.serve(tonic::service::Routes::default()).unwrap();
    member.bootstrap().await.unwrap();
    assert_eq!(get(&list, "/ring").await.status(), StatusCode::OK);
    let (known, waiting) = (etag(&member), list.clone());
    let waiting =
        tokio::spawn(async move { ask(&waiting, if_none_match("/ring?wait=30", &known)).await });
    tokio::task::yield_now().await;
    member.shutdown(PATIENCE).await;
    let ended = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(ended.status(), StatusCode::SERVICE_UNAVAILABLE, "a wait holds up no shutdown");
    drop(member);
    assert_eq!(get(&list, "/ring").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn envoy_gets_the_members_in_its_form() {
    let member = alone().await;
    let list = member.ring_list();
    let request = Request::post("/v3/discovery:endpoints").body(()).unwrap();
    let told = json(ask(&list, request).await).await;
    let of_type = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
    assert_eq!(told["type_url"], of_type);
    assert_eq!(told["version_info"], format!("{:016x}", member.ring_checksum()));
    let assignment = &told["resources"][0];
    assert_eq!(assignment["@type"], of_type);
    assert_eq!(assignment["cluster_name"], member.app());
    let endpoint = &assignment["endpoints"][0]["lb_endpoints"][0];
    let address = &endpoint["endpoint"]["address"]["socket_address"];
    let told = format!("{}:{}", address["address"].as_str().unwrap(), address["port_value"]);
    assert_eq!(told, member.whoami());
    assert_eq!(endpoint["load_balancing_weight"], 1);
}
