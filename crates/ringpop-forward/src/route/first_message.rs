//! The key in the first message of a request body, as far as the body has arrived.

use bytes::Bytes;
use http::HeaderMap;
use smallvec::SmallVec;

use crate::body::ReplayBuffer;
use crate::limits::{GRPC_ENCODING_HEADER, PEEK_BYTES_MAX};
use crate::route::key::{Key, KeyError, checked};
use crate::route::peek::{self, PREFIX_BYTES, Prefix};
use crate::server::answer::Protocol;

/// What the beginning of a request body says about its key.
pub(crate) enum MessageKey {
    Found(Key),
    Missing,
    /// So many bytes are needed to tell.
    Need(usize),
}

/// Looks for the key in the first message, as far as it has arrived. `headers` tell how it is
/// compressed, if it is.
pub(crate) fn message_key(
    buffer: &ReplayBuffer,
    field: &[u32],
    protocol: Protocol,
    headers: &HeaderMap,
) -> Result<MessageKey, KeyError> {
    if protocol == Protocol::GrpcWebText {
        return Err(KeyError::Base64Message);
    }
    let bytes = contiguous(buffer.frames());
    let Some(prefix) = Prefix::read(&bytes)? else {
        return Ok(if buffer.has_ended() {
            MessageKey::Missing
        } else {
            MessageKey::Need(PREFIX_BYTES)
        });
    };
    if prefix.compressed && !can_inflate(headers) {
        return Err(KeyError::Compressed(encoding_of(headers)));
    }
    let whole = PREFIX_BYTES.saturating_add(prefix.len);
    let needed = whole.min(PEEK_BYTES_MAX);
    if bytes.len() < needed && !buffer.has_ended() {
        return Ok(MessageKey::Need(needed));
    }
    let message = &bytes[PREFIX_BYTES..bytes.len().min(whole)];
    let is_cut = bytes.len() < whole;
    if prefix.compressed {
        let (message, is_cut) = inflate(message, is_cut)?;
        return find(&message, field, is_cut, is_cut);
    }
    find(message, field, is_cut, is_cut && needed < whole)
}

/// Looks for the key in a message. `cut` says that its end is missing, `too_long` that this is
/// because it is too long.
fn find(message: &[u8], field: &[u32], cut: bool, too_long: bool) -> Result<MessageKey, KeyError> {
    let key = peek::find(message, field, cut)?.and_then(Key::of_field);
    match key.map(checked).transpose()?.flatten() {
        Some(key) => Ok(MessageKey::Found(key)),
        None if too_long => Err(KeyError::TooFar),
        None => Ok(MessageKey::Missing),
    }
}

fn encoding_of(headers: &HeaderMap) -> String {
    let encoding = headers.get(GRPC_ENCODING_HEADER).and_then(|value| value.to_str().ok());
    encoding.unwrap_or("an encoding that is not named").to_owned()
}

fn can_inflate(headers: &HeaderMap) -> bool {
    cfg!(feature = "gzip") && headers.get(GRPC_ENCODING_HEADER).is_some_and(|name| name == "gzip")
}

/// The beginning of a message in gzip, and whether it is only that. However much was packed into
/// it, no more is unpacked than is ever searched for a key.
#[cfg(feature = "gzip")]
fn inflate(packed: &[u8], is_cut: bool) -> Result<(Vec<u8>, bool), KeyError> {
    use std::io::{ErrorKind, Read};

    let mut message = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(packed).take(PEEK_BYTES_MAX as u64);
    match reader.read_to_end(&mut message) {
        Ok(_) => {
            let is_full = message.len() == PEEK_BYTES_MAX;
            Ok((message, is_full))
        }
        // The bytes that were unpacked before the end of the input are good.
        Err(error) if is_cut && error.kind() == ErrorKind::UnexpectedEof => Ok((message, true)),
        Err(_) => Err(KeyError::BadGzip),
    }
}

#[cfg(not(feature = "gzip"))]
fn inflate(_: &[u8], _: bool) -> Result<(Vec<u8>, bool), KeyError> {
    Err(KeyError::Compressed("gzip".to_owned()))
}

