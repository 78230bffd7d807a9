//! Code that is no tonic service: opaque bytes are handled here or by the owner of their key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tonic::{Code, Status};

use crate::common::cluster::{Node, Ring, builder, dead_address, listener, one_worker};
use crate::common::{eventually, soon};
use ringpop_forward::{
    Builder, CallOptions, DirectHandler, DirectReply, DirectRequest, Divergence, Forwarder,
    Outcome, Owner, Policy, RetryTarget, incoming, server,
};
use tokio::runtime::Runtime;

/// Answers with its name, the endpoint and the keys.
#[derive(Clone)]
struct Scribe {
    name: String,
    handled: Arc<AtomicU64>,
}

impl Scribe {
    fn reply(&self, request: &DirectRequest) -> DirectReply {
        let keys: Vec<_> =
            request.keys().iter().map(|k| k.as_bytes().escape_ascii().to_string()).collect();
        let text = format!("{} {} {}", self.name, request.endpoint(), keys.join(","));
        DirectReply::new([text.as_bytes(), b" ", request.body()].concat())
            .content_type(request.content_type_str())
    }
}

impl DirectHandler for Scribe {
    async fn handle(&self, request: DirectRequest) -> Result<DirectReply, Status> {
        self.handled.fetch_add(1, Ordering::AcqRel);
        match request.endpoint() {
            "fail" => Err(Status::data_loss("told to fail")),
            "pose" => {
                let mut status = Status::failed_precondition("from a call of its own");
                status.metadata_mut().insert("ringpop-keys-diverged", "1".parse().unwrap());
                Err(status)
            }
            "hang" => std::future::pending().await,
            "headers" => {
                let text = |(name, value): (&HeaderName, &HeaderValue)| {
                    format!("{name}={};", value.to_str().unwrap_or_default())
                };
                let headers: String = request.headers().iter().map(text).collect();
                Ok(DirectReply::new(headers))
            }
            _ => Ok(self.reply(&request)),
        }
    }
}

/// A member that serves nothing but direct requests.
struct Member {
    address: String,
    forwarder: Forwarder,
    scribe: Scribe,
    runtime: Option<Runtime>,
}

impl Member {
    fn start(ring: &Ring) -> Self {
        Self::start_with(ring, |builder| builder)
    }

    fn start_with(ring: &Ring, change: impl FnOnce(Builder) -> Builder) -> Self {
        let (listener, address) = listener();
        let forwarder = change(builder(&address, ring)).build().unwrap();
        let scribe = Scribe { name: address.clone(), handled: Arc::default() };
        let runtime = one_worker();
        let service = forwarder.direct_service(scribe.clone());
        let serve = server().layer(forwarder.layer()).add_service(service);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            serve.serve_with_incoming(incoming(listener)).await.unwrap();
        });
        Self { address, forwarder, scribe, runtime: Some(runtime) }
    }

    fn handled(&self) -> u64 {
        self.scribe.handled.load(Ordering::Acquire)
    }

    async fn ask(&self, key: &str, request: DirectRequest) -> Result<Outcome, Status> {
        soon("direct request", self.forwarder.handle_or_forward(key, request)).await
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Handle(request) => format!("here {}", request.endpoint()),
        Outcome::Forwarded(reply) => {
            format!("{} {}", reply.content_type_str(), String::from_utf8_lossy(reply.body()))
        }
    }
}

#[tokio::test]
async fn headers_travel_with_a_request_and_none_that_are_not_the_applications() {
    let ring = Ring::default();
    let (a, b) = (Member::start(&ring), Member::start(&ring));
    ring.set("mine", &[&a.address]);
    ring.set("k", &[&b.address]);
    let trace = HeaderName::from_static("traceparent");
    let request = DirectRequest::new("headers", "")
        .header(trace.clone(), HeaderValue::from_static("00-1-2-01"))
        .idempotent()
        .timeout(Duration::from_secs(60));
    let Outcome::Forwarded(reply) = a.ask("k", request.clone()).await.unwrap() else {
        panic!("it is not ours")
    };
    assert_eq!(reply.body(), "traceparent=00-1-2-01;");
    let Outcome::Handle(back) = a.ask("mine", request.clone()).await.unwrap() else {
        panic!("it is ours")
    };
    assert_eq!(back.headers()[trace], "00-1-2-01");
    for reserved in ["grpc-timeout", "ringpop-fwd", "te", "content-type"] {
        let name = HeaderName::from_static(reserved);
        let request = request.clone().header(name, HeaderValue::from_static("1"));
        let status = a.ask("k", request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(reserved), "{status:?}");
    }
}

