use proptest::prelude::*;
use prost::Message;

use super::*;

#[derive(Clone, PartialEq, Message)]
struct Outer {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    count: u64,
    #[prost(fixed32, tag = "3")]
    small: u32,
    #[prost(message, optional, tag = "4")]
    inner: Option<Inner>,
    #[prost(fixed64, tag = "5")]
    large: u64,
    #[prost(bytes = "vec", tag = "600")]
    payload: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Inner {
    #[prost(bytes = "vec", tag = "3")]
    id: Vec<u8>,
}

fn key(key: &str) -> Result<Option<Value<'_>>, PeekError> {
    Ok(Some(Value::Bytes(key.as_bytes())))
}

#[test]
fn the_last_occurrence_counts_and_embedded_messages_merge() {
    let mut twice = Outer { name: "first".into(), ..Default::default() }.encode_to_vec();
    twice.extend(Outer { name: "last".into(), ..Default::default() }.encode_to_vec());
    assert_eq!(find(&twice, &[1], false), key("last"));

    let with = Outer { inner: Some(Inner { id: b"id".to_vec() }), ..Default::default() };
    let without = Outer { inner: Some(Inner::default()), ..Default::default() };
    let merged = [with.encode_to_vec(), without.encode_to_vec()].concat();
    assert_eq!(find(&merged, &[4, 3], false), key("id"));
}

#[test]
fn groups_are_skipped_and_must_nest() {
    // Field 7 is a group that holds a group 8 and a varint, then comes the key.
    let message = [0x3b, 0x43, 0x08, 0x01, 0x44, 0x3c, 0x0a, 0x01, b'k'];
    assert_eq!(find(&message, &[1], false), key("k"));
    assert_eq!(find(&[0x3b, 0x44], &[1], false), Err(PeekError::Group));
    assert_eq!(find(&[0x3c], &[1], false), Err(PeekError::Group));
    assert_eq!(find(&[0x3b; 200], &[1], false), Err(PeekError::Group));
}

#[test]
fn malformed_messages_are_errors_whichever_field_is_asked_for() {
    assert_eq!(find(&[0x80; 11], &[1], false), Err(PeekError::Varint));
    assert_eq!(find(&[0x00], &[1], false), Err(PeekError::FieldNumber));
    assert_eq!(find(&[0x0e], &[1], false), Err(PeekError::WireType));
    assert_eq!(find(&[0x0a, 0x05, b'k'], &[1], false), Err(PeekError::Truncated));
    assert_eq!(find(&[0x0a, 0x01, b'k', 0xff], &[1], false), Err(PeekError::Truncated));
    assert_eq!(find(&[0x08, 0x01], &[1, 2], false), Err(PeekError::NotAMessage(1)));
}

#[test]
fn a_cut_message_gives_the_key_that_lies_before_the_cut() {
    let inner = Some(Inner { id: b"id".to_vec() });
    let outer = Outer { name: "key".into(), inner, payload: vec![7; 1000], ..Default::default() };
    let bytes = outer.encode_to_vec();
    assert_eq!(find(&bytes[..100], &[1], true), key("key"));
    assert_eq!(find(&bytes[..100], &[4, 3], true), key("id"));
    assert_eq!(find(&bytes[..100], &[600], true), Ok(None));
    assert_eq!(find(&bytes[..3], &[1], true), Ok(None));
}

#[test]
fn a_cut_inside_the_embedded_message_still_finds_what_lies_before_it() {
    // Field 4 claims 100 bytes, of which the key in field 3 and the beginning of a payload are
    // there.
    let message = [0x22, 100, 0x1a, 1, b'k', 0x22, 90, 0];
    assert_eq!(find(&message, &[4, 3], true), key("k"));
    assert_eq!(find(&message, &[4, 3], false), Err(PeekError::Truncated));
}

#[test]
fn the_grpc_prefix_is_read_when_it_is_whole() {
    assert_eq!(Prefix::read(&[0, 0, 0, 1]), Ok(None));
    assert_eq!(Prefix::read(&[0, 0, 0, 1, 2, 9]), Ok(Some(Prefix { compressed: false, len: 258 })));
    assert_eq!(Prefix::read(&[1, 0, 0, 0, 0]), Ok(Some(Prefix { compressed: true, len: 0 })));
    assert_eq!(Prefix::read(&[2, 0, 0, 0, 0]), Err(PeekError::Flag));
}

prop_compose! {
    fn outer()(
        name in ".{0,20}", count: u64, small: u32, large: u64,
        id in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) -> Outer {
        Outer { name, count, small, inner: id.map(|id| Inner { id }), large, payload }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_full_decode(outer in outer()) {
        let bytes = outer.encode_to_vec();
        let peek = |path: &[u32]| find(&bytes, path, false).unwrap();
        let text = |value: Option<Value<'_>>| match value {
            Some(Value::Bytes(bytes)) => bytes.to_vec(),
            other => { assert_eq!(other, None); Vec::new() }
        };
        let number = |value: Option<Value<'_>>| match value {
            Some(Value::Number(number)) => number,
            other => { assert_eq!(other, None); 0 }
        };
        prop_assert_eq!(text(peek(&[1])), outer.name.into_bytes());
        prop_assert_eq!(number(peek(&[2])), outer.count);
        prop_assert_eq!(number(peek(&[3])), u64::from(outer.small));
        prop_assert_eq!(text(peek(&[4, 3])), outer.inner.map(|i| i.id).unwrap_or_default());
        prop_assert_eq!(number(peek(&[5])), outer.large);
        prop_assert_eq!(text(peek(&[600])), outer.payload);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut: bool) {
        let _ = find(&bytes, &[1], cut);
        let _ = find(&bytes, &[4, 3], cut);
        let _ = Prefix::read(&bytes);
    }
}
