//! The administration service: everybody may ask, authorised callers give commands.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringpop::admin_client::{
    AdminClient, ChangeLabelsRequest, ControlGossipRequest, DrainRequest, Event as Told,
    EvictRequest, GetConfigRequest, GetDestinationsRequest, GetLogLevelRequest, GetMembersRequest,
    GetRingRequest, GetStatusRequest, GossipAction, HealRequest, Label, LeaveRequest, MemberStatus,
    ReapRequest, ReconfigureRequest, RejoinRequest, SetLogLevelRequest, Setting,
    Status as ProtoStatus, UndoEvictRequest, UndrainRequest, Value, WatchEventsRequest,
};
use ringpop::swim::{Config, Status};
use ringpop::{
    AdminAccess, LeaveRingError, LogControl, LogControlError, RejoinError, Ringpop, State,
};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::cluster::{PATIENCE, cluster_with, until};

pub type Client = AdminClient<Channel>;

pub async fn client(member: &Ringpop) -> Client {
    connect(member.whoami()).await
}

pub async fn connect(address: &str) -> Client {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    AdminClient::new(endpoint.connect().await.unwrap())
}

fn label(key: &str, value: &str) -> Label {
    Label { key: key.to_owned(), value: value.to_owned() }
}

fn set(key: &str, value: &str) -> ChangeLabelsRequest {
    ChangeLabelsRequest { set: vec![label(key, value)], remove: Vec::new() }
}

fn gossip(action: GossipAction) -> ControlGossipRequest {
    ControlGossipRequest { action: action.into() }
}

fn setting(name: &str, value: Value) -> ReconfigureRequest {
    let setting = Setting { name: name.to_owned(), value: Some(value) };
    ReconfigureRequest { settings: vec![setting] }
}

fn level(directives: &str) -> SetLogLevelRequest {
    SetLogLevelRequest { directives: directives.to_owned() }
}

/// The outcome of each command, all of which change nothing when they are refused.
async fn commands(client: &mut Client) -> Vec<Code> {
    let code = |refused: tonic::Status| refused.code();
    vec![
        client.reconfigure(ReconfigureRequest::default()).await.map_or_else(code, |_| Code::Ok),
        client.control_gossip(gossip(GossipAction::Tick)).await.map_or_else(code, |_| Code::Ok),
        client.leave(LeaveRequest {}).await.map_or_else(code, |_| Code::Ok),
        client.rejoin(RejoinRequest {}).await.map_or_else(code, |_| Code::Ok),
        client.reap(ReapRequest::default()).await.map_or_else(code, |_| Code::Ok),
        client.heal(HealRequest {}).await.map_or_else(code, |_| Code::Ok),
        client.change_labels(set("role", "api")).await.map_or_else(code, |_| Code::Ok),
        client.evict(EvictRequest::default()).await.map_or_else(code, |_| Code::Ok),
        client.undo_evict(UndoEvictRequest::default()).await.map_or_else(code, |_| Code::Ok),
        client.drain(DrainRequest {}).await.map_or_else(code, |_| Code::Ok),
        client.undrain(UndrainRequest {}).await.map_or_else(code, |_| Code::Ok),
        client.set_log_level(level("info")).await.map_or_else(code, |_| Code::Ok),
    ]
}

async fn alone(access: AdminAccess) -> Ringpop {
    cluster_of_one(Ringpop::builder("test").config(Config::local()).admin_access(access)).await
}

async fn cluster_of_one(builder: ringpop::Builder) -> Ringpop {
    let member = builder.bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    member.bootstrap().await.unwrap();
    member
}

#[tokio::test]
async fn commands_are_refused_by_default_and_change_nothing() {
    let member = alone(AdminAccess::default()).await;
    let mut client = client(&member).await;
    let codes = commands(&mut client).await;
    assert_eq!(codes, [Code::PermissionDenied; 12]);
    let counters = member.counters().await;
    assert_eq!(counters.get("admin.commands_refused"), Some(12));
    assert_eq!(counters.get("admin.commands"), Some(0));
    assert!(member.labels().await.is_empty());
    assert!(member.owns(b"key"), "it is on the ring");
    let refused = client.leave(LeaveRequest {}).await.unwrap_err();
    assert!(refused.message().contains("--admin-loopback"), "{refused}");
}

