//! Further rings over one membership, and subrings of tenants.

use std::collections::BTreeSet;
use std::time::Duration;

use ringpop::forward::{Policy, Resolver as _, Routes};
use ringpop::testing::Cluster;
use ringpop::{BindError, PlacementChoice, RingEvent, RingOptions, Ringpop, ZoneOrder};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::service::Routes as Services;

use crate::echo::{self, Echo};

const PATIENCE: Duration = Duration::from_secs(120);

/// A method that answers with the name of the member.
#[derive(Clone)]
struct Jobs(String);

const RUN: &str = "/test.v1.Jobs/Run";

service!(Jobs, "test.v1.Jobs");

impl Jobs {
    async fn answer(self, _: http::Request<Body>) -> http::Response<Body> {
        let mut response = tonic::Status::ok("").into_http();
        let value = http::HeaderValue::from_str(&self.0).unwrap();
        response.headers_mut().insert("handled-by", value);
        response
    }
}

fn role(i: usize) -> &'static str {
    if i < 2 { "front-end" } else { "worker" }
}

/// Two front ends and so many workers. Jobs belong to workers, the echo to everybody.
async fn cluster(members: usize) -> Cluster {
    let services =
        |_, member: &Ringpop| Services::new(Echo).add_service(Jobs(member.whoami().to_owned()));
    Cluster::builder(members)
        .settings(|i, builder| {
            builder
                .label("role", role(i))
                .ring("workers", RingOptions::new().label("role", "worker"))
                .ring(
                    "legacy",
                    RingOptions::new()
                        .label_in("role", ["worker", "front-end"])
                        .placement(PlacementChoice::Ringpop),
                )
                .routes(Routes::new().header(echo::METHOD).unary())
                .routes_on("workers", Routes::new().header(RUN).unary().idempotent())
        })
        .services(services)
        .start()
        .await
        .unwrap()
}

/// Waits until all members that run have one ring of workers.
async fn agree(cluster: &Cluster, workers: usize) {
    let agrees = |cluster: &Cluster| {
        let checksums: BTreeSet<u64> =
            cluster.running().map(|member| member.ring("workers").unwrap().checksum()).collect();
        let ring = cluster.running().next().unwrap().ring("workers").unwrap();
        checksums.len() == 1 && ring.snapshot().len() == workers
    };
    cluster.until("one ring of workers", agrees).await.unwrap();
}

