//! The client transport: a generated client whose calls run here or at the owner.

use std::time::Duration;

use tonic::{Code, Request};

use crate::common::cluster::{Node, Ring, builder, dead_address, listener};
use crate::common::eventually;
use crate::common::service::{Ask, ONCE, TestClient, TestServer, all, next, within};
use ringpop_forward::{H2Config, H2Transport, Owner, Peer};

#[tokio::test]
async fn each_call_runs_where_its_key_is() {
    let ring = Ring::default();
    let (here, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    ring.set("mine", &[&here.address]);
    let mut client = TestClient::new(here.forwarder.client(TestServer(here.handler.clone())));
    for (key, node) in [("k", &owner), ("mine", &here)] {
        let tell = client.unary(Ask::new(key, "hello").with("payload")).await.unwrap().into_inner();
        assert_eq!((tell.node, tell.payload), (node.address.clone(), "payload".into()));
        let asks = (0..10).map(move |_| Ask::new(key, ""));
        let tell = client.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
        assert_eq!((tell.node, tell.text), (node.address.clone(), "10 messages, 0 bytes".into()));
        let tells = client.download(Ask::new(key, "3")).await.unwrap().into_inner();
        assert_eq!(all(tells).await.len(), 3);
        let status =
            client.unary_at(ONCE, within(Ask::new(key, "hang"), Duration::from_millis(100))).await;
        assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    }
}

#[tokio::test]
async fn a_fixed_key_sends_every_call_to_its_owner() {
    let ring = Ring::default();
    let (here, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("fixed", &[&owner.address]);
    ring.set("k", &[&here.address]);
    let mut client =
        TestClient::new(here.forwarder.client_for("fixed", TestServer(here.handler.clone())));
    assert_eq!(client.unary(Ask::new("k", "")).await.unwrap().into_inner().node, owner.address);
    let unrouted =
        client.unary_at(crate::common::service::UNROUTED, Ask::new("", "")).await.unwrap();
    assert_eq!(unrouted.into_inner().node, owner.address);
}

#[tokio::test]
async fn a_client_that_was_given_an_empty_key_says_so() {
    let here = Node::start(&Ring::default());
    let local = TestServer(here.handler.clone());
    let mut client = TestClient::new(here.forwarder.client_for("", local));
    let status = client.unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let expected = "the key given to the client is empty; give it a key of at least one byte";
    assert_eq!(status.message(), expected);
}

#[tokio::test]
async fn each_of_several_owners_has_a_client_of_its_own() {
    let ring = Ring::default();
    let (here, second) = (Node::start(&ring), Node::start(&ring));
    let dead = dead_address();
    ring.set("k", &[&here.address, &second.address, &dead]);
    let local = TestServer(here.handler.clone());
    let clients = here.forwarder.n_clients("k", 9, local);
    assert_eq!(clients.len(), 3, "never more than there are owners");
    let mut answers = Vec::new();
    for (owner, transport) in clients {
        let call = TestClient::new(transport).unary(Ask::new("another", "")).await;
        answers.push((owner == Owner::Local, call.map(|tell| tell.into_inner().node)));
    }
    let failed = answers.pop().unwrap().1.unwrap_err();
    assert!(failed.message().contains(&dead), "nobody answers in the place of another: {failed:?}");
    let answers: Vec<_> = answers.into_iter().map(|(local, node)| (local, node.unwrap())).collect();
    assert_eq!(answers, [(true, here.address.clone()), (false, second.address.clone())]);
}

#[tokio::test]
async fn a_call_that_a_handler_makes_begins_a_new_journey() {
    let ring = Ring::default();
    let (here, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    let mut client = TestClient::new(here.forwarder.client(TestServer(here.handler.clone())));
    // The metadata of the call that the handler serves, passed on without a thought.
    let mut request = Request::new(Ask::new("k", ""));
    request.metadata_mut().insert("ringpop-fwd", "1;h=1;e=0;f=x".parse().unwrap());
    assert_eq!(client.unary(request).await.unwrap().into_inner().node, owner.address);
}

#[tokio::test]
async fn the_next_owner_may_be_this_process() {
    let ring = Ring::default();
    let here = Node::start(&ring);
    ring.set("k", &[&dead_address(), &here.address]);
    let mut client = TestClient::new(here.forwarder.client(TestServer(here.handler.clone())));
    assert_eq!(
        client.unary_at(ONCE, Ask::new("k", "")).await.unwrap().into_inner().node,
        here.address
    );
}

#[tokio::test]
async fn owners_are_told() {
    let ring = Ring::default();
    let here = Node::start(&ring);
    ring.set("mine", &[&here.address]);
    ring.set("k", &["10.0.0.1:1"]);
    assert_eq!(here.forwarder.owner_of(b"mine"), Some(Owner::Local));
    let peer = Peer::new("10.0.0.1:1").unwrap();
    assert_eq!(here.forwarder.owner_of(b"k"), Some(Owner::Remote(peer.into())));
    assert_eq!(here.forwarder.owner_of(b"nobody's"), None);
}

#[tokio::test]
async fn a_forgotten_peer_keeps_its_running_calls_and_then_no_connection() {
    let ring = Ring::default();
    let (here, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    let mut client = TestClient::new(here.forwarder.client(TestServer(here.handler.clone())));
    client.unary(Ask::new("k", "")).await.unwrap();
    let mut tells = client.download(Ask::new("k", "2 then hang")).await.unwrap().into_inner();
    assert_eq!(here.forwarder.stats().connections, 2);
    here.control.forget(&Peer::new(&owner.address).unwrap());
    eventually("the idle connection closes", || here.forwarder.stats().connections == 1).await;
    for _ in 0..2 {
        assert!(next(&mut tells).await.unwrap().is_ok());
    }
    drop(tells);
    eventually("the last connection closes", || here.forwarder.stats().connections == 0).await;
    client.unary(Ask::new("k", "")).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_closes_and_the_next_call_opens_another() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    ring.set("k", &[&owner.address]);
    let (listener, address) = listener();
    let config = H2Config::default().idle_timeout(Duration::from_millis(50));
    let transport = H2Transport::new(config).unwrap();
    let here = Node::start_on(listener, &address, builder(&address, &ring).transport(transport));
    let mut client = here.client().await;
    client.unary(Ask::new("k", "")).await.unwrap();
    eventually("the connection closes", || here.forwarder.stats().connections == 0).await;
    client.unary(Ask::new("k", "")).await.unwrap();
    let mut tells = client.download(Ask::new("k", "1 then hang")).await.unwrap().into_inner();
    assert!(next(&mut tells).await.unwrap().is_ok());
    eventually("only the connection in use is left", || here.forwarder.stats().connections == 1)
        .await;
}

#[tokio::test]
async fn dropping_the_forwarder_closes_its_connections() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    ring.set("k", &[&owner.address]);
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let forwarder = builder("n", &ring).build().unwrap();
    let mut client = TestClient::new(forwarder.client(TestServer(owner.handler.clone())));
    client.unary(Ask::new("k", "")).await.unwrap();
    assert!(metrics.num_alive_tasks() > before);
    drop((client, forwarder));
    eventually("no task is left", || metrics.num_alive_tasks() == before).await;
}
