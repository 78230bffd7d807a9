//! No task outlives the service: what a forwarder has begun ends with it, whatever it is in the
//! middle of.

use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;

use crate::common::cluster::{Node, Ring, builder, dead_address, listener};
use crate::common::eventually;
use crate::common::proxy::Wire;
use crate::common::service::{Ask, ONCE, Seen, TestClient, TestServer, UNARY, next};
use ringpop_forward::{
    Builder, ForwardService, Forwarder, H2Config, H2Transport, Policy, RetryTarget, Schedule,
};

/// Longer than any test: what waits for this must be ended by somebody else.
const FOREVER: Duration = Duration::from_secs(3600);

/// A forwarder by itself, in a runtime in which nothing else runs.
struct Alone {
    runtime: Runtime,
    forwarder: Forwarder,
    local: TestServer,
}

impl Alone {
    fn new(ring: &Ring, change: impl FnOnce(Builder) -> Builder) -> Self {
        let (_, address) = listener();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let forwarder = change(builder(&address, ring)).build().unwrap();
        let local = TestServer(crate::common::service::Handler::new(&address));
        Self { runtime, forwarder, local }
    }

    fn client(&self) -> TestClient<ForwardService<TestServer>> {
        TestClient::new(self.forwarder.client(self.local.clone()))
    }

    fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Drops the forwarder with `calls`, and waits until nothing runs any more.
    async fn drop_with<T: 'static>(self, calls: JoinSet<T>) {
        let Self { runtime, forwarder, local } = self;
        assert!(runtime.metrics().num_alive_tasks() > 0, "there is something to end");
        drop((forwarder, local, calls));
        let alive = || runtime.metrics().num_alive_tasks();
        eventually("every task has ended", || alive() == 0).await;
        runtime.shutdown_background();
    }
}

#[tokio::test]
async fn connections_end_with_their_forwarder() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    ring.set("k", &[&owner.address]);
    let alone = Alone::new(&ring, |builder| builder);
    let mut client = alone.client();
    let calls = async move {
        client.unary(Ask::new("k", "")).await.unwrap();
        let tells = client.download(Ask::new("k", "1")).await.unwrap().into_inner();
        crate::common::service::all(tells).await
    };
    alone.handle().spawn(calls).await.unwrap();
    assert_eq!(alone.forwarder.stats().connections, 2, "one for calls and one for streams");
    alone.drop_with(JoinSet::<()>::new()).await;
}

#[tokio::test]
async fn calls_and_streams_under_way_end_with_their_callers() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    ring.set("k", &[&owner.address]);
    let alone = Alone::new(&ring, |builder| builder);
    let mut calls = JoinSet::new();
    let (mut unary, mut down, mut up) = (alone.client(), alone.client(), alone.client());
    calls.spawn_on(async move { drop(unary.unary(Ask::new("k", "hang")).await) }, alone.handle());
    calls.spawn_on(
        async move {
            let mut tells = down.download(Ask::new("k", "endless")).await.unwrap().into_inner();
            next(&mut tells).await.unwrap().unwrap();
            tokio::time::sleep(FOREVER).await;
        },
        alone.handle(),
    );
    let endless = tokio_stream::StreamExt::chain(
        tokio_stream::once(Ask::new("k", "")),
        tokio_stream::pending(),
    );
    calls.spawn_on(async move { drop(up.upload(endless).await) }, alone.handle());
    eventually("all three run", || Seen::get(&owner.seen().begun) == 3).await;
    eventually("a stream flows", || Seen::get(&owner.seen().sent) > 0).await;
    alone.drop_with(calls).await;
    eventually("the owner has stopped as well", || owner.forwarder.stats().in_flight == 0).await;
}

#[tokio::test]
async fn a_dial_under_way_ends_with_those_who_wait_for_it() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let wire = Wire::to(&owner.address).await;
    wire.hold();
    ring.set("k", &[&wire.address]);
    let config = H2Config::default().connect_timeout(FOREVER);
    let transport = H2Transport::new(config).unwrap();
    let alone = Alone::new(&ring, |builder| builder.transport(transport));
    let mut calls = JoinSet::new();
    let mut client = alone.client();
    calls.spawn_on(async move { drop(client.unary(Ask::new("k", "")).await) }, alone.handle());
    // The call, and the dial that it began.
    eventually("the dial is under way", || alone.runtime.metrics().num_alive_tasks() == 2).await;
    alone.drop_with(calls).await;
}

#[tokio::test]
async fn retries_and_hedges_that_wait_end_with_their_callers() {
    let ring = Ring::default();
    let (slow, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("hedged", &[&slow.address, &second.address]);
    ring.set("patient", &[&slow.address, &second.address]);
    ring.set("dead", &[&dead_address()]);
    let waits = Schedule::new([Duration::from_secs(60)]);
    let policy = Policy::default()
        .schedule(waits)
        .target(RetryTarget::NextOwner { owners: 2 })
        .hedge_after(Duration::from_millis(5));
    let alone = Alone::new(&ring, |builder| builder.policy(policy));
    let mut calls = JoinSet::new();
    for (key, method) in [("hedged", UNARY), ("patient", ONCE), ("dead", UNARY)] {
        let mut client = alone.client();
        let call = async move { drop(client.unary_at(method, Ask::new(key, "hang")).await) };
        calls.spawn_on(call, alone.handle());
    }
    eventually("the hedge runs", || Seen::get(&second.seen().begun) == 1).await;
    eventually("the call of the dead owner waits", || alone.forwarder.stats().dial_failures == 1)
        .await;
    alone.drop_with(calls).await;
    for node in [&slow, &second] {
        eventually("the handlers are cancelled", || node.forwarder.stats().in_flight == 0).await;
    }
}

/// As a process ends: the server, and with it everything that came over the network.
#[tokio::test]
async fn a_server_that_is_dropped_leaves_nothing_behind() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    let mut client = asked.client().await;
    let mut tells = client.download(Ask::new("k", "endless")).await.unwrap().into_inner();
    assert!(next(&mut tells).await.unwrap().is_ok());
    let runtime = asked.drop_all();
    assert!(runtime.metrics().num_alive_tasks() > 0, "there is something to end");
    drop((tells, client));
    eventually("every task has ended", || runtime.metrics().num_alive_tasks() == 0).await;
    runtime.shutdown_background();
    eventually("the owner has stopped as well", || owner.forwarder.stats().in_flight == 0).await;
}
