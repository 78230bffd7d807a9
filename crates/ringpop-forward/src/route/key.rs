//! The routing key of a request and where it is read from.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;
use thiserror::Error;
use tonic::Status;
use tonic::metadata::{BinaryMetadataValue, MetadataMap};

use crate::limits::{KEY_BIN_HEADER, KEY_BYTES_INLINE, KEY_BYTES_MAX, KEY_HEADER, PEEK_BYTES_MAX};
use crate::route::peek::{PeekError, Value};

/// What decides which member owns a request: an opaque string of bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(SmallVec<[u8; KEY_BYTES_INLINE]>);

impl Key {
    /// The bytes that the resolver hashes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Stands for the key of a call that needs none.
    pub(crate) fn none() -> Self {
        Self(SmallVec::new())
    }

    /// The key that the field of a message is; a group is none.
    pub(crate) fn of_field(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes.into()),
            Value::Number(number) => Some(number.into()),
            Value::Group => None,
        }
    }
}

/// A message that knows its routing key. `ringpop-build` implements it for messages whose schema
/// names their key, and reads the very key that a server reads from the encoded message.
pub trait RoutingKey {
    /// The key, or `None` when the message has none: the field is absent, empty, or a number that
    /// is not sent because it is the default.
    fn routing_key(&self) -> Option<Key>;
}

/// A numeric key is its decimal digits, so `lookup(b"42")` on a ring names the same owner.
impl From<u64> for Key {
    fn from(number: u64) -> Self {
        const DIGITS_MAX: usize = 20;
        let mut digits = [0_u8; DIGITS_MAX];
        let mut start = DIGITS_MAX;
        let mut rest = number;
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return Self(SmallVec::from_slice(&digits[start..]));
            }
        }
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(SmallVec::from_vec(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(SmallVec::from_vec(bytes))
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(\"{}\")", self.0.escape_ascii())
    }
}

/// What happens to a request of a routed method that carries no key. An empty key counts as none,
/// because protobuf does not tell an empty string from an absent one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingKey {
    /// Answer INVALID_ARGUMENT. The default: a keyed method without a key is a mistake of the
    /// caller, and serving it wherever it arrives would scatter its state.
    #[default]
    Refuse,
    /// Handle it in the process that received it.
    Local,
}

/// Reads a key from the head of a request.
pub(crate) type HeadFn = Arc<dyn Fn(&Parts) -> Option<Key> + Send + Sync>;

/// Where the key of a method comes from. The key headers come first in every case: they are the way
/// out for callers whose messages are compressed or carry the key late.
#[derive(Clone)]
pub(crate) enum KeySource {
    Header,
    Head(HeadFn),
    Field(Box<[u32]>),
}

/// What the head of a request says about its key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadKey {
    Found(Key),
    InMessage,
    Missing,
}

impl HeadKey {
    /// The key, if the head has it.
    pub(crate) fn found(self) -> Option<Key> {
        match self {
            Self::Found(key) => Some(key),
            Self::InMessage | Self::Missing => None,
        }
    }
}

impl KeySource {
    pub(crate) fn read(&self, parts: &Parts) -> Result<HeadKey, KeyError> {
        if let Some(key) = from_headers(&parts.headers)? {
            return Ok(HeadKey::Found(key));
        }
        match self {
            Self::Header => Ok(HeadKey::Missing),
            Self::Head(key) => match key(parts) {
                Some(key) => Ok(checked(key)?.map_or(HeadKey::Missing, HeadKey::Found)),
                None => Ok(HeadKey::Missing),
            },
            Self::Field(_) => Ok(HeadKey::InMessage),
        }
    }

    /// Says in words where a key was looked for, so an error can tell the caller what to set.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Header => format!("set metadata {KEY_HEADER}"),
            Self::Head(_) => format!("the request head has none; set metadata {KEY_HEADER}"),
            Self::Field(path) => {
                let path: Vec<_> = path.iter().map(u32::to_string).collect();
                format!("set message field {} or metadata {KEY_HEADER}", path.join("."))
            }
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("Header"),
            Self::Head(_) => f.write_str("Head"),
            Self::Field(path) => f.debug_tuple("Field").field(path).finish(),
        }
    }
}

/// Why a request that should have a key cannot be routed. Each is the caller's to mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum KeyError {
    #[error("routing key is missing: {0}")]
    Missing(String),
    #[error("the key given to the client is empty; give it a key of at least one byte")]
    EmptyAtClient,
    #[error("routing key has {0} bytes, at most {KEY_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error("metadata {KEY_BIN_HEADER} is not base64")]
    NotBase64,
    #[error(
        "first message is compressed with {0}, so its key cannot be read; set metadata {KEY_HEADER} or send it plain"
    )]
    Compressed(String),
    #[error(
        "messages of gRPC-Web in base64 are not read for their key; put the layer of gRPC-Web outside of the forwarder, \
         or set metadata {KEY_HEADER}"
    )]
    Base64Message,
    #[cfg(feature = "gzip")]
    #[error("first message is not valid gzip")]
    BadGzip,
    #[error(
        "routing key is not within the first {PEEK_BYTES_MAX} bytes of the message; put its field first or set \
         metadata {KEY_HEADER}"
    )]
    TooFar,
    #[error("first message is not valid protobuf: {0}")]
    Malformed(#[from] PeekError),
}

