//! Members whose settings differ understand each other.

use ringpop::limits::{MESSAGE_BYTES_MAX, PAGE_BYTES_MAX};
use ringpop::swim::wire::{self, pb};
use ringpop::swim::{
    Address, Body, Change, Config, Labels, Member, Message, Status, limits::CHANGES_PER_MESSAGE_MAX,
};
use ringpop::{BindError, Ringpop};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

/// As large as a member with the largest pages may send.
fn large_message() -> Message {
    let labels = Labels::new((0..5).map(|i| (format!("k{i}"), "v".repeat(35)))).unwrap();
    let change = |i| {
        let address = Address::new(&format!("10.0.{}.{}:7100", i / 250, i % 250)).unwrap();
        Change { member: Member::new(address, Status::Faulty, 1, labels.clone()), source: None }
    };
    let changes = (0..CHANGES_PER_MESSAGE_MAX).map(change).collect();
    let from = Address::new("10.9.9.9:7100").unwrap();
    let body = Body::Ping { checksum: 1, changes };
    Message { app: "test".into(), from, from_incarnation: 1, seq: 1, body }
}

#[tokio::test]
async fn a_member_with_small_pages_takes_the_large_ones_of_others() {
    let config = Config::builder().message_bytes_max(1000).build().unwrap();
    let member = Ringpop::builder("test").config(config).bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    let message = large_message();
    let bytes = wire::encoded_len(&message);
    assert!((PAGE_BYTES_MAX..MESSAGE_BYTES_MAX).contains(&bytes), "{bytes}");
    let channel = Channel::from_shared(format!("http://{}", member.whoami())).unwrap();
    let mut client = Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/ringpop.v1.Membership/Exchange");
    let request = tonic::Request::new(wire::to_proto(message));
    let codec = ProstCodec::<pb::Message, pb::Message>::default();
    let reply = client.unary(request, path, codec).await.unwrap();
    assert_eq!(reply.into_inner().seq, 1);
}

#[tokio::test]
async fn pages_that_others_would_not_take_are_refused_at_the_start() {
    let config = Config::builder().message_bytes_max(PAGE_BYTES_MAX + 1).build().unwrap();
    let error = Ringpop::builder("test").config(config).bind().await.unwrap_err();
    assert!(matches!(error, BindError::Config(_)), "{error}");
    let expected = "message_bytes_max is 491521, it must be between 512 and 491520";
    assert_eq!(error.to_string(), expected);
}
