//! What a call decides for itself: where it goes, when it is sent again, how long it may take.

use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use crate::common::cluster::{Node, Ring, dead_address};
use crate::common::service::{Ask, CHAT, DOWNLOAD, ONCE, Seen, TestClient, TestServer, UNARY};
use crate::common::service::{UNROUTED, all};
use crate::common::{eventually, soon};
use ringpop_forward::{
    CallOptions, ForwardService, Forwarder, MissingKey, Policy, RetryTarget, StaticResolver,
};

fn client(node: &Node) -> TestClient<ForwardService<TestServer>> {
    TestClient::new(node.forwarder.client(TestServer(node.handler.clone())))
}

fn to(member: &Node) -> CallOptions {
    CallOptions::new().to_member(member.address.as_str())
}

/// Two members, and a key of the first one.
fn two() -> (Node, Node) {
    let ring = Ring::default();
    let (here, there) = (Node::start(&ring), Node::start(&ring));
    ring.set("here's", &[&here.address]);
    (here, there)
}

#[tokio::test]
async fn a_stated_member_handles_what_it_does_not_own() {
    let (here, there) = two();
    let mut client = client(&here);
    for method in [UNARY, ONCE, UNROUTED] {
        let request = to(&there).request(Ask::new("here's", ""));
        let tell = soon("call", client.unary_at(method, request)).await.unwrap().into_inner();
        assert_eq!(tell.node, there.address, "{method}");
        let request = to(&here).request(Ask::new("here's", ""));
        let tell = soon("call", client.unary_at(method, request)).await.unwrap().into_inner();
        assert_eq!(tell.node, here.address, "{method}");
    }
    let stats = there.forwarder.stats();
    assert_eq!((stats.keys_differed, stats.forwarded, stats.refused_not_owner), (0, 0, 0));
    // Without the option the key decides.
    let tell = client.unary(Ask::new("here's", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, here.address);
}

#[tokio::test]
async fn a_call_to_a_stated_member_needs_no_key_and_may_be_a_stream() {
    let (here, there) = two();
    let mut client = client(&here);
    let tell = client.unary(to(&there).request(Ask::new("", ""))).await.unwrap().into_inner();
    assert_eq!(tell.node, there.address);
    let tells = client.download(to(&there).request(Ask::new("here's", "3"))).await.unwrap();
    let tells = soon("the stream", all(tells.into_inner())).await;
    assert_eq!(tells.len(), 3, "{DOWNLOAD} is not ended for a key that is owned elsewhere");
    assert!(tells.iter().all(|tell| tell.node == there.address));
    let asks = tokio_stream::iter([Ask::new("here's", "hello")]);
    let tells = client.chat(to(&there).request(asks)).await.unwrap();
    let tells = soon("the stream", all(tells.into_inner())).await;
    assert_eq!(tells[0].node, there.address, "{CHAT}");
}

#[tokio::test]
async fn all_calls_of_a_client_may_have_one_setting_and_a_call_another() {
    let (here, there) = two();
    let service = here.forwarder.client_with(to(&there), TestServer(here.handler.clone()));
    let mut client = TestClient::new(service);
    let tell = client.unary(Ask::new("here's", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, there.address);
    let own = CallOptions::new().request(Ask::new("here's", ""));
    assert_eq!(client.unary(own).await.unwrap().into_inner().node, here.address);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let (here, _) = two();
    let mut client = client(&here);
    let unknown = CallOptions::new().to_member("10.255.0.1:1").request(Ask::new("here's", ""));
    let status = client.unary(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("10.255.0.1:1"), "{status}");

    let policy = CallOptions::new().policy(Policy::default().max_attempts(17));
    let status = client.unary(policy.request(Ask::new("here's", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("max_attempts is 17"), "{status}");

    // A process that is no member is not believed by those that are.
    let resolver = StaticResolver::remote([here.address.as_str()]).unwrap();
    let channel = Forwarder::builder(resolver).build().unwrap().channel();
    let mut channel = TestClient::new(channel.with_options(to(&here)));
    let status = channel.unary(Ask::new("here's", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(Seen::get(&here.seen().begun), 0);
}

/// A sender that is not believed cannot have any member handle any key, whatever it says.
#[tokio::test]
async fn a_stated_member_that_does_not_believe_the_sender_goes_by_the_key() {
    let ring = Ring::default();
    let doubts = |builder: ringpop_forward::Builder| {
        builder.trust_hop_headers(|_| false).missing_key(MissingKey::Refuse)
    };
    let (here, there) = (Node::start(&ring), Node::start_with(&ring, doubts));
    ring.set("here's", &[&here.address]);
    let request = to(&there).request(Ask::new("here's", ""));
    let tell = soon("call", client(&here).unary(request)).await.unwrap().into_inner();
    assert_eq!(tell.node, here.address);
    let status = client(&here).unary(to(&there).request(Ask::new("", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_policy_of_a_call_counts_for_that_call_only() {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&dead_address(), &second.address]);
    let mut client = client(&asked);
    let careful = Policy::default().target(RetryTarget::Reroute).max_attempts(1);
    let request = CallOptions::new().policy(careful).request(Ask::new("k", ""));
    let status = soon("call", client.unary(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(Seen::get(&second.seen().begun), 0);
    let tell = soon("call", client.unary(Ask::new("k", ""))).await.unwrap().into_inner();
    assert_eq!(tell.node, second.address);
}

#[tokio::test]
async fn a_call_may_be_hedged_that_others_are_not() {
    let ring = Ring::default();
    let (asked, slow, second) = (Node::start(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&slow.address, &second.address]);
    second.handler.go.add_permits(1);
    let mut client = client(&asked);
    // Its method is not idempotent by the table.
    let options = CallOptions::new()
        .idempotent()
        .policy(Policy::default().hedge_after(Duration::from_millis(5)));
    let call = client.unary_at(ONCE, options.request(Ask::new("k", "wait")));
    assert_eq!(soon("call", call).await.unwrap().into_inner().node, second.address);
    assert_eq!(second.seen().header("ringpop-idempotent").as_deref(), Some("1"));
    assert_eq!(asked.forwarder.stats().hedges, 1);
}

#[tokio::test]
async fn the_sooner_of_two_deadlines_ends_a_call() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    ring.set("here's", &[&asked.address]);
    let short = Duration::from_millis(100);
    for key in ["k", "here's"] {
        let mut request = CallOptions::new().timeout(short).request(Ask::new(key, "hang"));
        request.metadata_mut().insert("grpc-timeout", MetadataValue::from_static("1H"));
        let status = soon("call", client(&asked).unary(request)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{key}");
        let mut request = Request::new(Ask::new(key, "hang"));
        request.set_timeout(short);
        request.extensions_mut().insert(CallOptions::new().timeout(Duration::from_secs(3600)));
        let status = soon("call", client(&asked).unary(request)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{key}");
    }
    // The owner was told, so it does not work on.
    eventually("its handlers are dropped", || Seen::get(&owner.seen().cancelled) == 2).await;
}
