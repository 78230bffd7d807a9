//! Members whose settings differ understand each other.

use std::time::Duration;

use ringpop::limits::{MESSAGE_BYTES_MAX, PAGE_BYTES_MAX};
use ringpop::swim::wire::{self, pb};
use ringpop::swim::{
    Address, Body, Change, Config, Labels, Member, Message, Status, limits::CHANGES_PER_MESSAGE_MAX,
};
use ringpop::{BindError, Event, Problem, Ringpop};
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::service::Routes as Services;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::echo::{Echo, builder, peers};

const PATIENCE: Duration = Duration::from_secs(60);

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

async fn problem(member: &Ringpop) -> Problem {
    let mut events = member.events();
    let began = async {
        loop {
            if let Some(problem) = member.problems().into_iter().next() {
                return problem;
            }
            events.next().await.unwrap();
        }
    };
    timeout(PATIENCE, began).await.unwrap()
}

/// Their checksums of the membership are equal, and nothing else shows it.
#[tokio::test]
async fn members_with_other_points_say_so_as_long_as_both_live() {
    let (few, many) = (builder().points_per_weight_unit(50), builder());
    let many = many.bind().await.unwrap();
    many.serve(Services::new(Echo)).unwrap();
    many.bootstrap().await.unwrap();
    let few = few.discovery(peers(&[&many])).bind().await.unwrap();
    few.serve(Services::new(Echo)).unwrap();
    few.bootstrap().await.unwrap();
    let differ = |own, other: &Ringpop, theirs| {
        let address = other.whoami().to_owned();
        Problem::PointsDiffer { own, address, theirs, members: 1 }
    };
    assert_eq!(problem(&many).await, differ(100, &few, 50));
    assert_eq!(problem(&few).await, differ(50, &many, 100));

    let mut events = many.events();
    few.shutdown(PATIENCE).await;
    let ended = async { while !matches!(events.next().await.unwrap(), Event::ProblemEnded(_)) {} };
    timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(many.problems(), []);
}

#[tokio::test]
async fn the_label_of_the_points_belongs_to_the_member() {
    let error = builder().label("ring-points", "7").bind().await.unwrap_err();
    assert!(matches!(error, BindError::LabelReserved { .. }), "{error}");
    let member = builder().bind().await.unwrap();
    let error = member.set_label("ring-points", "7").await.unwrap_err();
    assert!(error.to_string().contains("`ring-points`"), "{error}");
}
