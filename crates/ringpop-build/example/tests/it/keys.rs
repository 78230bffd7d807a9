//! The accessor of a message and the server's scan of its encoded form find the same key.

use std::sync::{Arc, Mutex};

use ringpop_build_example::kinds::kinds_client::KindsClient;
use ringpop_build_example::kinds::kinds_server::{Kinds, KindsServer};
use ringpop_build_example::kinds::{
    Fixed, FixedLong, KINDS_ROUTES, Maybe, Raw, Signed, SignedLong, Text, Two, ZigZag, ZigZagLong,
    outer,
};
use ringpop_build_example::notes::{AppendRequest, NOTES_ROUTES, Note, ReadRequest};
use ringpop_forward::{
    ForwardService, Forwarder, MethodRoute, MissingKey, Owner, Routes, RoutingKey, StaticResolver,
};
use tonic::Code;

/// A service of which only the keys of its calls are looked at.
struct Deaf;

impl Kinds for Deaf {}

/// The keys that were asked for.
type Asked = Arc<Mutex<Vec<Vec<u8>>>>;

/// The keys that were asked for, and a client that makes a forwarder ask.
fn listen() -> (Asked, KindsClient<ForwardService<KindsServer<Deaf>>>) {
    let asked = Asked::default();
    let heard = Arc::clone(&asked);
    let resolver = StaticResolver::from_fn(move |key, _, owners| {
        heard.lock().unwrap().push(key.to_vec());
        owners.push(Owner::Local);
    });
    let forwarder = Forwarder::builder(resolver)
        .routes(Routes::new().table(KINDS_ROUTES))
        .missing_key(MissingKey::Local)
        .build()
        .unwrap();
    (asked, KindsClient::new(forwarder.client(KindsServer::new(Deaf))))
}

/// Calls `$method` with each message, and compares the key that was looked up with the accessor's
/// and the expected one.
macro_rules! same_key {
    ($($method:ident($message:expr) = $expected:expr;)*) => {$(
        let (asked, mut client) = listen();
        let message = $message;
        let expected: Option<&[u8]> = $expected;
        let accessed = message.routing_key();
        assert_eq!(accessed.as_ref().map(|key| key.as_bytes()), expected, "{message:?}");
        let status = client.$method(message.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
        let asked = asked.lock().unwrap().clone();
        assert_eq!(asked.first().map(Vec::as_slice), expected, "{message:?}");
    )*};
}

#[tokio::test]
async fn accessors_agree_with_the_server() {
    same_key! {
        text(Text { key: "k".into() }) = Some(b"k");
        text(Text { key: String::new() }) = None;
        raw(Raw { key: vec![0, 255] }) = Some(&[0, 255]);
        signed(Signed { key: -1 }) = Some(b"18446744073709551615");
        signed(Signed { key: 42 }) = Some(b"42");
        signed(Signed { key: 0 }) = None;
        signed_long(SignedLong { key: i64::MIN }) = Some(b"9223372036854775808");
        zig_zag(ZigZag { key: -1 }) = Some(b"1");
        zig_zag(ZigZag { key: i32::MIN }) = Some(b"4294967295");
        zig_zag_long(ZigZagLong { key: i64::MIN }) = Some(b"18446744073709551615");
        fixed(Fixed { key: -1 }) = Some(b"4294967295");
        fixed_long(FixedLong { key: u64::MAX }) = Some(b"18446744073709551615");
        maybe(Maybe { key: Some(0) }) = Some(b"0");
        maybe(Maybe { key: None }) = None;
        keyword(outer::Type { r#match: "m".into() }) = Some(b"m");
        by_option(Two { first: "f".into(), second: Some(Text { key: "s".into() }) }) = Some(b"s");
        by_option(Two { first: "f".into(), second: None }) = None;
    }
}

#[test]
fn the_tables_say_what_the_schemas_say() {
    let expected = [
        MethodRoute::field("/notes.v1.Notes/Read", &[1]).unary().idempotent(),
        MethodRoute::field("/notes.v1.Notes/Append", &[2, 2]).unary(),
    ];
    assert_eq!(NOTES_ROUTES, expected);
    let by_header = MethodRoute::header("/kinds.v1.Kinds/ByHeader").idempotent();
    assert!(KINDS_ROUTES.contains(&by_header));
    let note = Note { text: String::new(), author: "ada".into() };
    let append = AppendRequest { note: Some(note.clone()) };
    let read = ReadRequest { author: "ada".into() };
    let keys = [note.routing_key(), append.routing_key(), read.routing_key()];
    assert_eq!(keys, [Some("ada".into()), Some("ada".into()), Some("ada".into())]);
}