impl From<KeyError> for Status {
    fn from(error: KeyError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

/// Applies the rules that hold for keys from every source: not empty and not too long.
pub(crate) fn checked(key: Key) -> Result<Option<Key>, KeyError> {
    match key.as_bytes().len() {
        0 => Ok(None),
        len if len > KEY_BYTES_MAX => Err(KeyError::TooLong(len)),
        _ => Ok(Some(key)),
    }
}

fn from_headers(headers: &HeaderMap) -> Result<Option<Key>, KeyError> {
    if let Some(value) = headers.get(KEY_HEADER) {
        return checked(value.as_bytes().into());
    }
    let Some(value) = headers.get(KEY_BIN_HEADER) else {
        return Ok(None);
    };
    // HTTP/2 joins the values of a repeated header with commas, so gRPC splits binary metadata at
    // them. As with text, the first value counts.
    let first = value.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
    let first = HeaderValue::from_bytes(first.trim_ascii()).map_err(|_| KeyError::NotBase64)?;
    // tonic's decoder is the one that agrees with every gRPC implementation on padding; it takes a
    // map.
    let mut one = HeaderMap::with_capacity(1);
    one.insert(KEY_BIN_HEADER, first);
    let metadata = MetadataMap::from_headers(one);
    let decoded: Option<Bytes> =
        metadata.get_bin(KEY_BIN_HEADER.as_str()).and_then(|value| value.to_bytes().ok());
    checked(decoded.ok_or(KeyError::NotBase64)?.as_ref().into())
}

/// Sends a key along that cannot be read from the request by its receivers, so all on the
/// way see the same one.
pub(crate) fn write(headers: &mut HeaderMap, key: &Key) {
    headers.remove(KEY_HEADER);
    headers.remove(KEY_BIN_HEADER);
    let is_text = key.as_bytes().iter().all(u8::is_ascii_graphic);
    let (name, value) = if is_text {
        (KEY_HEADER, HeaderValue::from_bytes(key.as_bytes()))
    } else {
        let encoded = BinaryMetadataValue::from_bytes(key.as_bytes());
        (KEY_BIN_HEADER, HeaderValue::from_bytes(encoded.as_encoded_bytes()))
    };
    headers.insert(name, value.expect("visible ASCII and base64 are header values"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str, value: &str) -> Parts {
        http::Request::builder()
            .header(name, value)
            .uri("/users/7")
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    fn found(key: &str) -> Result<HeadKey, KeyError> {
        Ok(HeadKey::Found(key.into()))
    }

    #[test]
    fn key_headers_win_over_every_other_source() {
        let head = KeySource::Head(Arc::new(|_| Some("head".into())));
        for source in [KeySource::Header, head, KeySource::Field([1].into())] {
            assert_eq!(source.read(&parts("ringpop-key", "k")), found("k"));
            assert_eq!(
                source.read(&parts("ringpop-key-bin", "AP8")),
                Ok(HeadKey::Found([0, 255][..].into()))
            );
        }
    }

    #[test]
    fn each_source_is_asked_when_no_header_is_set() {
        let head =
            KeySource::Head(Arc::new(|p| p.uri.path().strip_prefix("/users/").map(Key::from)));
        assert_eq!(head.read(&parts("x", "y")), found("7"));
        assert_eq!(KeySource::Header.read(&parts("x", "y")), Ok(HeadKey::Missing));
        assert_eq!(KeySource::Field([1].into()).read(&parts("x", "y")), Ok(HeadKey::InMessage));
    }

    #[test]
    fn an_empty_key_is_missing_and_a_long_one_is_an_error() {
        let source = KeySource::Header;
        assert_eq!(source.read(&parts("ringpop-key", "")), Ok(HeadKey::Missing));
        let longest = "k".repeat(KEY_BYTES_MAX);
        assert_eq!(source.read(&parts("ringpop-key", &longest)), found(&longest));
        let longer = "k".repeat(KEY_BYTES_MAX + 1);
        assert_eq!(
            source.read(&parts("ringpop-key", &longer)),
            Err(KeyError::TooLong(KEY_BYTES_MAX + 1))
        );
        assert_eq!(source.read(&parts("ringpop-key-bin", "*")), Err(KeyError::NotBase64));
    }

    #[test]
    fn of_several_values_the_first_counts_however_they_are_written() {
        for text in ["YQ==", "YQ==,Yg==", "YQ,Yg", " YQ== , Yg==", "YQ,*"] {
            assert_eq!(
                KeySource::Header.read(&parts("ringpop-key-bin", text)),
                found("a"),
                "{text}"
            );
        }
        let mut repeated = parts("ringpop-key-bin", "YQ");
        repeated.headers.append(KEY_BIN_HEADER, HeaderValue::from_static("Yg"));
        assert_eq!(KeySource::Header.read(&repeated), found("a"));
        assert_eq!(
            KeySource::Header.read(&parts("ringpop-key-bin", "*,YQ")),
            Err(KeyError::NotBase64)
        );
        assert_eq!(
            KeySource::Header.read(&parts("ringpop-key-bin", ",YQ")),
            Ok(HeadKey::Missing),
            "an empty value is no key, as with text"
        );
    }

    #[test]
    fn a_key_that_travels_arrives() {
        for key in [&b"user-42"[..], b"two words", &[0, 255, 10], "ü".as_bytes()] {
            // What the caller had set does not count any more.
            let mut parts = parts("ringpop-key", "other");
            write(&mut parts.headers, &Key::from(key));
            assert_eq!(KeySource::Header.read(&parts), Ok(HeadKey::Found(key.into())));
        }
    }

    #[test]
    fn numbers_become_their_decimal_digits() {
        for number in [0, 7, 10, 42, u64::MAX] {
            assert_eq!(Key::from(number), Key::from(number.to_string()));
        }
    }
}
