//! Malformed, foreign or excessive input: refused with the right answer, counted, and nothing else
//! changes.

use std::time::Duration;

use crate::support::{Answer, Client, ask, request, until};
use bytes::Bytes;
use ringpop_tchannel::frame::{CallRequest, ChecksumKind, ErrorCode, Frame, Init, Kind, NO_ID};
use ringpop_tchannel::limits::MESSAGE_BYTES_MAX;
use ringpop_tchannel::{Bridge, View};
use serde_json::{Value, json};

const JOIN: &str = "/protocol/join";
const PING: &str = "/protocol/ping";

/// A member of a cluster of its own.
async fn alone() -> Bridge {
    let bridge = Bridge::builder("ringpop").bind().await.unwrap();
    bridge.bootstrap().await.unwrap();
    bridge
}

fn address(bridge: &Bridge) -> &str {
    bridge.whoami()
}

async fn client(bridge: &Bridge) -> Client {
    Client::connect(address(bridge)).await.unwrap()
}

fn ping(changes: &[Value]) -> Value {
    json!({
        "app": "ringpop",
        "source": "127.0.0.1:9",
        "sourceIncarnationNumber": 7,
        "checksum": 1,
        "changes": changes,
    })
}

fn change(address: &str, status: &str) -> Value {
    json!({ "address": address, "status": status, "incarnationNumber": 1 })
}

/// Whether it still knows nobody but itself, and answers.
async fn assert_unharmed(bridge: &Bridge, client: &mut Client) {
    assert_eq!(client.call("/health", "").await.unwrap(), Answer::Ok("\"ok\"".into()));
    assert_eq!(bridge.view().members.len(), 1);
}

#[tokio::test]
async fn another_application_is_refused_at_every_endpoint_that_names_one() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    let join = json!({ "app": "other", "source": "127.0.0.1:9", "incarnationNumber": 1 });
    let mut foreign = ping(&[change("127.0.0.1:8", "alive")]);
    foreign["app"] = json!("other");
    for (endpoint, body) in [(JOIN, join), (PING, foreign)] {
        let answer = client.call(endpoint, &body.to_string()).await.unwrap();
        assert!(answer.refusal().contains("different app"), "{answer:?}");
    }
    assert_eq!(bridge.membership_stats().await.rejected_app, 2);
    assert_unharmed(&bridge, &mut client).await;
}

#[tokio::test]
async fn its_own_address_is_refused() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    let join = json!({ "app": "ringpop", "source": address(&bridge), "incarnationNumber": 1 });
    let answer = client.call(JOIN, &join.to_string()).await.unwrap();
    assert!(answer.refusal().contains("join itself"), "{answer:?}");
    assert_unharmed(&bridge, &mut client).await;
}