async fn run(member: &Ringpop, key: &str) -> String {
    let mut channel = echo::channel(member).await;
    let request = http::Request::post(RUN)
        .header("content-type", "application/grpc")
        .header("ringpop-key", key)
        .body(Body::default())
        .unwrap();
    std::future::poll_fn(|cx| tower_service::Service::poll_ready(&mut channel, cx)).await.unwrap();
    let answer = timeout(PATIENCE, tower_service::Service::call(&mut channel, request));
    let answer = answer.await.unwrap().unwrap();
    let status = tonic::Status::from_header_map(answer.headers()).expect("an answer of trailers");
    assert_eq!(status.code(), tonic::Code::Ok, "{key}: {status:?}");
    answer.headers()["handled-by"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_service_has_the_ring_of_its_role() {
    let mut cluster = cluster(5).await;
    agree(&cluster, 3).await;
    let ring = cluster.member(0).ring("workers").unwrap();
    for i in 0..20 {
        let key = format!("key-{i}");
        let owner = ring.lookup(key.as_bytes()).unwrap();
        assert!(cluster.index_of(&owner).unwrap() >= 2, "a worker");
        for member in cluster.running() {
            assert_eq!(run(member, &key).await, *owner, "whichever member is asked");
            let owns = member.ring("workers").unwrap().owns(key.as_bytes());
            assert_eq!(owns, owner == member.whoami());
        }
    }
    assert_eq!(ring.name(), "workers");
    assert!(cluster.member(0).ring("none").is_none());
    let stats = cluster.member(0).forward_stats();
    assert_eq!(stats.epochs_differed, 0, "{stats:?}");

    // One worker dies: its keys go to the other two, and no front end gets any.
    let mut events = cluster.member(1).ring("workers").unwrap().events();
    let epoch = ring.epoch();
    let victim = ring.lookup(b"key-0").unwrap();
    cluster.kill(cluster.index_of(&victim).unwrap()).await;
    agree(&cluster, 2).await;
    timeout(PATIENCE, ring.changed(epoch)).await.expect("a follower of the ring is woken");
    let change = match timeout(PATIENCE, events.next()).await.unwrap() {
        Some(RingEvent::Changed(change)) => change,
        other => panic!("{other:?}"),
    };
    assert_eq!(change.removed.len(), 1);
    assert_eq!(change.removed[0].as_str(), &*victim);
    let moves = change.moves().unwrap();
    assert!((moves.share() - 1.0 / 3.0).abs() < 0.01, "{}", moves.share());
    let moved = moves.of(b"key-0").unwrap();
    assert_eq!(moved.from, Some(&*victim));
    assert_eq!(run(cluster.member(0), "key-0").await, moved.to.unwrap());
}

#[tokio::test]
async fn a_label_takes_a_member_onto_a_ring_and_off() {
    let cluster = cluster(4).await;
    agree(&cluster, 2).await;
    let (main, legacy) =
        (cluster.member(3).ring_checksum(), cluster.member(3).ring("legacy").unwrap().checksum());
    cluster.member(0).set_label("role", "worker").await.unwrap();
    agree(&cluster, 3).await;
    cluster.member(0).set_label("role", "idle").await.unwrap();
    agree(&cluster, 2).await;
    let gone = |cluster: &Cluster| {
        cluster.running().all(|member| member.ring("legacy").unwrap().snapshot().len() == 3)
    };
    cluster.until("off the other ring, too", gone).await.unwrap();
    assert_eq!(cluster.member(3).ring_checksum(), main, "the main ring has all roles");
    assert_ne!(cluster.member(3).ring("legacy").unwrap().checksum(), legacy);
}

#[tokio::test]
async fn all_members_choose_the_same_ones_for_a_tenant() {
    let mut cluster = Cluster::builder(6)
        .settings(|i, builder| builder.zone(["a", "b"][i % 2]).ring("all", RingOptions::new()))
        .start()
        .await
        .unwrap();
    let members = |member: &Ringpop, tenant: &str| -> BTreeSet<String> {
        member.subring(tenant, 4).members().map(String::from).collect()
    };
    let tenants: Vec<String> = (0..40).map(|i| format!("tenant-{i}")).collect();
    let mut before = Vec::new();
    for tenant in &tenants {
        let chosen = members(cluster.member(0), tenant);
        let zone = |address: &String| cluster.index_of(address).unwrap() % 2;
        assert_eq!(chosen.iter().filter(|address| zone(address) == 0).count(), 2);
        for member in cluster.running() {
            assert_eq!(members(member, tenant), chosen);
            let subring = member.ring("all").unwrap().subring(tenant, 4);
            assert_eq!(subring.checksum(), member.subring(tenant, 4).checksum());
            assert_eq!(subring.contains(member.whoami()), chosen.contains(member.whoami()));
            let owner = subring.lookup(b"key").unwrap();
            assert!(chosen.contains(owner.address()));
            assert_eq!(subring.owns(b"key"), owner == member.whoami());
            assert_eq!(subring.lookup_n(b"key", 9).len(), 4);
        }
        before.push(chosen);
    }
    cluster.kill(5).await;
    cluster.converged().await.unwrap();
    let victim = cluster.address(5).to_owned();
    for (tenant, before) in tenants.iter().zip(&before) {
        let after = members(cluster.member(0), tenant);
        let gone: Vec<_> = before.difference(&after).collect();
        assert_eq!(
            gone,
            before.contains(&victim).then_some(&victim).into_iter().collect::<Vec<_>>()
        );
    }
}

/// The zone of the owner fails as a whole; with the policy, the next owner is in another one.
#[tokio::test]
async fn retries_go_where_the_order_of_zones_says() {
    for order in [ZoneOrder::OtherZonesFirst, ZoneOrder::OwnersZoneFirst] {
        let mut cluster = Cluster::builder(5)
            .settings(move |i, builder| {
                // Nobody is suspected while the test runs.
                let config = ringpop::swim::Config::lan();
                let policy = Policy::default().max_attempts(2);
                builder
                    .config(config)
                    .label("role", role(i.max(1) + 1 - usize::from(i == 0)))
                    .zone(["none", "a", "a", "b", "b"][i])
                    .zone_order(order)
                    .policy(policy)
                    .ring("workers", RingOptions::new().label_in("zone", ["a", "b"]))
                    .routes_on("workers", Routes::new().header(RUN).unary().idempotent())
            })
            .services(|_, member| Services::new(Jobs(member.whoami().to_owned())))
            .start()
            .await
            .unwrap();
        agree(&cluster, 4).await;
        let ring = cluster.member(0).ring("workers").unwrap();
        let owner = ring.lookup(b"key").unwrap();
        let victim = cluster.index_of(&owner).unwrap();
        let zone = |i: usize| (i - 1) / 2;
        assert_eq!(ring.lookup_spread(b"key", 2).len(), 2);
        cluster.kill(victim).await;
        let next = run(cluster.member(0), "key").await;
        let next = cluster.index_of(&next).unwrap();
        let is_near = zone(next) == zone(victim);
        assert_eq!(is_near, order == ZoneOrder::OwnersZoneFirst, "{order:?}: {victim}, {next}");
    }
}

#[tokio::test]
async fn rings_that_cannot_mean_anything_are_refused() {
    let error = |builder: ringpop::Builder| async { builder.bind().await.unwrap_err() };
    let builder = || Ringpop::builder("test");
    let ring = RingOptions::new;
    for name in ["", "two words", "ü", &"x".repeat(65)] {
        let error = error(builder().ring(name, ring())).await;
        assert!(
            matches!(&error, BindError::RingName { name: told, max: 64 } if told == name),
            "{error}"
        );
    }
    let twice = error(builder().ring("a", ring()).ring("a", ring())).await;
    assert!(matches!(&twice, BindError::RingTwice { name } if name == "a"), "{twice}");
    let many = (0..17).fold(builder(), |builder, i| builder.ring(format!("r{i}"), ring()));
    let many = error(many).await;
    assert!(matches!(many, BindError::Rings { rings: 17, max: 16 }), "{many}");
    let unknown = error(builder().routes_on("a", Routes::new().header(RUN))).await;
    assert!(matches!(&unknown, BindError::RingUnknown { name } if name == "a"), "{unknown}");
    let points = ring().placement(PlacementChoice::Ring { points: 0 });
    assert!(matches!(error(builder().ring("a", points)).await, BindError::Placement(_)));
    let nobody = error(builder().ring("a", ring().label("role", "x").label("role", "y"))).await;
    assert!(matches!(&nobody, BindError::RingCondition { ring, .. } if ring == "a"), "{nobody}");
    let text = nobody.to_string();
    assert!(text.starts_with(r#"ring "a": the conditions on the label `role`"#), "{text}");
    let twice = builder()
        .ring("a", ring())
        .routes(Routes::new().header(RUN))
        .routes_on("a", Routes::new().header(RUN));
    assert!(error(twice).await.to_string().contains(RUN));
}
