//! Members that really talk to each other, in one process.

use std::error::Error as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use ringpop::discovery::{JsonFile, StaticList};
use ringpop::swim::{self, Config, Labels, Status};
use ringpop::{
    AdvertiseError, BindError, BootstrapError, Builder, Event, OwnLabelError, ReapError, Ringpop,
    ServeError, SetLabelsError, State,
};
use tokio::time::timeout;

/// Only a failure waits this long: a busy machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(120);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Binds members that all know of each other, with further settings.
async fn bind_with(n: usize, settings: impl Fn(Builder) -> Builder) -> Vec<Ringpop> {
    let listeners: Vec<TcpListener> =
        (0..n).map(|_| TcpListener::bind(loopback()).unwrap()).collect();
    let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string());
    let text = addresses.collect::<Vec<_>>().join(",");
    let mut members = Vec::new();
    for listener in listeners {
        let builder = Ringpop::builder("test")
            .listener(listener)
            .discovery(Arc::new(StaticList::parse(&text).unwrap()))
            .config(Config::local());
        members.push(settings(builder).bind().await.unwrap());
    }
    members
}

async fn start(members: &[Ringpop]) {
    for member in members {
        member.serve(tonic::service::Routes::default()).unwrap();
    }
    for member in members {
        let joined = timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
        assert!(!joined.joined.is_empty());
    }
}

async fn cluster(n: usize) -> Vec<Ringpop> {
    cluster_with(n, |builder| builder).await
}

/// A cluster whose members have one view.
pub async fn cluster_with(n: usize, settings: impl Fn(Builder) -> Builder) -> Vec<Ringpop> {
    let members = bind_with(n, settings).await;
    start(&members).await;
    agree(&members).await;
    members
}

/// Waits until all members have one view with as many alive members.
async fn agree(members: &[Ringpop]) {
    until(members, "one view", |members| {
        let view = members[0].view();
        members.iter().all(|member| member.membership_checksum() == view.membership_checksum)
            && view.members.iter().filter(|m| m.status == Status::Alive).count() == members.len()
    })
    .await;
}