#[tokio::test]
async fn who_has_not_joined_answers_joins_and_refuses_pings() {
    let bridge = Bridge::builder("ringpop").bind().await.unwrap();
    let mut client = client(&bridge).await;
    let answer = client.call(PING, &ping(&[]).to_string()).await.unwrap();
    assert!(answer.refusal().contains("not ready"), "{answer:?}");
    let join = json!({ "app": "ringpop", "source": "127.0.0.1:9", "incarnationNumber": 1 });
    let answer = client.call(JOIN, &join.to_string()).await.unwrap().json();
    assert_eq!(answer["membership"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn unknown_services_and_endpoints_are_bad_requests() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    for (service, endpoint) in [("ringpop", "/protocol/damp-req"), ("ringpop", ""), ("other", PING)]
    {
        let answer = client.call_service(service, endpoint, Vec::new()).await.unwrap();
        assert_eq!(answer.frame().code, ErrorCode::BadRequest, "{service} {endpoint}");
    }
    assert_eq!(bridge.transport_stats().refused_unknown, 3);
    assert_unharmed(&bridge, &mut client).await;
}

#[tokio::test]
async fn bodies_that_are_none_are_bad_requests() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    let bodies: [&[u8]; 9] = [
        b"",
        b"null",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{\"source\":\"127.0.0.1:9\",\"checksum\":1}",
        b"{\"source\":\"\",\"checksum\":1,\"changes\":[],\"target\":\"a:1\"}",
        b"{\"source\":\"127.0.0.1:9\",\"checksum\":-1,\"changes\":[],\"target\":\"a:1\"}",
        b"{\"source\":\"127.0.0.1:9\",\"checksum\":1,\"changes\":7,\"target\":\"a:1\"}",
    ];
    for endpoint in [JOIN, PING, "/protocol/ping-req"] {
        for body in bodies {
            let answer = client.call_service("ringpop", endpoint, body.to_vec()).await.unwrap();
            assert_eq!(answer.frame().code, ErrorCode::BadRequest, "{endpoint} {body:?}");
        }
    }
    assert_eq!(bridge.transport_stats().malformed_bodies, 27);
    assert_eq!(bridge.membership_stats().await.rejected_invalid, 27);
    let nested = "[".repeat(100_000);
    let answer = client.call(PING, &nested).await.unwrap();
    assert_eq!(answer.frame().code, ErrorCode::BadRequest, "nested too deep");
    let answer = client.call("/admin/lookup", "{}").await.unwrap();
    assert_eq!(answer.frame().code, ErrorCode::BadRequest, "no key");
    assert_unharmed(&bridge, &mut client).await;
}

/// One change that cannot be read does not take the others with it.
#[tokio::test]
async fn changes_that_cannot_be_read_are_left_out_and_counted() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    let mut beyond = change("127.0.0.1:5", "alive");
    beyond["incarnationNumber"] = json!(u64::MAX);
    let mut many = change("127.0.0.1:6", "faulty");
    many["labels"] =
        (0..100).map(|i| (i.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    let changes = [
        change("127.0.0.1:1", "damped"),
        change("127.0.0.1 :2", "alive"),
        json!({ "address": "127.0.0.1:3", "status": "alive", "incarnationNumber": -1 }),
        json!({ "address": "127.0.0.1:4", "status": "alive", "incarnationNumber": 1.5e3 }),
        json!("no object"),
        beyond,
        many,
        change("127.0.0.1:7", "alive"),
    ];
    client.call(PING, &ping(&changes).to_string()).await.unwrap().json();
    let view = bridge.view();
    let known = |view: &View| -> Vec<String> {
        let members = view.members.iter().map(|member| member.address.to_string());
        members.filter(|known| known != address(&bridge)).collect()
    };
    assert_eq!(known(&view), ["127.0.0.1:6", "127.0.0.1:7"]);
    let faulty = view.member("127.0.0.1:6").unwrap();
    assert_eq!(faulty.status.as_str(), "faulty", "too many labels do not hide a failure");
    assert!(faulty.labels.is_empty());
    // Five that cannot be read and labels beyond bounds; an incarnation beyond bounds is a wrong
    // clock.
    let stats = bridge.membership_stats().await;
    assert_eq!((stats.rejected_invalid, stats.rejected_clock), (6, 1));
}

#[tokio::test]
async fn more_changes_than_a_message_may_carry_are_cut_and_counted() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    let changes: Vec<Value> =
        (0..5000).map(|i| change(&format!("10.0.{}.{}:1", i / 250, i % 250), "faulty")).collect();
    // Far more than one frame.
    client.checksum = ChecksumKind::Crc32;
    client.call(PING, &ping(&changes).to_string()).await.unwrap().json();
    assert_eq!(bridge.view().members.len(), 4097);
    assert_eq!(bridge.membership_stats().await.rejected_invalid, 904);
}

#[tokio::test]
async fn frames_that_are_cut_or_twisted_are_bad_requests() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    let (call, args) = request("ringpop", "/health", Vec::new());
    let whole = call.encode(77, &args, ChecksumKind::Crc32c).remove(0);
    let mut refused = 0;
    for cut in 16..whole.len() {
        let mut part = whole[..cut].to_vec();
        part[..2].copy_from_slice(&(cut as u16).to_be_bytes());
        client.send(&part).await.unwrap();
        let answer = client.answer(77).await.unwrap();
        assert_eq!(answer.frame().code, ErrorCode::BadRequest, "cut at {cut}");
        refused += 1;
    }
    let mut twisted = whole.to_vec();
    let arg1 = twisted.windows(7).position(|part| part == b"/health").unwrap();
    twisted[arg1] ^= 1;
    client.send(&twisted).await.unwrap();
    assert_eq!(client.answer(77).await.unwrap().frame().message, "checksum is wrong");
    let no_time = CallRequest { ttl_ms: 0, ..call };
    client.send(&no_time.encode(78, &args, ChecksumKind::None)[0]).await.unwrap();
    assert_eq!(client.answer(78).await.unwrap().frame().code, ErrorCode::BadRequest);
    assert_eq!(bridge.transport_stats().refused_malformed, refused + 2);
    assert_unharmed(&bridge, &mut client).await;
}

#[tokio::test]
async fn frames_out_of_place_are_passed_over() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    let kinds = [
        Kind::InitRequest,
        Kind::InitResponse,
        Kind::CallRequestContinue,
        Kind::CallResponse,
        Kind::CallResponseContinue,
        Kind::Cancel,
        Kind::Claim,
        Kind::PingResponse,
        Kind::Error,
        Kind::Unknown(0x42),
    ];
    for kind in kinds {
        let garbage = Frame { kind, id: 9, body: Bytes::from_static(&[7; 40]) };
        client.send(&garbage.encode()).await.unwrap();
    }
    client.send(&Frame::empty(Kind::PingRequest, 10).encode()).await.unwrap();
    let answer = client.next_frame().await.unwrap().unwrap();
    assert_eq!((answer.kind, answer.id), (Kind::PingResponse, 10));
    assert_eq!(bridge.transport_stats().malformed_frames, 3);
    assert_unharmed(&bridge, &mut client).await;
}

