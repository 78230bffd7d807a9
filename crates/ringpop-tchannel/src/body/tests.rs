//! Bodies as other implementations send them, and our own on the way out and in
//! again.

use proptest::prelude::*;
use swim_core::{Body, Change, Labels, Member, Message, Refusal, Source, Status};

use super::*;

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn app() -> Arc<str> {
    "ringpop".into()
}

fn message(body: Body) -> Message {
    Message { app: app(), from: address("10.0.0.1:3000"), from_incarnation: 5, seq: 9, body }
}

fn change(status: Status) -> Change {
    let labels = Labels::new([("zone", "a")]).unwrap();
    let member = Member::new(address("10.0.0.2:3000"), status, 1337, labels);
    let source = Some(Source { address: address("10.0.0.3:3000"), incarnation: 7 });
    Change { member, source }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn envelope() -> Envelope {
    Envelope { app: app(), from: address("10.0.0.1:3000"), seq: 9 }
}

fn reply(request: &Body, body: &str) -> Read {
    read_reply(request, body.as_bytes(), envelope(), 77).unwrap()
}

const JOIN: Body = Body::Join { cursor: None, nonce: 0 };
const PING: Body = Body::Ping { checksum: 0, changes: Vec::new() };

#[test]
fn a_join_of_ringpop_go_is_read() {
    let body = br#"{"app":"ringpop","source":"127.0.0.1:21991","incarnationNumber":1795330392976,"timeout":1000000000,"labels":null}"#;
    let read = read_request(Endpoint::Join, body, &app(), 3).unwrap();
    let from = address("127.0.0.1:21991");
    let expected =
        Message { app: app(), from, from_incarnation: 1_795_330_392_976, seq: 3, body: JOIN };
    assert_eq!(read.message, expected);
}

/// ringpop-node gives each change an id, ringpop-go a time even where it has
/// none.
#[test]
fn what_is_not_known_in_a_ping_is_passed_over() {
    let body = br#"{"checksum":3012345678,"source":"10.0.0.1:3000","sourceIncarnationNumber":5,"app":"","changes":[
        {"id":"c0ffee","source":"10.0.0.3:3000","sourceIncarnationNumber":7,"address":"10.0.0.2:3000","incarnationNumber":1337,
         "status":"faulty","tombstone":true,"labels":{"zone":"a"},"timestamp":-62135596800}]}"#;
    let read = read_request(Endpoint::Ping, body, &app(), 9).unwrap();
    let changes = vec![change(Status::Tombstone)];
    assert_eq!(read.message, message(Body::Ping { checksum: 3_012_345_678, changes }));
    assert_eq!(read.dropped, 0);
    let old = br#"{"checksum":1,"source":"10.0.0.1:3000","changes":[]}"#;
    let read = read_request(Endpoint::Ping, old, &app(), 9).unwrap();
    assert_eq!(read.message.from_incarnation, 0, "its first versions left it out");
}

#[test]
fn a_source_that_is_empty_is_none() {
    let body = br#"{"checksum":1,"source":"10.0.0.1:3000","changes":[
        {"source":"","sourceIncarnationNumber":0,"address":"10.0.0.2:3000","incarnationNumber":1337,"status":"suspect"}]}"#;
    let read = read_request(Endpoint::Ping, body, &app(), 9).unwrap();
    let Body::Ping { changes, .. } = read.message.body else { panic!() };
    assert_eq!(changes[0].source, None);
}