#[tokio::test]
async fn a_process_of_this_machine_gives_commands_when_the_settings_say_so() {
    let member = alone(AdminAccess::read_only().loopback()).await;
    let mut client = client(&member).await;

    let changed = ChangeLabelsRequest {
        set: vec![label("role", "api"), label("weight", "3"), label("zone", "a")],
        remove: vec!["none".to_owned()],
    };
    let labels = client.change_labels(changed).await.unwrap().into_inner().labels;
    assert_eq!(labels, [label("role", "api"), label("weight", "3"), label("zone", "a")]);
    let changed = ChangeLabelsRequest { set: Vec::new(), remove: vec!["zone".to_owned()] };
    let labels = client.change_labels(changed).await.unwrap().into_inner().labels;
    assert_eq!(labels, [label("role", "api"), label("weight", "3")]);
    let ring = client.get_ring(GetRingRequest {}).await.unwrap().into_inner();
    assert_eq!((ring.members[0].weight, ring.members[0].share), (3, 1.0));
    assert_eq!(ring.ring_checksum, member.ring_checksum());

    // All or nothing, and the answer names the fault.
    let both = vec![label("a", "1"), label("a", "2")];
    let twice = ChangeLabelsRequest { set: both, remove: Vec::new() };
    let refused = client.change_labels(twice).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let both = vec![label("b", "1"), label("weight", "900")];
    let heavy = ChangeLabelsRequest { set: both, remove: Vec::new() };
    let refused = client.change_labels(heavy).await.unwrap_err();
    assert!(refused.message().contains("900"), "{refused}");
    assert_eq!(member.labels().await.iter().collect::<Vec<_>>(), [("role", "api")]);
    assert_eq!(member.counters().await.get("admin.commands"), Some(4));
}

#[tokio::test]
async fn settings_are_shown_and_changed_and_wrong_ones_change_nothing() {
    let member = alone(AdminAccess::read_only().loopback()).await;
    let mut client = client(&member).await;
    let settings = client.get_config(GetConfigRequest {}).await.unwrap().into_inner().settings;
    let period = settings.iter().find(|setting| setting.name == "protocol_period").unwrap();
    assert_eq!(period.value, Some(Value::Micros(200_000)));

    client.reconfigure(setting("protocol_period", Value::Micros(150_000))).await.unwrap();
    let expected = Duration::from_millis(150);
    assert_eq!(member.config().await.unwrap().protocol_period(), expected);
    for (name, value, code) in [
        ("protocol_period", Value::Micros(0), Code::InvalidArgument),
        ("protocol_period", Value::Flag(true), Code::InvalidArgument),
        ("protocol_perod", Value::Micros(1000), Code::InvalidArgument),
        ("late_acks", Value::Flag(true), Code::FailedPrecondition),
    ] {
        let refused = client.reconfigure(setting(name, value)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(name), "{refused}");
    }
    assert_eq!(member.config().await.unwrap().protocol_period(), expected);
}

#[tokio::test]
async fn gossip_is_stopped_and_started_and_a_member_probed_on_command() {
    let loopback = AdminAccess::read_only().loopback();
    let members = cluster_with(2, |builder| builder.admin_access(loopback.clone())).await;
    let mut client = client(&members[0]).await;
    client.control_gossip(gossip(GossipAction::Stop)).await.unwrap();
    let status = client.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    assert!(status.gossip_stopped);
    let before = members[0].membership_stats().await.pings_sent;
    let ticked = client.control_gossip(gossip(GossipAction::Tick)).await.unwrap().into_inner();
    assert!(ticked.probed);
    assert_eq!(ticked.membership_checksum, members[0].membership_checksum());
    assert_eq!(members[0].membership_stats().await.pings_sent, before + 1);
    client.control_gossip(gossip(GossipAction::Start)).await.unwrap();
    let status = client.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    assert!(!status.gossip_stopped);
    let nothing = client.control_gossip(ControlGossipRequest::default()).await.unwrap_err();
    assert_eq!(nothing.code(), Code::InvalidArgument);
}

