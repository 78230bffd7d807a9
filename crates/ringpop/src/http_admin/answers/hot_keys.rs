//! The keys of most calls.

use std::fmt::Write as _;

use serde::Serialize;

use crate::generated as proto;

#[derive(Debug, Serialize)]
pub(in crate::http_admin) struct HotKeys {
    enabled: bool,
    one_in: Option<u32>,
    window_ms: u64,
    calls: u64,
    keys: Vec<HotKey>,
}

#[derive(Debug, Serialize)]
struct HotKey {
    /// The first bytes as text, when they are text.
    key: Option<String>,
    key_hex: String,
    key_bytes: u64,
    calls: u64,
    calls_error: u64,
}

impl From<proto::GetHotKeysResponse> for HotKeys {
    fn from(told: proto::GetHotKeysResponse) -> Self {
        Self {
            enabled: told.enabled,
            one_in: Some(told.one_in).filter(|one_in| *one_in > 0),
            window_ms: told.window_ms,
            calls: told.calls,
            keys: told.keys.into_iter().map(HotKey::from).collect(),
        }
    }
}

impl From<proto::HotKey> for HotKey {
    fn from(told: proto::HotKey) -> Self {
        Self {
            key: text(&told.key, told.key_bytes),
            key_hex: told.key.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            }),
            key_bytes: told.key_bytes,
            calls: told.calls,
            calls_error: told.calls_error,
        }
    }
}

/// The beginning of a key as text; a character that was cut in two is left out.
fn text(key: &[u8], key_bytes: u64) -> Option<String> {
    match std::str::from_utf8(key) {
        Ok(text) => Some(text.to_owned()),
        Err(error) if error.error_len().is_none() && key_bytes > key.len() as u64 => {
            String::from_utf8(key[..error.valid_up_to()].to_vec()).ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_no_text_are_told_by_their_bytes_alone() {
        let hot = |key: &[u8], key_bytes| {
            HotKey::from(proto::HotKey {
                key: key.to_vec().into(),
                key_bytes,
                calls: 1,
                calls_error: 0,
            })
        };
        assert_eq!(hot(b"user-42", 7).key.as_deref(), Some("user-42"));
        let binary = hot(&[0xff, 0x00], 2);
        assert_eq!((binary.key, &*binary.key_hex), (None, "ff00"));
        assert_eq!(hot("aü".as_bytes().split_last().unwrap().1, 500).key.as_deref(), Some("a"));
        assert_eq!(hot("aü".as_bytes().split_last().unwrap().1, 2).key, None);
    }
}