#[tokio::test]
async fn a_stated_member_handles_a_request_without_a_key() {
    let ring = Ring::default();
    let (a, b) = (Member::start(&ring), Member::start(&ring));
    ring.set("mine", &[&a.address]);
    let request = DirectRequest::new("note", "hello");
    let at = |member: &Member| a.forwarder.handle_at(member.address.clone(), request.clone());
    let reply = text(soon("request", at(&b)).await.unwrap());
    assert_eq!(reply, format!(" {} note  hello", b.address));
    assert_eq!(text(soon("request", at(&a)).await.unwrap()), "here note");
    assert_eq!((a.handled(), b.handled()), (0, 1));

    // With the key of another member, which it gets to see.
    let options = CallOptions::new().to_member(b.address.as_str());
    let reply = text(a.ask("mine", request.clone().options(options.clone())).await.unwrap());
    assert_eq!(reply, format!(" {} note mine hello", b.address));
    let all = a.forwarder.handle_or_forward_all(["mine", "mine too"], request.clone());
    assert_eq!(all.await.len(), 2, "nobody owns the second key");
    let unknown = a.forwarder.handle_at("10.255.0.1:1", request.clone()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::FailedPrecondition);
    // Without a member there has to be a key.
    let keyless = a.forwarder.handle_or_forward("", request).await.unwrap_err();
    assert_eq!(keyless.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_request_decides_when_it_is_sent_again_and_hedged() {
    let ring = Ring::default();
    let (a, slow, next) = (Member::start(&ring), Member::start(&ring), Member::start(&ring));
    ring.set("k", &[&dead_address(), &next.address]);
    let careful =
        CallOptions::new().policy(Policy::default().target(RetryTarget::Reroute).max_attempts(1));
    let note = DirectRequest::new("note", "");
    let status = a.ask("k", note.clone().options(careful)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    a.ask("k", note).await.unwrap();
    assert_eq!(next.handled(), 1);

    ring.set("slow", &[&slow.address, &next.address]);
    let hedged = CallOptions::new()
        .idempotent()
        .timeout(Duration::from_millis(300))
        .policy(Policy::default().hedge_after(Duration::from_millis(5)));
    let hang = DirectRequest::new("hang", "").options(hedged);
    let status = a.ask("slow", hang).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!((slow.handled(), next.handled()), (1, 2), "both were asked");
    assert_eq!(a.forwarder.stats().hedges, 1);
}

#[tokio::test]
async fn a_request_is_given_back_or_handled_by_its_owner() {
    let ring = Ring::default();
    let (a, b) = (Member::start(&ring), Member::start(&ring));
    ring.set("mine", &[&a.address]);
    ring.set("two words", &[&b.address]);
    let request = DirectRequest::new("note", "hello").content_type("text/plain");
    assert_eq!(text(a.ask("mine", request.clone()).await.unwrap()), "here note");
    let reply = text(a.ask("two words", request).await.unwrap());
    assert_eq!(reply, format!("text/plain {} note two words hello", b.address));
    assert_eq!((a.handled(), b.handled()), (0, 1));
    let status = a.ask("two words", DirectRequest::new("fail", "")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "told to fail"));
    eventually("nothing is in flight", || a.forwarder.stats().in_flight == 0).await;
}

#[tokio::test]
async fn failed_owners_are_followed_by_the_next_which_may_be_here() {
    let ring = Ring::default();
    let (a, b) = (Member::start(&ring), Member::start(&ring));
    ring.set("k", &[&dead_address(), &b.address]);
    ring.set("mine", &[&dead_address(), &a.address]);
    assert!(text(a.ask("k", DirectRequest::new("note", "")).await.unwrap()).contains(&b.address));
    assert_eq!(text(a.ask("mine", DirectRequest::new("note", "")).await.unwrap()), "here note");
    ring.set("dead", &[&dead_address()]);
    let status = a.ask("dead", DirectRequest::new("note", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_deadline_covers_everything() {
    let ring = Ring::default();
    let (a, b) = (Member::start(&ring), Member::start(&ring));
    ring.set("k", &[&b.address]);
    let request = DirectRequest::new("hang", "").timeout(Duration::from_millis(100));
    assert_eq!(a.ask("k", request).await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn keys_and_bodies_out_of_bounds_are_refused_before_anything_is_sent() {
    let ring = Ring::default();
    let a = Member::start(&ring);
    let big = DirectRequest::new("note", vec![0; 5 << 20]);
    for (key, request, expected) in [
        ("", DirectRequest::new("note", ""), "a key is empty"),
        (&*"k".repeat(5000), DirectRequest::new("note", ""), "5000 bytes, at most 4096"),
        ("k", big, "at most 4194304"),
    ] {
        let status = a.ask(key, request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(expected), "{status:?} should say {expected:?}");
    }
    assert_eq!(a.forwarder.stats().failed, 0);
}

#[tokio::test]
async fn many_keys_are_one_call_for_each_owner() {
    let ring = Ring::default();
    let (a, b, c) = (Member::start(&ring), Member::start(&ring), Member::start(&ring));
    for (key, owner) in [("1", &a), ("2", &b), ("3", &b), ("4", &c), ("5", &a), ("6", &b)] {
        ring.set(key, &[&owner.address]);
    }
    ring.set("dead", &[&dead_address()]);
    let keys = ["1", "2", "3", "4", "5", "6", "dead", "nobody's"];
    let groups = a.forwarder.group_by_owner(keys);
    let sizes: Vec<_> = groups.iter().map(|group| group.keys.len()).collect();
    assert_eq!(sizes, [2, 3, 1, 1, 1]);
    assert_eq!((&groups[0].owner, &groups[4].owner), (&Some(Owner::Local), &None));

    let request = DirectRequest::new("read", "");
    let mut texts = Vec::new();
    for group in soon("all groups", a.forwarder.handle_or_forward_all(keys, request)).await {
        texts.push(match group.result {
            Ok(outcome) => text(outcome).trim().to_owned(),
            Err(status) => format!("{:?}", status.code()),
        });
    }
    texts.sort();
    let mut expected = vec![
        "Unavailable".to_owned(),
        "Unavailable".to_owned(),
        "here read".to_owned(),
        format!("{} read 2,3,6", b.address),
        format!("{} read 4", c.address),
    ];
    expected.sort();
    assert_eq!(texts, expected);
    assert_eq!((b.handled(), c.handled()), (1, 1));
}

#[tokio::test]
async fn keys_that_have_diverged_are_grouped_again_and_handled_once() {
    let (old, new) = (Ring::default(), Ring::default());
    let (a, b) = (Member::start(&old), Member::start(&new));
    let c = Member::start(&new);
    old.set("1", &[&b.address]);
    old.set("2", &[&b.address]);
    new.set("1", &[&b.address]);
    new.set("2", &[&c.address]);
    let forwarder = a.forwarder.clone();
    let call = tokio::spawn(async move {
        forwarder.handle_or_forward_all(["1", "2"], DirectRequest::new("read", "")).await
    });
    eventually("b has noticed", || b.forwarder.stats().keys_differed > 0).await;
    assert_eq!(b.handled(), 0);
    old.set("2", &[&c.address]);
    let groups = soon("all groups", call).await.unwrap();
    assert_eq!(groups.len(), 2);
    assert!(groups.iter().all(|group| group.result.is_ok()), "{groups:?}");
    assert_eq!((b.handled(), c.handled()), (1, 1));
}

#[tokio::test]
async fn keys_that_stay_apart_fail_with_a_clear_error_or_are_accepted_by_policy() {
    let (old, new) = (Ring::default(), Ring::default());
    let (a, b) = (Member::start(&old), Member::start(&new));
    let lenient = Member::start_with(&new, |builder| builder.divergence(Divergence::Accept));
    for owner in [&b, &lenient] {
        old.set(&owner.address, &[&owner.address]);
        new.set(&owner.address, &[&owner.address]);
    }
    new.set("2", &["10.0.0.1:1"]);
    let mut codes = Vec::new();
    for owner in [&b, &lenient] {
        old.set("2", &[&owner.address]);
        let keys = [owner.address.as_str(), "2"];
        let request = DirectRequest::new("read", "");
        let mut groups = soon("call", a.forwarder.handle_or_forward_all(keys, request)).await;
        assert_eq!(groups.len(), 1);
        codes.push(groups.remove(0).result.map(|_| ()).map_err(|status| {
            assert!(status.message().contains("sees 10.0.0.1:1 as the owner"), "{status:?}");
            status.code()
        }));
    }
    assert_eq!(codes, [Err(Code::FailedPrecondition), Ok(())]);
    assert_eq!(b.handled(), 0);
}

#[tokio::test]
async fn a_handler_that_has_run_is_not_asked_again_whatever_it_says() {
    let ring = Ring::default();
    let (a, b) = (Member::start(&ring), Member::start(&ring));
    ring.set("1", &[&b.address]);
    let request = DirectRequest::new("pose", "");
    let groups = soon("call", a.forwarder.handle_or_forward_all(["1"], request)).await;
    assert_eq!(groups[0].result.as_ref().unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(b.handled(), 1);
}

#[tokio::test]
async fn a_member_without_the_service_says_so() {
    let ring = Ring::default();
    let a = Member::start_with(&ring, |b| b.policy(Policy::default().max_attempts(1)));
    let bare = Node::start(&ring);
    ring.set("k", &[&bare.address]);
    let status = a.ask("k", DirectRequest::new("note", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}
