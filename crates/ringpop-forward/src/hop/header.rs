//! The hop header, and the headers that belong to one connection and therefore end at it.
//!
//! `ringpop-fwd: 1;h=<hops>;e=<epoch in hex>;f=<name of the sender>`, and where they differ from
//! the ordinary, `;n=<owners>` when the sender chose the receiver among more owners than one, and
//! `;p=<names>` for who forwarded the request before the sender, oldest first, and `;s=1` when the
//! sender means the receiver itself, whatever the key. Version 1 ignores parameters that it
//! does not know, so members of different releases understand each other.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::limits::{HOP_HEADER_BYTES_MAX, NAME_BYTES_MAX, OWNERS_WALK_MAX};

/// Between the names of a path.
const PATH_SEPARATOR: char = ',';

/// How far a request was forwarded, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop<'a> {
    /// How often the request was forwarded, 1 for the first time.
    pub(crate) hops: u8,
    /// The epoch by which the sender chose the receiver; zero when it knows none.
    pub(crate) epoch: u64,
    /// The name of the sender.
    pub(crate) sender: &'a str,
    /// The names of those who forwarded the request before the sender, oldest first, as far as they
    /// fit.
    pub(crate) path: &'a str,
    /// The sender chose the receiver among so many owners of the key.
    pub(crate) chosen_among: usize,
    /// The sender means the receiver itself, whatever the key.
    pub(crate) is_stated: bool,
}

/// A hop header that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadHop {
    /// It has another version than the one that is known here.
    #[error("hop header has an unknown version")]
    Version,
    /// No version looks like this.
    #[error("hop header is malformed")]
    Malformed,
}

impl<'a> Hop<'a> {
    /// The hop from `sender` to the first owner.
    pub(crate) fn first(sender: &'a str, epoch: u64) -> Self {
        Self { hops: 1, epoch, sender, path: "", chosen_among: 1, is_stated: false }
    }

    pub(crate) fn parse(value: &'a HeaderValue) -> Result<Self, BadHop> {
        if value.len() > HOP_HEADER_BYTES_MAX {
            return Err(BadHop::Malformed);
        }
        let text = value.to_str().map_err(|_| BadHop::Malformed)?;
        let mut parameters = text.split(';');
        match parameters.next() {
            Some("1") => {}
            Some(version) if is_number(version) => return Err(BadHop::Version),
            _ => return Err(BadHop::Malformed),
        }
        let mut hop = Self { hops: 0, ..Self::first("", 0) };
        for parameter in parameters {
            match parameter.split_once('=').ok_or(BadHop::Malformed)? {
                ("h", value) => hop.hops = value.parse().map_err(|_| BadHop::Malformed)?,
                ("e", value) => {
                    hop.epoch = u64::from_str_radix(value, 16).map_err(|_| BadHop::Malformed)?;
                }
                ("f", value) => hop.sender = value,
                ("p", value) => hop.path = value,
                ("s", value) => hop.is_stated = value == "1",
                ("n", value) => hop.chosen_among = value.parse().map_err(|_| BadHop::Malformed)?,
                _ => {}
            }
        }
        hop.chosen_among = hop.chosen_among.clamp(1, OWNERS_WALK_MAX);
        if hop.hops == 0 { Err(BadHop::Malformed) } else { Ok(hop) }
    }

    pub(crate) fn to_value(self) -> HeaderValue {
        let Self { hops, epoch, sender, chosen_among, is_stated, .. } = self;
        let mut text = format!("1;h={hops};e={epoch:x};f={sender}");
        if chosen_among > 1 {
            text.push_str(&format!(";n={chosen_among}"));
        }
        if is_stated {
            text.push_str(";s=1");
        }
        let room = HOP_HEADER_BYTES_MAX.saturating_sub(text.len() + ";p=".len());
        let path = newest(self.path, room);
        if !path.is_empty() {
            text.push_str(";p=");
            text.push_str(path);
        }
        HeaderValue::try_from(text)
            .expect("a name is checked to be visible ASCII when a forwarder is built, a path when it is read")
    }

