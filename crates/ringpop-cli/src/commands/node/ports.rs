//! The addresses that a member is to listen on: each needs a port of its own.

use std::net::IpAddr;

use ringpop::discovery::Address;

use crate::args::NodeArgs;
use crate::failure::Failure;

/// Fails when two options ask for one port, which the operating system would call in use.
pub(super) fn check(args: &NodeArgs) -> Result<(), Failure> {
    let listen = Some(("--listen", "gRPC", &args.listen));
    let http = args.http.as_ref().map(|address| ("--http", "HTTP", address));
    let page = args.admin.admin_http.as_ref().map(|address| ("--admin-http", "the page", address));
    for (one, other) in [(http, listen), (page, listen), (page, http)] {
        let (Some((option, what, address)), Some((taken_by, _, taken))) = (one, other) else {
            continue;
        };
        if !collide(address, taken) {
            continue;
        }
        let clash = if address == taken {
            format!("{option} and {taken_by} are both {address}")
        } else {
            format!("{option} {address} and {taken_by} {taken} have one port")
        };
        return Err(Failure::Usage(format!("{clash}: give {what} a port of its own")));
    }
    Ok(())
}

/// Whether nobody can listen on both. Names are compared as text: what they resolve to may change.
fn collide(one: &Address, other: &Address) -> bool {
    if one.port() != other.port() {
        return false;
    }
    let ip = |address: &Address| address.host().parse::<IpAddr>().ok();
    match (ip(one), ip(other)) {
        (Some(one), Some(other)) => {
            let has_all = one.is_unspecified() || other.is_unspecified();
            one == other || (has_all && one.is_ipv4() == other.is_ipv4())
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_when_one_covers_the_other() {
        let collide = |one: &str, other: &str| {
            let address = |text: &str| text.parse::<Address>().unwrap();
            collide(&address(one), &address(other))
        };
        for (one, other) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::1]:1", "[::]:1"),
            ("a.example:1", "A.example:1"),
        ] {
            assert!(collide(one, other) && collide(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("127.0.0.1:1", "127.0.0.1:2"),
            ("127.0.0.2:1", "127.0.0.1:1"),
            ("[::1]:1", "0.0.0.0:1"),
            ("a.example:1", "b.example:1"),
        ] {
            assert!(!collide(one, other) && !collide(other, one), "{one} {other}");
        }
    }
}