/// Waits for a condition, looking again at each event of any member.
pub async fn until(members: &[Ringpop], what: &str, condition: impl Fn(&[Ringpop]) -> bool) {
    let mut events: Vec<_> = members.iter().map(Ringpop::events).collect();
    let wait = async {
        while !condition(members) {
            let next = events.iter_mut().map(|events| Box::pin(events.next()));
            let (event, ..) = futures_util::future::select_all(next).await;
            event.expect("the members run");
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test]
async fn members_find_each_other_and_agree_on_every_key() {
    let members = cluster(4).await;
    for i in 0..200 {
        let key = format!("key-{i}");
        let owner = members[0].lookup(key.as_bytes()).unwrap();
        let owners = members[0].lookup_n(key.as_bytes(), 3);
        assert_eq!((owners.len(), &owners[0]), (3, &owner));
        for member in &members {
            assert_eq!(member.lookup(key.as_bytes()).as_ref(), Some(&owner));
            assert_eq!(member.lookup_n(key.as_bytes(), 3), owners);
            assert_eq!(member.owns(key.as_bytes()), member.whoami() == owner);
        }
    }
    assert!(members.iter().all(|member| member.state() == State::Ready));
}

#[tokio::test]
async fn whoever_hears_of_a_change_finds_it_in_the_view() {
    let members = cluster(3).await;
    let mut events = members[0].events();
    let labels = Labels::new([("weight", "3")]).unwrap();
    members[2].set_labels(labels.clone()).await.unwrap();
    let about = members[2].whoami().to_owned();
    let seen = async {
        loop {
            let event = events.next().await.expect("the member runs");
            if let Event::Membership(swim::Event::MemberChanged { after: Some(member), .. }) = event
                && member.address.as_str() == about
                // Before, it says what it plans.
                && member.labels == labels
            {
                return members[0].view();
            }
        }
    };
    let view = timeout(PATIENCE, seen).await.unwrap();
    assert_eq!(view.member(&about).unwrap().labels, labels);
    assert_eq!(view.ring.node(&about).unwrap().weight(), 3);
}

#[tokio::test]
async fn a_member_that_shuts_down_is_gone_at_once_everywhere() {
    let members = cluster(4).await;
    let (gone, rest) = members.split_last().unwrap();
    let mut events = gone.events();
    let report = gone.shutdown(PATIENCE).await;
    assert_eq!((report.told, report.cut_off), (3, 0));
    assert_eq!(gone.state(), State::Stopped);
    for member in rest {
        let view = member.view();
        assert_eq!(view.member(gone.whoami()).unwrap().status, Status::Leave);
        assert_eq!(view.ring.len(), 3);
    }
    while events.next().await.is_some() {}
    // The port is free again.
    let address: SocketAddr = gone.whoami().parse().unwrap();
    drop(tokio::net::TcpListener::bind(address).await.unwrap());
}

#[tokio::test]
async fn a_gone_member_is_forgotten_everywhere_on_command() {
    let members = cluster(4).await;
    let (gone, rest) = members.split_last().unwrap();
    let living = rest[1].reap(gone.whoami()).await.unwrap_err();
    assert_eq!(living, ReapError::Unknown(gone.whoami().to_owned()));
    gone.shutdown(PATIENCE).await;
    rest[1].reap(gone.whoami()).await.unwrap();
    until(rest, "forgotten", |rest| {
        let status = |member: &Ringpop| member.view().member(gone.whoami()).map(|m| m.status);
        rest.iter().all(|member| matches!(status(member), None | Some(Status::Tombstone)))
    })
    .await;
    assert!(matches!(rest[0].reap("nobody").await, Err(ReapError::Unknown(_))));
    assert_eq!(gone.reap(rest[0].whoami()).await, Err(ReapError::Stopped));
}

#[tokio::test]
async fn a_member_that_vanishes_becomes_faulty_and_may_come_back() {
    let mut members = cluster(3).await;
    let gone = members.pop().unwrap();
    let address = gone.whoami().to_owned();
    let peers = members[0].whoami().to_owned();
    // Without a shutdown: dropping the last handle stops everything.
    drop(gone);
    // The ring waits while a member hears of many changes.
    until(&members, "faulty and off the ring", |members| {
        members.iter().map(Ringpop::view).all(|view| {
            view.member(&address).is_some_and(|member| member.status == Status::Faulty)
                && view.ring.len() == 2
        })
    })
    .await;
    let back = Ringpop::builder("test")
        .listen(address.parse().unwrap())
        .discovery(Arc::new(StaticList::parse(&peers).unwrap()))
        .config(Config::local())
        .bind()
        .await
        .unwrap();
    start(std::slice::from_ref(&back)).await;
    members.push(back);
    agree(&members).await;
}

#[tokio::test]
async fn a_member_without_peers_owns_everything() {
    let member = Ringpop::builder("alone").bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    let joined = member.bootstrap().await.unwrap();
    assert!(joined.joined.is_empty());
    assert_eq!(joined.members, 1);
    assert!(member.owns(b"anything"));
}

#[tokio::test]
async fn another_application_is_refused_with_a_clear_sentence() {
    let members = cluster(2).await;
    let foreign = Ringpop::builder("other")
        .discovery(Arc::new(StaticList::parse(members[0].whoami()).unwrap()))
        .bind()
        .await
        .unwrap();
    foreign.serve(tonic::service::Routes::default()).unwrap();
    let error = timeout(PATIENCE, foreign.bootstrap()).await.unwrap().unwrap_err();
    assert!(matches!(error, BootstrapError::OtherApp { .. }));
    let text = error.to_string();
    assert!(
        text.contains(members[0].whoami()) && text.contains("`other`") && text.contains("`test`"),
        "{text}"
    );
    assert_eq!(foreign.state(), State::Bound);
    assert_eq!(members[0].membership_stats().await.rejected_app, 1);
}

#[tokio::test]
async fn a_peer_that_never_answers_fails_the_bootstrap_in_time() {
    // Accepts connections and says nothing.
    let silent = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let config = Config::builder().join_duration_max(Duration::from_secs(2)).build().unwrap();
    let member = Ringpop::builder("test")
        .discovery(Arc::new(StaticList::parse(&address).unwrap()))
        .config(config)
        .bind()
        .await
        .unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    let error = timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap_err();
    assert!(matches!(error, BootstrapError::NoPeer { .. }), "{error:?}");
    assert!(error.to_string().contains(&address), "{error}");
}

/// Peers that appear in the file after the start are found, because discovery
/// is asked again in each round.
#[tokio::test]
async fn discovery_is_asked_again_while_nobody_answers() {
    let members = cluster(2).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"["127.0.0.1:1"]"#).unwrap();
    let late = Ringpop::builder("test")
        .discovery(Arc::new(JsonFile::new(file.path())))
        .config(Config::local())
        .bind()
        .await
        .unwrap();
    late.serve(tonic::service::Routes::default()).unwrap();
    let mut events = late.events();
    let write = async {
        loop {
            let event = events.next().await.expect("the member runs");
            if matches!(event, Event::Membership(swim::Event::JoinRetrying { .. })) {
                let hosts = format!(r#"["{}"]"#, members[0].whoami());
                std::fs::write(file.path(), hosts).unwrap();
                return;
            }
        }
    };
    let (joined, ()) =
        timeout(PATIENCE, async { tokio::join!(late.bootstrap(), write) }).await.unwrap();
    assert_eq!(joined.unwrap().joined.len(), 1);
}

#[tokio::test]
async fn what_cannot_work_is_refused_with_a_reason() {
    let taken = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = Ringpop::builder("test").listen(address).bind().await.unwrap_err();
    assert!(matches!(error, BindError::Listen { .. }));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>()).unwrap();
    assert_eq!(cause.kind(), std::io::ErrorKind::AddrInUse);
    assert!(!error.to_string().contains(&cause.to_string()), "its cause is told once: {error}");
    assert!(error.to_string().contains("stop the process that uses it"), "{error}");

    let everywhere = "0.0.0.0:0".parse().unwrap();
    let error = Ringpop::builder("test").listen(everywhere).bind().await.unwrap_err();
    assert!(matches!(error, BindError::Unspecified { .. }), "{error}");

    let error = Ringpop::builder("test").advertise("no port").bind().await.unwrap_err();
    assert!(matches!(error, BindError::Advertise(AdvertiseError::Invalid(_))), "{error}");

    let error = Ringpop::builder("test").max_hops(9).bind().await.unwrap_err();
    let range =
        ringpop::forward::ConfigError::Range { field: "max_hops", value: 9, min: 1, max: 4 };
    assert!(matches!(&error, BindError::Forwarder(cause) if *cause == range), "{error}");

    let error = Ringpop::builder("").bind().await.unwrap_err();
    assert!(matches!(error, BindError::Config(_)), "{error}");

    let error = Ringpop::builder("test").label("__identity", "x").bind().await.unwrap_err();
    assert!(error.to_string().contains("reserved"), "{error}");

    let member = Ringpop::builder("test").bind().await.unwrap();
    let error = member.set_label("weight", "heavy").await.unwrap_err();
    let weight = OwnLabelError::Weight { value: "heavy".to_owned() };
    assert!(matches!(&error, SetLabelsError::OwnLabel(cause) if *cause == weight), "{error}");
    assert!(matches!(member.bootstrap().await, Err(BootstrapError::NotServing)));
    member.serve(tonic::service::Routes::default()).unwrap();
    let again = member.serve(tonic::service::Routes::default());
    assert_eq!(again, Err(ServeError::AlreadyServing));
    member.bootstrap().await.unwrap();
    let again = member.bootstrap().await;
    assert!(matches!(again, Err(BootstrapError::State(State::Ready))));
    member.shutdown(PATIENCE).await;
    assert_eq!(member.serve(tonic::service::Routes::default()), Err(ServeError::Stopped));
    assert!(member.bootstrap().await.is_err());
}

#[tokio::test]
async fn administration_shows_the_view() {
    use ringpop::admin_client::{AdminClient, GetStatusRequest, LookupRequest};

    let members = cluster(3).await;
    let endpoint = format!("http://{}", members[1].whoami());
    let channel = tonic::transport::Endpoint::new(endpoint).unwrap().connect().await.unwrap();
    let mut admin = AdminClient::new(channel);
    let status = admin.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.app.as_str(), status.state.as_str()), ("test", "ready"));
    assert_eq!(status.membership_checksum, members[0].membership_checksum());
    assert_eq!(status.members.len(), 3);
    let whole: f64 = status.members.iter().map(|member| member.share).sum();
    assert!((whole - 1.0).abs() < 1e-9, "{whole}");
    let pings = status.counters.iter().find(|counter| counter.name == "membership.pings_sent");
    assert!(pings.unwrap().value > 0);

    let lookup = LookupRequest { key: b"user-1"[..].into(), n: 2 };
    let owners = admin.lookup(lookup).await.unwrap().into_inner().owners;
    assert_eq!(owners, members[0].lookup_n(b"user-1", 2));
    let mut refused = async |bytes| {
        let huge = LookupRequest { key: vec![0; bytes].into(), n: 1 };
        admin.lookup(huge).await.unwrap_err().code()
    };
    assert_eq!(refused(100 << 10).await, tonic::Code::InvalidArgument);
    // More than any request of administration has.
    assert_eq!(refused(1 << 20).await, tonic::Code::OutOfRange);
}