    /// Everyone who forwarded the request, oldest first.
    pub(crate) fn intermediaries(&self) -> impl Iterator<Item = &'a str> {
        self.path.split(PATH_SEPARATOR).chain([self.sender]).filter(|name| !name.is_empty())
    }

    /// The path that the receiver passes on.
    pub(crate) fn path_behind(&self) -> String {
        let names: Vec<_> = self.intermediaries().collect();
        names.join(&PATH_SEPARATOR.to_string())
    }
}

/// The names at the end of a path that fit into `room` bytes. What matters in a circle is where it
/// closed.
fn newest(path: &str, room: usize) -> &str {
    let mut path = path;
    while path.len() > room {
        path = path.split_once(PATH_SEPARATOR).map_or("", |(_, rest)| rest);
    }
    path
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `name` can be the name of a process: part of a header value and of a hop header.
pub(crate) fn is_name(name: &str) -> bool {
    let visible = |b: u8| b.is_ascii_graphic() && b != b';' && b != b',';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(visible)
}

const TRAILERS: &str = "trailers";
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes what describes the connection the request came on (RFC 9110 section 7.6.1) and not the
/// request.
///
/// HTTP/2 forbids most of these (RFC 9113 section 8.2.2) and h2 refuses to send them. They are
/// removed whatever the version of the request is: a call that begins in this process is HTTP/2,
/// and may carry headers that its caller copied from an HTTP/1 request.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        remove_listed(headers);
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE, HOST, EXPECT]
    {
        headers.remove(name);
    }
    // The one value that HTTP/2 allows, and gRPC demands.
    let mut values = headers.get_all(TE).iter();
    let (first, is_one) = (values.next(), values.next().is_none());
    if first.is_some_and(|first| !is_one || first != TRAILERS) {
        let wants_trailers = headers.get_all(TE).iter().any(lists_trailers);
        headers.remove(TE);
        if wants_trailers {
            headers.insert(TE, HeaderValue::from_static(TRAILERS));
        }
    }
}

/// Removes the length that a caller states of its body, for bodies that nobody has held against it:
/// an owner resets a stream whose body has another length (RFC 9113 section 8.1.1), and the owner
/// would be blamed for it.
pub(crate) fn strip_unproven_length(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
}

/// Removes the headers that `connection` names.
fn remove_listed(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Dealt with by value.
        .filter(|name| *name != TE)
        .collect();
    for name in listed {
        headers.remove(name);
    }
}