/// It forwards to the others all the time: its ring is never empty.
#[tokio::test]
async fn a_member_leaves_the_ring_on_command_serves_on_and_comes_back() {
    let loopback = AdminAccess::read_only().loopback();
    let members = cluster_with(3, |builder| builder.admin_access(loopback.clone())).await;
    let (one, rest) = members.split_first().unwrap();
    let mut client = client(one).await;
    assert!(matches!(one.rejoin(PATIENCE).await, Err(RejoinError::NotAway)));
    let told = client.leave(LeaveRequest {}).await.unwrap().into_inner().told;
    assert_eq!(told, 2);
    until(&members, "it is off every ring", |members| {
        members.iter().all(|member| {
            member.view().member(one.whoami()).is_some_and(|m| m.status == Status::Leave)
                && member.lookup(b"key").is_some_and(|owner| owner != *one.whoami())
        })
    })
    .await;
    assert_eq!(one.state(), State::Ready, "it serves and forwards");
    let twice = client.leave(LeaveRequest {}).await.unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition);
    assert!(matches!(one.leave_ring(PATIENCE).await, Err(LeaveRingError::Refused(_))));

    let mut events = one.events();
    let members_known = client.rejoin(RejoinRequest {}).await.unwrap().into_inner().members;
    assert_eq!(members_known, 3);
    until(&members, "it is on every ring again", |members| {
        members.iter().all(|member| {
            member.view().member(one.whoami()).is_some_and(|m| m.status == Status::Alive)
                && member.view().reachable().count() == 3
                && member.ring_checksum() == rest[0].ring_checksum()
        })
    })
    .await;
    while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
        if let ringpop::Event::RingChanged(change) = event {
            assert!(change.removed.is_empty(), "no key lost its owner: {change:?}");
        }
    }
}

fn find<'a>(members: &'a [MemberStatus], address: &str) -> &'a MemberStatus {
    members.iter().find(|member| member.address == address).unwrap()
}