/// Where the next frame begins is unknown then.
#[tokio::test]
async fn a_size_that_cannot_be_ends_the_connection_and_no_other() {
    let bridge = alone().await;
    let (mut one, mut other) = (client(&bridge).await, client(&bridge).await);
    one.send(&[0, 15, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let error = one.answer(NO_ID).await.unwrap();
    assert_eq!(error.frame().code, ErrorCode::Fatal);
    assert_eq!(one.next_frame().await.unwrap(), None);
    assert_unharmed(&bridge, &mut other).await;
}

#[tokio::test]
async fn introductions_that_are_none_are_fatal() {
    let bridge = alone().await;
    let init =
        Init { version: 2, host_port: "0.0.0.0:0".to_owned(), process_name: "client".to_owned() };
    let mut old = init.encode(Kind::InitRequest, 1);
    let mut body = old.body.to_vec();
    body[1] = 1;
    old.body = body.into();
    let nameless = Frame { body: Bytes::from_static(&[0, 2, 0, 0]), ..old.clone() };
    let other_kind = init.encode(Kind::InitResponse, 1);
    let web = Bytes::from_static(b"\x00\x0cGET / HTTP/1.1\r\n\r\n");
    for first in [old.encode(), nameless.encode(), other_kind.encode(), web] {
        let mut client = Client::open(address(&bridge)).await.unwrap();
        client.send(&first).await.unwrap();
        assert_eq!(client.answer(NO_ID).await.unwrap().frame().code, ErrorCode::Fatal);
        assert_eq!(client.next_frame().await.unwrap(), None, "the connection is over");
    }
    // Nobody waits for a silent peer.
    let mut silent = Client::open(address(&bridge)).await.unwrap();
    assert_eq!(silent.next_frame().await.unwrap(), None);
    assert_eq!(bridge.transport_stats().failed_introductions, 5);
    let mut other = client(&bridge).await;
    assert_unharmed(&bridge, &mut other).await;
}

#[tokio::test]
async fn arguments_that_are_too_long_are_refused_on_the_way() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    let answer = client.call_service("ringpop", PING, vec![b' '; MESSAGE_BYTES_MAX]).await.unwrap();
    assert_eq!(answer.frame().message, "arguments are too long");
    assert_unharmed(&bridge, &mut client).await;
}

/// Calls that begin and do not end take memory; there is a bound for each
/// connection.
#[tokio::test]
async fn calls_that_never_end_are_bounded() {
    let bridge = alone().await;
    let mut client = client(&bridge).await;
    let (call, args) = request("ringpop", PING, vec![b' '; 100_000]);
    for id in 100..140 {
        let first = call.encode(id, &args, ChecksumKind::None).remove(0);
        client.send(&first).await.unwrap();
    }
    assert_eq!(client.answer(116).await.unwrap().frame().code, ErrorCode::Busy);
    assert_unharmed(&bridge, &mut client).await;
    // Those that had begun can still end.
    let last = call.encode(100, &args, ChecksumKind::None).remove(1);
    client.send(&last).await.unwrap();
    assert_eq!(client.answer(100).await.unwrap().frame().code, ErrorCode::BadRequest);
    assert_eq!(bridge.transport_stats().refused_busy, 24);
}

/// Bytes of no kind at all, on many connections, before and after an
/// introduction.
#[tokio::test]
async fn garbage_on_many_connections_harms_nobody() {
    let bridge = alone().await;
    let mut other = client(&bridge).await;
    let mut random = fastrand::Rng::with_seed(7);
    for i in 0..300 {
        let mut garbage = vec![0; random.usize(1..5000)];
        random.fill(&mut garbage);
        let mut client = if i % 2 == 0 {
            client(&bridge).await
        } else {
            Client::open(address(&bridge)).await.unwrap()
        };
        // The member may close the connection at any time.
        let _ = client.send(&garbage).await;
    }
    assert_unharmed(&bridge, &mut other).await;
}

/// In a process of its own: the descriptors of both ends suffice where a process has 1,024.
#[cfg(unix)]
#[tokio::test]
async fn ten_thousand_connections_leave_those_that_are_there_alone() {
    const MANY: usize = 10_000;
    let directory = tempfile::TempDir::new().unwrap();
    let addresses = crate::support::free_addresses(1);
    let hosts = crate::support::hosts_file(directory.path(), &addresses);
    let at = &addresses[0];
    let _process = crate::support::Process::testpop(at, &hosts, &[]);
    until("it answers", Duration::from_secs(20), || async {
        ask(at, "/health", "").await.is_some()
    })
    .await;
    let mut friend = Client::connect(at).await.unwrap();
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..MANY {
        match Client::connect(at).await {
            Ok(client) => held.push(client),
            Err(_) => refused += 1,
        }
    }
    assert!(held.len() < 512 && refused > MANY - 512, "{} served, {refused} refused", held.len());
    let mut late = Client::open(at).await.unwrap();
    assert_eq!(late.answer(NO_ID).await.unwrap().frame().code, ErrorCode::Busy);
    assert_eq!(friend.call("/health", "").await.unwrap(), Answer::Ok("\"ok\"".into()));
    // Room again when they are gone.
    held.clear();
    until("a newcomer is served", Duration::from_secs(20), || async {
        ask(at, "/health", "").await.is_some()
    })
    .await;
}