#[test]
fn a_request_is_written_as_its_schema_wants_it() {
    let changes = vec![change(Status::Tombstone)];
    let (endpoint, body) = write_request(&message(Body::Ping { checksum: 4, changes })).unwrap();
    assert_eq!(endpoint, Endpoint::Ping);
    let expected = concat!(
        r#"{"checksum":4,"changes":[{"address":"10.0.0.2:3000","status":"faulty","incarnationNumber":1337,"#,
        r#""source":"10.0.0.3:3000","sourceIncarnationNumber":7,"tombstone":true,"labels":{"zone":"a"}}],"#,
        r#""source":"10.0.0.1:3000","sourceIncarnationNumber":5,"app":"ringpop"}"#,
    );
    assert_eq!(text(&body), expected);
    let body = Body::PingReq { target: address("a:1"), checksum: 4, changes: Vec::new() };
    let (endpoint, body) = write_request(&message(body)).unwrap();
    assert_eq!(endpoint, Endpoint::PingReq);
    let expected = concat!(
        r#"{"checksum":4,"changes":[],"source":"10.0.0.1:3000","sourceIncarnationNumber":5,"#,
        r#""target":"a:1"}"#,
    );
    assert_eq!(text(&body), expected);
    let (endpoint, body) = write_request(&message(JOIN)).unwrap();
    assert_eq!(endpoint, Endpoint::Join);
    let expected = r#"{"app":"ringpop","source":"10.0.0.1:3000","incarnationNumber":5}"#;
    assert_eq!(text(&body), expected);
}

