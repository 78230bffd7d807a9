//! The keys of most calls, as the members that handle them count.

use ringpop::admin_client::{GetHotKeysRequest, GetHotKeysResponse, HotKey as Told};
use serde::Serialize;

use crate::admin::{Admin, Client};
use crate::limits::{CRAWL_ANSWER_TIMEOUT, TOP_HOT_KEYS_MAX};
use crate::output::{hex, printable};

/// A key, and the member that handles its calls.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct HotKey {
    /// The first bytes as text; `null` when they are none.
    key: Option<String>,
    key_hex: String,
    key_bytes: u64,
    address: String,
    calls: f64,
    /// Of the calls that the member handles.
    share: f64,
}

/// Headings of the columns.
pub(super) const HEAD: [&str; 4] = ["KEY", "CALLS/S", "OF ITS CALLS", "HANDLED BY"];

/// Asks a member; nothing from one that counts no keys, or does not tell this process.
pub(super) async fn ask(admin: &Admin) -> Vec<HotKey> {
    let call = |mut client: Client, request| async move { client.get_hot_keys(request).await };
    let request = GetHotKeysRequest { n: TOP_HOT_KEYS_MAX as u32 };
    let told = admin.answer(CRAWL_ANSWER_TIMEOUT, request, call).await;
    told.map_or_else(|_| Vec::new(), |told| keys(admin.address(), told))
}

fn keys(address: &str, told: GetHotKeysResponse) -> Vec<HotKey> {
    let seconds = told.window_ms.max(1) as f64 / 1000.0;
    let all = told.calls.max(1) as f64;
    let key = |Told { key, key_bytes, calls, .. }: Told| HotKey {
        key_hex: hex(&key),
        key: String::from_utf8(key.to_vec()).ok(),
        key_bytes,
        address: address.to_owned(),
        calls: calls as f64 / seconds,
        share: (calls as f64 / all).min(1.0),
    };
    told.keys.into_iter().map(key).collect()
}

/// The most frequent of all members, the most frequent first.
pub(super) fn most(mut keys: Vec<HotKey>) -> Vec<HotKey> {
    keys.sort_by(|a, b| b.calls.total_cmp(&a.calls).then_with(|| a.key_hex.cmp(&b.key_hex)));
    keys.truncate(TOP_HOT_KEYS_MAX);
    keys
}

impl HotKey {
    pub(super) fn cells(&self) -> [String; 4] {
        let key = match &self.key {
            Some(key) => printable(key),
            None => format!("0x{}", self.key_hex),
        };
        let is_whole = self.key_hex.len() as u64 == 2 * self.key_bytes;
        let rest = if is_whole { String::new() } else { format!("… ({} bytes)", self.key_bytes) };
        [
            format!("{key}{rest}"),
            format!("{:.1}", self.calls),
            format!("{:.1} %", self.share * 100.0),
            printable(&self.address),
        ]
    }
}

/// One key, for tests of what shows it.
#[cfg(test)]
pub(super) fn example() -> Vec<HotKey> {
    let key = Told { key: "user-42".into(), key_bytes: 7, calls: 50, calls_error: 0 };
    let told = GetHotKeysResponse {
        window_ms: 10_000,
        calls: 100,
        keys: vec![key],
        ..GetHotKeysResponse::default()
    };
    keys("a:1", told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(key: &[u8], key_bytes: u64, calls: u64) -> Told {
        Told { key: key.to_vec().into(), key_bytes, calls, calls_error: 0 }
    }

    #[test]
    fn the_most_frequent_of_all_members_come_first_and_obey_no_terminal() {
        let of = |address, keys: Vec<Told>| {
            let told =
                GetHotKeysResponse { window_ms: 10_000, calls: 100, keys, ..Default::default() };
            super::keys(address, told)
        };
        let evil = "\u{1b}[2J\u{202e}x";
        let mut all =
            of("a:1", vec![told(evil.as_bytes(), evil.len() as u64, 50), told(&[0xff], 1, 10)]);
        all.extend(of("b:1", vec![told(&[b'k'; 64], 500, 30)]));
        let rows: Vec<_> = most(all).iter().map(HotKey::cells).collect();
        assert_eq!(rows[0], ["\\u{1b}[2J\\u{202e}x", "5.0", "50.0 %", "a:1"]);
        assert!(rows[1][0].ends_with("k… (500 bytes)") && rows[1][3] == "b:1", "{rows:?}");
        assert_eq!(rows[2][0], "0xff");
    }
}