/// The first bytes of a body in one piece. They nearly always arrive in one.
fn contiguous(frames: &[Bytes]) -> Bytes {
    match frames {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => many.iter().flatten().copied().collect::<SmallVec<[u8; 0]>>().into_vec().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use http_body_util::Full;
    use tonic::body::Body;

    use super::*;
    use crate::body::{Guard, ReplayMemory};

    /// The key that is found in a body that has arrived whole.
    fn look(body: Vec<u8>, encoding: &'static str) -> Result<MessageKey, KeyError> {
        let guard = Guard::new(Body::new(Full::new(Bytes::from(body))));
        let mut buffer =
            ReplayBuffer::new(guard, PEEK_BYTES_MAX, Arc::new(ReplayMemory::new(PEEK_BYTES_MAX)));
        let filled = buffer.poll_fill(&mut Context::from_waker(Waker::noop()), usize::MAX);
        assert!(matches!(filled, std::task::Poll::Ready(Ok(()))));
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_ENCODING_HEADER, encoding.parse().unwrap());
        message_key(&buffer, &[1], Protocol::of(&headers), &headers)
    }

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let len = (message.len() as u32).to_be_bytes();
        [&[flag], &len[..], message].concat()
    }

    #[test]
    fn a_message_that_cannot_be_unpacked_says_by_what_it_was_packed() {
        for encoding in ["zstd", "deflate"] {
            let error = look(framed(1, b"x"), encoding).err().unwrap().to_string();
            assert!(error.contains(encoding) && error.contains("set metadata"), "{error}");
        }
    }

    #[cfg(feature = "gzip")]
    mod gzip {
        use std::io::Write;

        use flate2::Compression;
        use flate2::write::GzEncoder;

        use super::*;

        fn pack(message: &[u8]) -> Vec<u8> {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(message).unwrap();
            encoder.finish().unwrap()
        }

        fn key_of(found: Result<MessageKey, KeyError>) -> Result<Option<Key>, KeyError> {
            match found? {
                MessageKey::Found(key) => Ok(Some(key)),
                MessageKey::Missing => Ok(None),
                MessageKey::Need(_) => panic!("everything has arrived"),
            }
        }

        #[test]
        fn the_key_of_a_packed_message_is_found() {
            let found = look(framed(1, &pack(b"\x0a\x01k\x12\x00")), "gzip");
            assert_eq!(key_of(found), Ok(Some("k".into())));
            let none = look(framed(1, &pack(b"\x12\x00")), "gzip");
            assert_eq!(key_of(none), Ok(None));
            // The flag decides, not the header.
            let found = look(framed(0, b"\x0a\x01k"), "gzip");
            assert_eq!(key_of(found), Ok(Some("k".into())));
        }

        #[test]
        fn no_more_is_unpacked_than_is_searched() {
            let mut bomb = vec![0x1a, 0x80, 0x80, 0x80, 0x40];
            bomb.resize(2 << 20, 0);
            let packed = pack(&bomb);
            assert!(packed.len() < PEEK_BYTES_MAX);
            let (message, is_cut) = inflate(&packed, false).unwrap();
            assert!(is_cut && message.capacity() <= 2 * PEEK_BYTES_MAX);
            assert_eq!(key_of(look(framed(1, &packed), "gzip")), Err(KeyError::TooFar));
            // A key before the rest is found all the same.
            let packed = pack(&[b"\x0a\x01k", &bomb[..]].concat());
            assert_eq!(key_of(look(framed(1, &packed), "gzip")), Ok(Some("k".into())));
        }

        #[test]
        fn what_is_no_gzip_is_an_error() {
            assert_eq!(key_of(look(framed(1, b"not gzip"), "gzip")), Err(KeyError::BadGzip));
            let mut broken = pack(b"\x0a\x01k");
            broken.truncate(12);
            assert_eq!(key_of(look(framed(1, &broken), "gzip")), Err(KeyError::BadGzip));
        }
    }
}
