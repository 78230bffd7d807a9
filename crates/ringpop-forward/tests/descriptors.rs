//! What happens when the process may open no more files. The limit holds for the process, hence a
//! file of its own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tonic::transport::Endpoint;

use common::service::{Ask, Handler, TestClient, TestServer};
use common::{eventually, soon};
use ringpop_forward::{incoming, server};

/// Files that the process has open.
fn open_files() -> u64 {
    std::fs::read_dir("/dev/fd").unwrap().count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_the_listener_pauses_and_sheds_who_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = incoming(listener);
    let counters = incoming.counters();
    let service = TestServer(Handler::new("mine"));
    tokio::spawn(server().add_service(service).serve_with_incoming(incoming));

    let limit = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(open_files() + 40), maximum: limit.maximum };
    setrlimit(Resource::Nofile, few).unwrap();
    let mut silent = Vec::new();
    // Each takes one descriptor here and one at the server, until neither gets another.
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => silent.push(stream),
            Err(_) if counters.stats().accept_failures > 0 => break,
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    }
    eventually("silent connections were closed", || counters.stats().silent_closed > 0).await;
    let before = counters.stats().accept_failures;
    sleep(Duration::from_millis(500)).await;
    let failures = counters.stats().accept_failures - before;
    assert!(failures < 100, "{failures} attempts in half a second");

    // Somebody who has a request is served, although the silent ones stay.
    silent.truncate(4);
    let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
    let channel = soon("a connection", async {
        loop {
            match endpoint.connect().await {
                Ok(channel) => break channel,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let mut client = TestClient::new(channel.await);
    soon("an answer", client.unary(Ask::new("k", ""))).await.unwrap();
    setrlimit(Resource::Nofile, limit).unwrap();
}
