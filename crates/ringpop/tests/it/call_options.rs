//! Calls to a stated member, and with settings of their own, between two members.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringpop::forward::{
    CallOptions, DirectHandler, DirectReply, DirectRequest, Outcome, Policy, Routes,
};
use ringpop::testing::Cluster;
use ringpop::{Ringpop, WhileMoving};
use tonic::body::Body;
use tonic::service::Routes as Services;
use tonic::{Code, Status};
use tower::ServiceExt as _;

const METHOD: &str = "/test.v1.Name/Get";

/// Answers with the name of its member.
#[derive(Clone)]
struct Name(String);

service!(Name, "test.v1.Name");

impl Name {
    async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        let mut response = Status::ok("").into_http();
        let headers = response.headers_mut();
        headers.insert("x-name", self.0.parse().unwrap());
        if let Some(trace) = request.headers().get("traceparent") {
            headers.insert("x-trace", trace.clone());
        }
        response
    }
}

#[derive(Clone)]
struct Direct(String, Arc<AtomicU64>);

impl DirectHandler for Direct {
    async fn handle(&self, request: DirectRequest) -> Result<DirectReply, Status> {
        self.1.fetch_add(1, Ordering::Relaxed);
        match request.endpoint() {
            "hang" => std::future::pending().await,
            "trace" => Ok(DirectReply::new(request.headers()["traceparent"].as_bytes().to_vec())),
            _ => Ok(DirectReply::new(self.0.clone())),
        }
    }
}

async fn two(handled: &Arc<AtomicU64>) -> Cluster {
    let handled = Arc::clone(handled);
    Cluster::builder(2)
        .settings(|i, builder| {
            let routes = Routes::new().header(METHOD).unary();
            builder.routes(routes).identity(format!("member-{i}"))
        })
        .services(move |i, member| {
            let direct = Direct(format!("member-{i}"), Arc::clone(&handled));
            Services::new(Name(format!("member-{i}")))
                .add_service(member.forwarder().direct_service(direct))
        })
        .start()
        .await
        .unwrap()
}

/// The member that answers a typed call, and the context of the trace that it was given.
async fn ask(
    member: &Ringpop,
    options: CallOptions,
    key: &str,
) -> Result<(String, String), Status> {
    let client = member.forwarder().client(Name("here".to_owned()));
    let mut request = http::Request::post(METHOD)
        .header("content-type", "application/grpc")
        .header("ringpop-key", key)
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(Body::default())
        .unwrap();
    request.extensions_mut().insert(options);
    let response = client.oneshot(request).await.unwrap();
    let headers = response.headers();
    let status = Status::from_header_map(headers).expect("an answer of trailers only");
    if status.code() != Code::Ok {
        return Err(status);
    }
    let text = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
    Ok((text("x-name"), text("x-trace")))
}

#[tokio::test]
async fn a_stated_member_is_asked_by_identity_or_address_whoever_owns_the_key() {
    let handled = Arc::default();
    let cluster = two(&handled).await;
    let (here, there) = (cluster.member(0), cluster.address(1));
    let owners: HashSet<_> =
        (0..20).filter_map(|key| here.lookup(format!("{key}").as_bytes())).collect();
    assert_eq!(owners.len(), 2, "the keys below belong to both members");
    for key in (0..20).map(|key: u32| key.to_string()) {
        for id in ["member-1", there] {
            let options = CallOptions::new().to_member(id);
            let (name, trace) = ask(here, options, &key).await.unwrap();
            assert_eq!(name, "member-1");
            assert!(trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{trace}");
        }
        let (name, _) = ask(here, CallOptions::new().to_member("member-0"), &key).await.unwrap();
        assert_eq!(name, "here");
    }
    let request = DirectRequest::new("name", "");
    let Outcome::Forwarded(reply) =
        here.forwarder().handle_at("member-1", request.clone()).await.unwrap()
    else {
        panic!("it is for the other member")
    };
    assert_eq!(reply.body(), "member-1");
    let outcome = here.forwarder().handle_at("member-0", request.clone()).await.unwrap();
    assert!(matches!(outcome, Outcome::Handle(_)));
    for error in [
        ask(here, CallOptions::new().to_member("member-2"), "0").await.unwrap_err(),
        here.forwarder().handle_at("member-2", request).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    }
}

/// Such members ask another resolver, which knows the same members.
#[tokio::test]
async fn a_stated_member_is_asked_where_calls_wait_for_keys_that_move() {
    let waits = WhileMoving::wait(Duration::from_secs(1));
    let cluster = Cluster::builder(2)
        .settings(move |i, builder| builder.identity(format!("member-{i}")).while_moving(waits))
        .services(|i, member| {
            let direct = Direct(format!("member-{i}"), Arc::default());
            Services::new(member.forwarder().direct_service(direct))
        })
        .start()
        .await
        .unwrap();
    for id in ["member-1", cluster.address(1)] {
        let request = DirectRequest::new("name", "");
        let outcome = cluster.member(0).forwarder().handle_at(id, request).await.unwrap();
        assert!(matches!(outcome, Outcome::Forwarded(reply) if reply.body() == "member-1"), "{id}");
    }
}

#[tokio::test]
async fn requests_of_opaque_bytes_have_deadlines_hedges_and_metadata_of_their_own() {
    let handled = Arc::default();
    let cluster = two(&handled).await;
    let here = cluster.member(0);
    let key = (0..1000).map(|key| format!("{key}")).find(|key| !here.owns(key.as_bytes())).unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = DirectRequest::new("trace", "")
        .header(http::header::HeaderName::from_static("traceparent"), trace.parse().unwrap());
    let outcome = here.forwarder().handle_or_forward(key.as_str(), request).await.unwrap();
    assert!(matches!(outcome, Outcome::Forwarded(reply) if reply.body() == trace));

    let options = CallOptions::new().timeout(Duration::from_millis(200)).policy(Policy::default());
    let hang = DirectRequest::new("hang", "").options(options);
    let error = here.forwarder().handle_or_forward(key.as_str(), hang).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);

    let quick = Policy::default().hedge_after(Duration::from_millis(5)).max_attempts(17);
    let wrong = DirectRequest::new("hang", "").options(CallOptions::new().policy(quick));
    let error = here.forwarder().handle_or_forward(key.as_str(), wrong).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert_eq!(handled.load(Ordering::Relaxed), 2);
}