/// One rebuild of the ring for a burst, also for what nobody does at the same
/// moment.
#[tokio::test]
async fn a_mass_crash_is_one_change_of_the_ring() {
    let mut members = cluster(8).await;
    let coalescing =
        swim::Coalescing { quiet: Duration::from_millis(2500), delay_max: Duration::from_secs(15) };
    for member in &members {
        let config = Config::local().to_builder().coalescing(Some(coalescing)).build().unwrap();
        member.reconfigure(config).await.unwrap();
    }
    let gone = members.split_off(5);
    let mut addresses: Vec<String> = gone.iter().map(|member| member.whoami().to_owned()).collect();
    addresses.sort();
    let mut events = members[0].events();
    drop(gone);
    let change = async {
        loop {
            if let Event::RingChanged(change) = events.next().await.expect("the member runs") {
                return change;
            }
        }
    };
    let change = timeout(PATIENCE, change).await.unwrap();
    let removed: Vec<&str> = change.removed.iter().map(swim::Address::as_str).collect();
    assert_eq!(removed, addresses);
    assert_eq!(members[0].view().ring.len(), 5);
}

#[tokio::test]
async fn settings_change_while_a_member_runs() {
    let members = cluster(2).await;
    let slower = Config::local().to_builder().protocol_period(Duration::from_millis(300));
    members[0].reconfigure(slower.clone().build().unwrap()).await.unwrap();
    for (config, field) in [
        (slower.clone().message_bytes_max(1000), "message_bytes_max"),
        (slower.late_acks(true), "late_acks"),
    ] {
        let error = members[0].reconfigure(config.build().unwrap()).await.unwrap_err();
        assert!(error.to_string().starts_with(field), "{error}");
    }
}

