//! Any JSON, given to its reader and to a member.

use std::sync::Arc;

use ringpop_tchannel::ChecksumForm;
use ringpop_tchannel::body::{
    Endpoint, Envelope, Read, read_refusal, read_reply, read_request, write_reply, write_request,
};
use swim_core::{Address, Body, Config, Init, Instant, Labels, Node, Output};

/// Reads the bytes as the body that their first one chooses. `None` when they
/// are refused, otherwise which it was.
///
/// # Panics
///
/// When that is not what it should be.
pub fn check(bytes: &[u8]) -> Option<u8> {
    let (kind, body) = bytes.split_first()?;
    let kind = kind % 7;
    let read = match kind {
        0..=2 => {
            let endpoint = [Endpoint::Join, Endpoint::Ping, Endpoint::PingReq][usize::from(kind)];
            let read = read_request(endpoint, body, &app(), 1).ok()?;
            assert!(read.rest.is_empty());
            let (again, written) = write_request(&read.message).expect("it is a request");
            assert_eq!(again, endpoint);
            let again = read_request(endpoint, &written, &app(), 1).expect("it can be read again");
            // A ping-req names no application, whatever was read.
            if endpoint != Endpoint::PingReq {
                assert_eq!(again.message, read.message);
            }
            assert_eq!(again.dropped, 0);
            read
        }
        3..=5 => {
            let request = request(kind);
            let read = read_reply(&request, body, envelope(), 7).ok()?;
            if let Ok(written) = write_reply(&read.message) {
                let again = read_reply(&request, &written, envelope(), 7);
                let again = again.expect("it can be read again");
                // A change that named no source gets one the first time that it is written.
                assert_eq!(write_reply(&again.message).as_ref(), Ok(&written));
            }
            read
        }
        _ => Read { message: read_refusal(body, envelope()), dropped: 0, rest: Vec::new() },
    };
    assert!(read.dropped <= body.len(), "nothing is dropped that was not there");
    give(read);
    Some(kind)
}

/// A member takes it, and what it says to that can be written.
fn give(read: Read) {
    let mut node = member();
    node.handle_malformed(Instant::ZERO, read.dropped);
    node.handle_message(Instant::ZERO, read.message);
    node.check_invariants();
    while let Some(output) = node.poll_output() {
        if let Output::Transmit(transmit) = output {
            if transmit.message.is_reply() {
                // Either serves or refuses, but has a body.
                let (Ok(body) | Err(body)) = write_reply(&transmit.message);
                assert!(!body.is_empty());
            } else {
                write_request(&transmit.message).expect("Ringpop has this request");
            }
        }
    }
}

fn request(kind: u8) -> Body {
    let (checksum, changes) = (1, Vec::new());
    match kind {
        3 => Body::Join { cursor: None, nonce: 0 },
        4 => Body::Ping { checksum, changes },
        _ => Body::PingReq { target: address("a:2"), checksum, changes },
    }
}

fn app() -> Arc<str> {
    "ringpop".into()
}

fn address(text: &str) -> Address {
    text.parse().expect("this is an address")
}

fn envelope() -> Envelope {
    Envelope { app: app(), from: address("a:2"), seq: 1 }
}

/// A member on its own.
fn member() -> Node {
    let init = Init {
        app: app(),
        address: address("a:1"),
        identity: None,
        labels: Labels::default(),
        seed: 1,
        now: Instant::ZERO,
        unix_ms: 1,
    };
    let dialect = Arc::new(ChecksumForm::Go);
    let mut node =
        Node::with_dialect(Config::ringpop(), dialect, init).expect("nothing is out of bounds");
    node.join(Instant::ZERO, Vec::new()).expect("it has not joined yet");
    node
}