/// Whether a `te` header has `trailers` in its list, with or without parameters.
fn lists_trailers(value: &HeaderValue) -> bool {
    let Ok(list) = value.to_str() else { return false };
    list.split(',')
        .map(|coding| coding.split(';').next().unwrap_or_default())
        .any(|coding| coding.trim().eq_ignore_ascii_case(TRAILERS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    #[test]
    fn the_written_form_is_fixed() {
        let first = Hop::first("10.0.0.1:7100", 0xbeef);
        assert_eq!(first.to_value(), "1;h=1;e=beef;f=10.0.0.1:7100");
        let later = Hop { hops: 3, chosen_among: 2, path: "a,b", ..first };
        assert_eq!(later.to_value(), "1;h=3;e=beef;f=10.0.0.1:7100;n=2;p=a,b");
        let stated = Hop { is_stated: true, ..first };
        assert_eq!(stated.to_value(), "1;h=1;e=beef;f=10.0.0.1:7100;s=1");
        assert_eq!(Hop::parse(&stated.to_value()), Ok(stated));
    }

    /// Exactly what releases without paths read and wrote.
    #[test]
    fn the_form_without_a_path_is_understood() {
        let old = value("1;h=2;e=beef;f=a");
        let expected = Hop { hops: 2, ..Hop::first("a", 0xbeef) };
        assert_eq!(Hop::parse(&old), Ok(expected));
    }

    #[test]
    fn unknown_parameters_are_ignored_and_unknown_versions_are_not() {
        assert_eq!(Hop::parse(&value("1;h=1;x=y")), Ok(Hop::first("", 0)));
        for bad in [
            "",
            "1",
            "1;h=0",
            "1;h=256",
            "1;h=-1",
            "1;h",
            "1;e=1",
            "1;h=1;e=xyz",
            "h=1",
            "1;h=1;n=-1",
            "1;h=1;n=x",
        ] {
            assert_eq!(Hop::parse(&value(bad)), Err(BadHop::Malformed), "{bad:?}");
        }
        for later in ["2;h=1", "9;from-the-future", "10"] {
            assert_eq!(Hop::parse(&value(later)), Err(BadHop::Version), "{later:?}");
        }
        let long = value(&format!("1;h=1;f={}", "n".repeat(HOP_HEADER_BYTES_MAX)));
        assert_eq!(Hop::parse(&long), Err(BadHop::Malformed));
        for (text, owners) in [("1;h=1;n=0", 1), ("1;h=1;n=9999", OWNERS_WALK_MAX)] {
            assert_eq!(Hop::parse(&value(text)).unwrap().chosen_among, owners);
        }
    }

    #[test]
    fn the_path_grows_at_its_end_and_is_cut_at_its_beginning() {
        let hop = Hop { hops: 3, path: "a,b", ..Hop::first("c", 1) };
        assert_eq!(hop.intermediaries().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(hop.path_behind(), "a,b,c");
        assert_eq!(Hop::first("a", 1).path_behind(), "a");
        assert_eq!(newest("aa,bb,cc", 8), "aa,bb,cc");
        assert_eq!(newest("aa,bb,cc", 7), "bb,cc");
        assert_eq!(newest("aa,bb,cc", 1), "");
    }

    #[test]
    fn names_fit_into_the_header() {
        assert!(
            is_name("10.0.0.1:7100") && is_name("node-1") && is_name(&"n".repeat(NAME_BYTES_MAX))
        );
        for bad in ["", "a;b", "a,b", "a b", "ä", "a\n", &"n".repeat(NAME_BYTES_MAX + 1)] {
            assert!(!is_name(bad), "{bad:?}");
        }
        let (name, path) = ("n".repeat(NAME_BYTES_MAX), ["p"; 400].join(","));
        let longest = Hop { hops: u8::MAX, path: &path, ..Hop::first(&name, u64::MAX) };
        let written = longest.to_value();
        assert!(written.len() <= HOP_HEADER_BYTES_MAX);
        let read = Hop::parse(&written).unwrap();
        assert!(read.path.len() > 100 && path.ends_with(read.path));
        assert_eq!(read, Hop { path: read.path, ..longest });
    }

    #[test]
    fn headers_of_the_connection_end_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, x-mine"),
            ("connection", "te"),
            ("keep-alive", "5"),
            ("proxy-connection", "close"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("host", "h"),
            ("x-kept", "1"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["te", "x-kept"]);
    }

    #[test]
    fn te_says_trailers_or_nothing() {
        for (values, expected) in [
            (&["trailers"][..], Some("trailers")),
            (&["gzip"], None),
            (&["gzip;q=0.5, Trailers"], Some("trailers")),
            (&["gzip", "trailers"], Some("trailers")),
            (&["trailers", "trailers"], Some("trailers")),
            (&["trailers2"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for text in values {
                headers.append(TE, value(text));
            }
            strip_hop_by_hop(&mut headers);
            let left: Vec<_> = headers.get_all(TE).iter().map(|te| te.to_str().unwrap()).collect();
            assert_eq!(left, expected.into_iter().collect::<Vec<_>>(), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            hops in 1..=u8::MAX, epoch: u64, sender in "[!-+\\--:<-~]{1,261}", path in "[a-z]{1,9}(,[a-z]{1,9}){0,9}",
            chosen_among in 1..=OWNERS_WALK_MAX, is_stated: bool,
        ) {
            let hop = Hop { hops, epoch, sender: &sender, path: &path, chosen_among, is_stated };
            let value = hop.to_value();
            prop_assert_eq!(Hop::parse(&value), Ok(hop));
        }

        #[test]
        fn arbitrary_values_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = Hop::parse(&value);
            }
        }
    }
}
