//! Any bytes, given to the decoder.

use swim_core::{Config, Init, Instant, Labels, Node, Output, wire};

/// Decodes the bytes and gives a member what they say.
///
/// # Panics
///
/// When that is not what it should be.
pub fn check(bytes: &[u8]) {
    let Ok(wire::Decoded { message, dropped_changes }) = wire::decode(bytes) else {
        return;
    };
    // A change that is read or dropped takes at least a tag and a length.
    assert!(message.body.changes().len() + dropped_changes <= bytes.len() / 2);
    let encoded = wire::encode(&message);
    assert_eq!(encoded.len(), wire::encoded_len(&message));
    let again = wire::decode(&encoded).expect("what was read can be written and read");
    assert_eq!((&again.message, again.dropped_changes), (&message, 0));

    let mut node = member();
    node.handle_malformed(Instant::ZERO, dropped_changes);
    node.handle_message(Instant::ZERO, message);
    node.check_invariants();
    while let Some(output) = node.poll_output() {
        if let Output::Transmit(transmit) = output {
            let bytes = wire::encode(&transmit.message);
            let decoded = wire::decode(&bytes).expect("what a member sends can be read");
            assert_eq!(decoded.message, transmit.message);
        }
    }
}

/// A member on its own, of the application "app" as in the corpus.
fn member() -> Node {
    let init = Init {
        app: "app".into(),
        address: "a:1".parse().expect("this is an address"),
        identity: None,
        labels: Labels::default(),
        seed: 1,
        now: Instant::ZERO,
        unix_ms: 1,
    };
    let mut node = Node::new(Config::lan(), init).expect("nothing is out of bounds");
    node.join(Instant::ZERO, Vec::new()).expect("it has not joined yet");
    node
}
