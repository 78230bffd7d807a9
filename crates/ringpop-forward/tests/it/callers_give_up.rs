//! Callers that give up cost nobody else a call, whatever servers and h2 count.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tonic::transport::Server;

use crate::common::cluster::{Node, Ring, builder, listener, one_worker};
use crate::common::service::{Ask, Handler, ONCE, Seen, TestClient, TestServer, within};
use crate::common::{eventually, soon};
use ringpop_forward::{LimitLayer, LimitedServer, incoming, server};

/// One long call at an owner that then does nothing for a moment, in which `others` callers give
/// up.
async fn stalled(serve: LimitedServer, others: usize) {
    let ring = Ring::default();
    let asked = Node::start(&ring);
    let (socket, address) = listener();
    let handler = Handler::new(&address);
    let forwarder = builder(&address, &ring).build().unwrap();
    let runtime = one_worker();
    let mut serve = serve.layer(forwarder.layer());
    let serve = serve.add_service(TestServer(handler.clone()));
    runtime.spawn(async move {
        let listener = TcpListener::from_std(socket).unwrap();
        serve.serve_with_incoming(incoming(listener)).await.unwrap();
    });
    ring.set("k", &[&address]);
    let client = asked.client().await;
    let innocent = tokio::spawn({
        let mut client = client.clone();
        async move { client.unary_at(ONCE, Ask::new("k", "wait")).await }
    });
    eventually("the long call is at work", || Seen::get(&handler.seen.begun) == 1).await;
    // A computation, a page fault, a pause of its host: until all callers have given up, and their
    // resets have arrived.
    let (resume, stall) = std::sync::mpsc::channel::<()>();
    let (begins, has_begun) = tokio::sync::oneshot::channel();
    runtime.spawn(async move {
        let _ = begins.send(());
        let _ = stall.recv();
    });
    has_begun.await.unwrap();
    let callers = (0..others).map(|_| {
        let mut client = client.clone();
        let ask = within(Ask::new("k", ""), Duration::from_millis(100));
        tokio::spawn(async move { client.unary_at(ONCE, ask).await })
    });
    for caller in join_all(callers).await {
        caller.unwrap().unwrap_err();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(resume);
    handler.go.add_permits(1);
    let tell = soon("the long call", innocent).await.unwrap();
    assert_eq!(tell.unwrap().into_inner().text, "waited", "{others} others gave up");
    runtime.shutdown_background();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_give_up_at_a_busy_member_end_no_other_call() {
    for others in [30, 100, 300] {
        stalled(server(), others).await;
    }
}

/// tonic and hyper end a connection when 20 streams were reset before they took them, and nobody
/// tells them otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgives_little_is_not_overtaxed() {
    for others in [30, 100] {
        stalled(Server::builder().layer(LimitLayer::default()), others).await;
    }
}

/// A link that delays what flows back from `target`.
async fn slow_link(target: &str, delay: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let target = target.to_owned();
    tokio::spawn(async move {
        while let Ok((from, _)) = listener.accept().await {
            let to = TcpStream::connect(&target).await.unwrap();
            from.set_nodelay(true).unwrap();
            to.set_nodelay(true).unwrap();
            let (mut from_read, mut from_write) = from.into_split();
            let (mut to_read, mut to_write) = to.into_split();
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut from_read, &mut to_write).await;
            });
            let (sender, mut late) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 << 10];
                while let Ok(read @ 1..) = to_read.read(&mut bytes).await {
                    let _ = sender.send((Instant::now() + delay, bytes[..read].to_vec()));
                }
            });
            tokio::spawn(async move {
                while let Some((at, bytes)) = late.recv().await {
                    sleep_until(at).await;
                    if from_write.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_come_after_their_callers_gave_up_end_no_other_call() {
    let (ring, view) = (Ring::default(), Ring::default());
    let owner = Node::start(&ring);
    let link = slow_link(&owner.address, Duration::from_millis(60)).await;
    view.set("k", &[&link]);
    ring.set("k", &[&owner.address]);
    let asked = Node::start(&view);
    // Through the client transport, so no other connection plays a part.
    let client = TestClient::new(asked.forwarder.client(TestServer(asked.handler.clone())));
    client.clone().unary(Ask::new("k", "")).await.unwrap();
    let innocent = tokio::spawn({
        let mut client = client.clone();
        async move { client.unary_at(ONCE, Ask::new("k", "wait")).await }
    });
    eventually("the long call is at work", || Seen::get(&owner.seen().begun) == 2).await;
    // h2 counts 1,024 late answers and ends the connection, unless it is told otherwise.
    for _ in 0..75 {
        let callers = (0..20).map(|_| {
            let mut client = client.clone();
            let ask = within(Ask::new("k", ""), Duration::from_millis(30));
            tokio::spawn(async move { client.unary_at(ONCE, ask).await })
        });
        for caller in join_all(callers).await {
            caller.unwrap().unwrap_err();
        }
    }
    owner.handler.go.add_permits(1);
    let tell = soon("the long call", innocent).await.unwrap().unwrap().into_inner();
    assert_eq!(tell.text, "waited");
    assert_eq!(asked.forwarder.stats().not_retried_maybe_executed, 0);
}