#[test]
fn answers_of_both_implementations_are_read() {
    let of_node = reply(&PING, r#"{"changes":[]}"#);
    assert_eq!(of_node.message.body, Body::Ack { checksum: 77, changes: Vec::new() });
    let of_go = reply(
        &PING,
        r#"{"checksum":5,"changes":[],"source":"x:1","sourceIncarnationNumber":3,"app":""}"#,
    );
    assert_eq!(of_go.message.body, Body::Ack { checksum: 5, changes: Vec::new() });
    assert_eq!(of_go.message.from, address("10.0.0.1:3000"), "who was asked, whatever it says");
    let target = address("a:1");
    let request = Body::PingReq { target: target.clone(), checksum: 0, changes: Vec::new() };
    for (status, reached) in [("true", true), ("false", false)] {
        let body = format!(r#"{{"changes":[],"pingStatus":{status},"target":"a:1"}}"#);
        let (target, changes) = (target.clone(), Vec::new());
        let expected = Body::PingReqAck { target, reached, pending: false, changes };
        assert_eq!(reply(&request, &body).message.body, expected);
    }
}

#[test]
fn a_list_of_another_application_is_a_refusal() {
    let body = r#"{"app":"other","coordinator":"x:1","membership":[],"membershipChecksum":1}"#;
    let Message { app, body, .. } = reply(&JOIN, body).message;
    assert_eq!((&*app, body), ("other", Body::Refused { reason: Refusal::AppMismatch }));
}

#[test]
fn refusals_are_known_by_the_words_of_all_implementations() {
    let words = [
        (
            r#"{"type":"error","message":"Pinged ringpop has a different app name"}"#,
            Refusal::AppMismatch,
        ),
        ("A node tried joining a different app cluster.", Refusal::AppMismatch),
        ("node is not ready to handle requests", Refusal::NotReady),
        ("A node tried joining a cluster by attempting to join itself.", Refusal::SelfAddress),
        ("{}", Refusal::Invalid),
    ];
    for (body, reason) in words {
        let refused = read_refusal(body.as_bytes(), envelope());
        assert_eq!(refused.body, Body::Refused { reason }, "{body}");
    }
    for reason in [Refusal::AppMismatch, Refusal::NotReady, Refusal::SelfAddress] {
        let body = write_reply(&message(Body::Refused { reason })).unwrap_err();
        assert_eq!(read_refusal(&body, envelope()).body, Body::Refused { reason });
    }
}

#[test]
fn a_list_that_is_too_long_for_a_message_leaves_a_rest() {
    let entries: Vec<String> = (0..5000)
        .map(|i| format!(r#"{{"address":"h:{i}","status":"alive","incarnationNumber":1}}"#))
        .collect();
    let body = format!(
        r#"{{"app":"ringpop","coordinator":"x:1","membership":[{}],"membershipChecksum":1}}"#,
        entries.join(",")
    );
    let read = reply(&JOIN, &body);
    let Body::JoinAck { changes, next: None, .. } = read.message.body else { panic!() };
    assert_eq!((changes.len(), read.rest.len(), read.dropped), (4096, 904, 0));
    assert_eq!(read.rest[0].member.address, address("h:4096"));
}

/// The schema wants a source for each entry of a list; the machine names none
/// where it is the sender.
#[test]
fn what_an_answer_says_without_a_source_is_its_senders() {
    let own = Change { source: None, ..change(Status::Alive) };
    let by_sender = Some(Source { address: address("10.0.0.1:3000"), incarnation: 5 });
    let body = Body::JoinAck { checksum: 1, changes: vec![own.clone()], next: None };
    let written = write_reply(&message(body)).unwrap();
    let Body::JoinAck { changes, .. } = reply(&JOIN, &text(&written)).message.body else {
        panic!()
    };
    assert_eq!(changes, [Change { source: by_sender, ..own.clone() }]);
    // In a request it is left open.
    let body = Body::Ping { checksum: 1, changes: vec![own] };
    let (_, written) = write_request(&message(body)).unwrap();
    let read = read_request(Endpoint::Ping, &written, &app(), 9).unwrap();
    let Body::Ping { changes, .. } = read.message.body else { panic!() };
    assert_eq!(changes[0].source, None);
}

fn any_change() -> impl Strategy<Value = Change> {
    let status = prop::sample::select(&Status::ALL[..]);
    let labels = prop::collection::btree_map("[a-z\"\\\\é]{1,9}", "\\PC{0,20}", 0..4);
    let source = prop::option::of(("[a-z]{1,9}:[0-9]{1,5}", 0..1_u64 << 53));
    ("[a-z]{1,9}:[0-9]{1,5}", status, 0..1_u64 << 53, labels, source).prop_map(
        |(at, status, incarnation, labels, source)| Change {
            member: Member::new(address(&at), status, incarnation, Labels::new(labels).unwrap()),
            source: source.map(|(at, incarnation)| Source { address: address(&at), incarnation }),
        },
    )
}

proptest! {
    #[test]
    fn requests_survive_the_way_out_and_in(
        changes in prop::collection::vec(any_change(), 0..8),
        checksum: u32,
        ping: bool,
    ) {
        let checksum = checksum.into();
        let body = if ping {
            Body::Ping { checksum, changes }
        } else {
            Body::PingReq { target: address("a:1"), checksum, changes }
        };
        let message = message(body);
        let (endpoint, body) = write_request(&message).unwrap();
        let read = read_request(endpoint, &body, &app(), 9).unwrap();
        prop_assert_eq!(read, Read { message, dropped: 0, rest: Vec::new() });
    }

    #[test]
    fn answers_survive_the_way_out_and_in(
        changes in prop::collection::vec(any_change(), 0..8),
        checksum: u32,
        kind in 0..3_usize,
    ) {
        let named = |mut change: Change| {
            let source = Source { address: address("a:9"), incarnation: 1 };
            change.source.get_or_insert(source);
            change
        };
        let changes: Vec<Change> = changes.into_iter().map(named).collect();
        let (checksum, target) = (checksum.into(), address("a:1"));
        let (request, body) = match kind {
            0 => (PING, Body::Ack { checksum, changes }),
            1 => (JOIN, Body::JoinAck { checksum, changes, next: None }),
            _ => {
                let request =
                    Body::PingReq { target: target.clone(), checksum, changes: Vec::new() };
                (request, Body::PingReqAck { target, reached: true, pending: false, changes })
            }
        };
        let written = write_reply(&message(body.clone())).unwrap();
        let read = read_reply(&request, &written, envelope(), 0).unwrap();
        prop_assert_eq!((read.message.body, read.dropped), (body, 0));
    }

    #[test]
    fn no_text_breaks_the_reader(body in "\\PC*") {
        for endpoint in [Endpoint::Join, Endpoint::Ping, Endpoint::PingReq] {
            let _ = read_request(endpoint, body.as_bytes(), &app(), 1);
        }
        for request in [JOIN, PING] {
            let _ = read_reply(&request, body.as_bytes(), envelope(), 1);
        }
        let _ = read_refusal(body.as_bytes(), envelope());
    }
}
