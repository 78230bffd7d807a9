//! The hop header, and the headers that belong to one connection and therefore end at it.
//!
//! `ringpop-fwd: 1;h=<hops>;e=<epoch in hex>;f=<name of the sender>`. Version 1 ignores parameters that it does not know.

use http::header::{CONNECTION, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use thiserror::Error;

use crate::constants::{HOP_HEADER_BYTES_MAX, NAME_BYTES_MAX};

/// How far a request has travelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// How often the request was forwarded, 1 for the first time.
    pub(crate) hops: u8,
    /// The epoch by which the sender chose the receiver; zero when it knows none.
    pub(crate) epoch: u64,
    /// The name of the sender.
    pub(crate) sender: String,
}

/// A hop header that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("hop header is malformed")]
pub(crate) struct BadHop;

impl Hop {
    pub(crate) fn parse(value: &HeaderValue) -> Result<Self, BadHop> {
        if value.len() > HOP_HEADER_BYTES_MAX {
            return Err(BadHop);
        }
        let text = value.to_str().map_err(|_| BadHop)?;
        let mut parameters = text.split(';');
        if parameters.next() != Some("1") {
            return Err(BadHop);
        }
        let (mut hops, mut epoch, mut sender) = (None, 0, "");
        for parameter in parameters {
            match parameter.split_once('=').ok_or(BadHop)? {
                ("h", value) => hops = Some(value.parse().map_err(|_| BadHop)?),
                ("e", value) => epoch = u64::from_str_radix(value, 16).map_err(|_| BadHop)?,
                ("f", value) => sender = value,
                _ => {}
            }
        }
        let hops = hops.filter(|&hops| hops > 0).ok_or(BadHop)?;
        let sender = sender.to_owned();
        Ok(Self { hops, epoch, sender })
    }

    pub(crate) fn to_value(&self) -> HeaderValue {
        let text = format!("1;h={};e={:x};f={}", self.hops, self.epoch, self.sender);
        HeaderValue::try_from(text)
            .expect("a name is checked to be visible ASCII when a forwarder is built")
    }
}

/// Whether `name` can be the name of a process: part of a header value and of a hop header.
pub(crate) fn is_name(name: &str) -> bool {
    let visible = |b: u8| b.is_ascii_graphic() && b != b';';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(visible)
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes what describes the connection the request came on (RFC 9110 section 7.6.1) and not the request.
///
/// HTTP/2 forbids most of these (RFC 9113 section 8.2.2) and h2 refuses to send them.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap, version: Version) {
    headers.remove(HOST);
    headers.remove(EXPECT);
    if version >= Version::HTTP_2 {
        return;
    }
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let wants_trailers = headers.get(TE).is_some_and(|te| te == "trailers");
    for name in listed {
        headers.remove(name);
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE, TE] {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Hop, BadHop> {
        Hop::parse(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn the_written_form_is_fixed() {
        let hop = Hop { hops: 2, epoch: 0xbeef, sender: "10.0.0.1:7100".into() };
        assert_eq!(hop.to_value(), "1;h=2;e=beef;f=10.0.0.1:7100");
    }

    #[test]
    fn unknown_parameters_are_ignored_and_unknown_versions_are_not() {
        assert_eq!(parse("1;h=1;x=y"), Ok(Hop { hops: 1, epoch: 0, sender: String::new() }));
        for bad in
            ["", "1", "2;h=1", "1;h=0", "1;h=256", "1;h=-1", "1;h", "1;e=1", "1;h=1;e=xyz", "h=1"]
        {
            assert_eq!(parse(bad), Err(BadHop), "{bad:?}");
        }
        assert_eq!(parse(&format!("1;h=1;f={}", "n".repeat(HOP_HEADER_BYTES_MAX))), Err(BadHop));
    }

    #[test]
    fn names_fit_into_the_header() {
        assert!(
            is_name("10.0.0.1:7100") && is_name("node-1") && is_name(&"n".repeat(NAME_BYTES_MAX))
        );
        for bad in ["", "a;b", "a b", "ä", "a\n", &"n".repeat(NAME_BYTES_MAX + 1)] {
            assert!(!is_name(bad), "{bad:?}");
        }
        let longest = Hop { hops: u8::MAX, epoch: u64::MAX, sender: "n".repeat(NAME_BYTES_MAX) };
        assert_eq!(Hop::parse(&longest.to_value()), Ok(longest));
    }

    #[test]
    fn headers_of_the_connection_end_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, x-mine"),
            ("keep-alive", "5"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("host", "h"),
            ("x-kept", "1"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        strip_hop_by_hop(&mut headers, Version::HTTP_11);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["te", "x-kept"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(hops in 1..=u8::MAX, epoch: u64, sender in "[!-:<-~]{1,261}") {
            let hop = Hop { hops, epoch, sender };
            prop_assert_eq!(Hop::parse(&hop.to_value()), Ok(hop));
        }

        #[test]
        fn arbitrary_values_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = Hop::parse(&value);
            }
        }
    }
}