#[tokio::test]
async fn members_are_told_with_the_change_that_gave_them_their_status() {
    let loopback = AdminAccess::read_only().loopback();
    let mut members = cluster_with(3, |builder| builder.admin_access(loopback.clone())).await;
    let gone = members.pop().unwrap().whoami().to_owned();
    let mut client = client(&members[0]).await;
    until(&members, "it is suspect", |members| {
        members
            .iter()
            .all(|member| member.view().member(&gone).is_some_and(|m| m.status >= Status::Suspect))
    })
    .await;
    let all = client.get_members(GetMembersRequest::default()).await.unwrap().into_inner().members;
    assert_eq!(all.len(), 3);
    let suspect = find(&all, &gone);
    // On a busy machine it may be faulty by now.
    if suspect.status() == ProtoStatus::Suspect {
        let suspicion = suspect.suspicion.as_ref().unwrap();
        let is_member = |accuser: &String| members.iter().any(|m| *m.whoami() == **accuser);
        assert!(!suspicion.accusers.is_empty() && suspicion.accusers.iter().all(is_member));
        assert!(suspicion.remaining_ms > 0);
    }
    assert!(["probe", "gossip", "timeout"].contains(&&*suspect.cause), "{suspect:?}");
    until(&members, "it is faulty", |members| {
        members
            .iter()
            .all(|member| member.view().member(&gone).is_some_and(|m| m.status == Status::Faulty))
    })
    .await;
    let faulty = GetMembersRequest { statuses: vec![ProtoStatus::Faulty.into()] };
    let faulty = client.get_members(faulty).await.unwrap().into_inner().members;
    assert_eq!(faulty.len(), 1);
    assert!(members.iter().any(|member| *member.whoami() == *faulty[0].source), "{faulty:?}");
    assert!(faulty[0].suspicion.is_none());
    assert!(faulty[0].since_ms <= find(&all, members[0].whoami()).since_ms + 1000 * 120);

    // Both forget it on command, and healing has nobody left to ask.
    let reaped = client.reap(ReapRequest::default()).await.unwrap().into_inner().reaped;
    assert_eq!(reaped, 1);
    let unknown = client.reap(ReapRequest { address: "nobody:1".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let healed = client.heal(HealRequest {}).await.unwrap().into_inner();
    assert_eq!(healed.contacted, Vec::<String>::new());
    let destinations = client.get_destinations(GetDestinationsRequest {}).await.unwrap();
    let destinations = destinations.into_inner().destinations;
    let dead = destinations.iter().find(|destination| destination.address == gone).unwrap();
    assert_eq!((&*dead.state, dead.connections), ("gone", 0));
}

#[tokio::test]
async fn events_are_streamed_until_the_member_begins_to_stop() {
    let members = cluster_with(2, |builder| builder).await;
    let mut client = client(&members[0]).await;
    let mut events = client.watch_events(WatchEventsRequest {}).await.unwrap().into_inner();
    members[1].set_label("role", "api").await.unwrap();
    let seen = async {
        loop {
            let event = events.message().await.unwrap().expect("the member runs");
            if let Some(Told::MemberChanged(change)) = event.event
                && change.labels == [label("role", "api")]
            {
                return (event.unix_ms, change);
            }
        }
    };
    let (unix_ms, change) = timeout(PATIENCE, seen).await.unwrap();
    assert_eq!(change.address, members[1].whoami());
    assert_eq!((change.before(), change.after()), (ProtoStatus::Alive, ProtoStatus::Alive));
    assert!(unix_ms > 1_600_000_000_000);

    // The reader does not hold the member up.
    let report = timeout(PATIENCE, members[0].shutdown(PATIENCE)).await.unwrap();
    assert_eq!(report.cut_off, 0);
    let mut last = None;
    while let Some(event) = events.message().await.unwrap() {
        last = event.event;
    }
    assert_eq!(last, Some(Told::State("draining".to_owned())));
}

/// Events that are not read wait up to a bound, and hold nobody up.
#[tokio::test]
async fn a_slow_reader_is_told_how_many_events_it_missed() {
    let member = alone(AdminAccess::default()).await;
    let endpoint = Channel::from_shared(format!("http://{}", member.whoami())).unwrap();
    let endpoint = endpoint.initial_stream_window_size(64 * 1024);
    let mut client = AdminClient::new(endpoint.connect().await.unwrap());
    let mut events = client.watch_events(WatchEventsRequest {}).await.unwrap().into_inner();
    // More than the queue of the member and the window of the stream hold.
    for i in 0..6000_u32 {
        member.set_label("step", i.to_string()).await.unwrap();
    }
    let missed = async {
        let mut told = 0_u64;
        loop {
            match events.message().await.unwrap().unwrap().event {
                Some(Told::Missed(missed)) => return (told, missed),
                _ => told += 1,
            }
        }
    };
    let (told, missed) = timeout(PATIENCE, missed).await.unwrap();
    assert!(missed > 0 && told + missed <= 6000, "{told} told, {missed} missed");
}

#[tokio::test]
async fn readers_of_events_are_bounded() {
    let member = alone(AdminAccess::default()).await;
    let mut client = client(&member).await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(client.watch_events(WatchEventsRequest {}).await.unwrap());
    }
    let refused = client.watch_events(WatchEventsRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(member.counters().await.get("admin.readers_refused"), Some(1));
    streams.pop();
    let again = async {
        while client.watch_events(WatchEventsRequest {}).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn the_holder_of_the_token_gives_commands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "correct-horse-battery\n").unwrap();
    let member = alone(AdminAccess::read_only().token_file(&path)).await;
    let mut client = client(&member).await;
    assert_eq!(commands(&mut client).await, [Code::PermissionDenied; 12]);
    let mut request = Request::new(set("role", "api"));
    request.metadata_mut().insert("authorization", "Bearer correct-horse-battery".parse().unwrap());
    client.change_labels(request).await.unwrap();
    assert_eq!(member.labels().await.get("role"), Some("api"));
}

#[tokio::test]
async fn a_token_file_that_is_missing_is_named_at_the_start() {
    let access = AdminAccess::read_only().token_file("/nowhere/token");
    let error = Ringpop::builder("test").admin_access(access).bind().await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/token"), "{error}");
}

/// The port of the member takes no commands; one of the application's own does.
#[tokio::test]
async fn the_service_can_be_served_on_another_port() {
    let member = alone(AdminAccess::default()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = member.admin_service(AdminAccess::read_only().loopback());
    let server = ringpop::forward::server().add_service(admin);
    tokio::spawn(server.serve_with_incoming(ringpop::forward::incoming(listener)));
    let mut other = connect(&address.to_string()).await;
    other.change_labels(set("role", "api")).await.unwrap();
    assert_eq!(member.labels().await.get("role"), Some("api"));
    assert_eq!(commands(&mut client(&member).await).await, [Code::PermissionDenied; 12]);
    // It does not keep the member alive.
    drop(member);
    let gone = async {
        while other.get_status(GetStatusRequest {}).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[cfg(feature = "tls")]
mod certificates {
    use rcgen::{CertificateParams, DnType, SanType};
    use ringpop::forward::Tls;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::certificates::{authority, certificates, certificates_for};

    #[tokio::test]
    async fn a_certificate_gives_commands_when_its_name_or_organisation_is_authorised() {
        let (ours, directory) = (authority(), tempfile::tempdir().unwrap());
        let tls = Tls::new(certificates(&ours, directory.path())).unwrap();
        let access =
            AdminAccess::read_only().name("spiffe://prod/operators/*").organization("Platform*");
        let member = cluster_of_one(Ringpop::builder("test").tls(tls).admin_access(access)).await;
        let endpoint: Endpoint = format!("http://{}", member.whoami()).parse().unwrap();

        let outcome = async |change: fn(&mut CertificateParams)| {
            let directory = tempfile::tempdir().unwrap();
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            change(&mut params);
            let tls = Tls::new(certificates_for(&ours, directory.path(), params)).unwrap();
            let mut client = AdminClient::new(tls.channel(&endpoint));
            client.change_labels(set("role", "api")).await.map(|_| ()).map_err(|s| s.code())
        };
        assert_eq!(outcome(|_| {}).await, Err(Code::PermissionDenied), "a member is no operator");
        let operator = outcome(|params| {
            let name = "spiffe://prod/operators/alice".try_into().unwrap();
            params.subject_alt_names.push(SanType::URI(name));
        });
        assert_eq!(operator.await, Ok(()));
        let stranger = outcome(|params| {
            let name = "spiffe://prod/services/alice".try_into().unwrap();
            params.subject_alt_names.push(SanType::URI(name));
        });
        assert_eq!(stranger.await, Err(Code::PermissionDenied));
        let platform = outcome(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "Platform Engineering");
        });
        assert_eq!(platform.await, Ok(()));
        // The common name is what anybody may have asked for.
        let common = outcome(|params| {
            params.distinguished_name.push(DnType::CommonName, "spiffe://prod/operators/alice");
        });
        assert_eq!(common.await, Err(Code::PermissionDenied));
        assert_eq!(member.counters().await.get("admin.commands"), Some(2));
    }
}

/// A log whose directives are one word.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<String>>);

impl LogControl for Words {
    fn directives(&self) -> Result<String, LogControlError> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn set_directives(&self, directives: &str) -> Result<(), LogControlError> {
        if directives.contains(' ') {
            return Err(LogControlError::invalid("several words"));
        }
        directives.clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }
}

#[tokio::test]
async fn the_level_of_the_log_is_asked_by_all_and_set_by_those_who_may() {
    let log = Words::default();
    log.set_directives("warn").unwrap();
    let builder = || Ringpop::builder("test").config(Config::local()).log_control(log.clone());
    let member = cluster_of_one(builder()).await;
    let mut all = client(&member).await;
    let told = all.get_log_level(GetLogLevelRequest {}).await.unwrap().into_inner();
    assert_eq!(told.directives, "warn");
    let refused = all.set_log_level(level("debug")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(log.directives().unwrap(), "warn");

    let access = AdminAccess::read_only().loopback();
    let member = cluster_of_one(builder().admin_access(access.clone())).await;
    let mut operator = client(&member).await;
    let changed = operator.set_log_level(level("debug")).await.unwrap().into_inner();
    assert_eq!(changed.directives_before, "warn");
    assert_eq!(log.directives().unwrap(), "debug");
    for bad in ["two words".to_owned(), "d".repeat(1025)] {
        let refused = operator.set_log_level(level(&bad)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(!bad.contains(' ') || refused.message().contains("several words"), "{refused}");
    }
    assert_eq!(log.directives().unwrap(), "debug", "the former ones stay");

    let member = alone(access).await;
    let mut operator = client(&member).await;
    let none = operator.set_log_level(level("debug")).await.unwrap_err();
    assert_eq!(none.code(), Code::FailedPrecondition);
    let none = operator.get_log_level(GetLogLevelRequest {}).await.unwrap_err();
    assert_eq!(none.code(), Code::FailedPrecondition);
}