/// What an operator sets is what callers meet, and what they met is told.
#[tokio::test]
async fn limits_of_callers_are_set_counted_and_told() {
    use ringpop::admin_client::{AdminClient, GetStatusRequest};
    use ringpop::forward::ServerLimits;

    let wrong = Ringpop::builder("test").server_limits(ServerLimits::default().half_open_calls(0));
    let error = wrong.bind().await.unwrap_err().to_string();
    assert!(error.contains("half_open_calls is 0"), "{error}");
    let error = Ringpop::builder("test").max_in_flight(0).bind().await.unwrap_err().to_string();
    assert!(error.contains("max_in_flight is 0"), "{error}");

    let limits = ServerLimits::default().header_list_bytes(4096).streams_per_connection(7);
    let member = Ringpop::builder("test").server_limits(limits).bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    member.bootstrap().await.unwrap();
    assert_eq!(member.server_stats().header_lists_refused, 0);
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", member.whoami()));
    let channel = endpoint.unwrap().connect().await.unwrap();
    let mut admin = AdminClient::new(channel).max_decoding_message_size(64 << 20);
    let mut request = tonic::Request::new(GetStatusRequest {});
    request.metadata_mut().insert("x-large", "1".repeat(4096).parse().unwrap());
    let refused = admin.get_status(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
    assert_eq!(member.server_stats().header_lists_refused, 1);
    let status = admin.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    let told = status.counters.iter().find(|told| told.name == "server.header_lists_refused");
    assert_eq!(told.unwrap().value, 1);
    member.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn settings_of_forwarding_out_of_range_are_refused_by_name() {
    let cases = [
        ("max_hops", Ringpop::builder("test").max_hops(5)),
        ("replay_limit", Ringpop::builder("test").replay_limit(17 * 1024 * 1024)),
        ("replay_memory", Ringpop::builder("test").replay_memory(65 << 30)),
        ("first_message_timeout", Ringpop::builder("test").first_message_timeout(Duration::ZERO)),
        ("max_in_flight", Ringpop::builder("test").max_in_flight(0)),
        ("max_timeout", Ringpop::builder("test").max_timeout(Duration::ZERO)),
    ];
    for (field, builder) in cases {
        let error = builder.bind().await.unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
    }
}

#[tokio::test]
async fn events_are_a_stream_and_others_see_single_labels_change() {
    let members = cluster(2).await;
    let labels_at_the_other =
        |members: &[Ringpop]| members[1].view().member(members[0].whoami()).unwrap().labels.clone();
    members[0].set_labels(Labels::new([("role", "api"), ("version", "1")]).unwrap()).await.unwrap();
    members[0].set_zone("b").await.unwrap();
    members[0].set_label("version", "2").await.unwrap();
    assert!(members[0].remove_label("role").await.unwrap());
    assert!(!members[0].remove_label("role").await.unwrap());
    until(&members, "the labels", |members| {
        let seen = labels_at_the_other(members);
        seen.get("version") == Some("2") && seen.get("role").is_none()
    })
    .await;
    assert_eq!(members[0].labels().await, Labels::new([("version", "2")]).unwrap());
    assert!(members[0].set_label("weight", "lots").await.is_err());
    let events = members[0].events();
    members[0].shutdown(PATIENCE).await;
    let states = tokio_stream::StreamExt::filter_map(events, |event| match event {
        Event::StateChanged(state) => Some(state),
        _ => None,
    });
    let states: Vec<State> = tokio_stream::StreamExt::collect(states).await;
    assert_eq!(states, [State::Draining, State::Stopped]);
}
