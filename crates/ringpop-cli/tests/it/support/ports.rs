//! Ports that no other test uses, in this process or another.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// Ports below those that the operating system gives out by itself (32,768 on Linux, 49,152
/// elsewhere), where no connection takes one between the choice and its use.
const FIRST: u16 = 20_000;

/// As `ringpop dev` has it.
const HTTP_OFFSET: u16 = 1000;

/// Ports per block. The first one is the claim.
const BLOCK: u16 = 20;
const BLOCKS_PER_GROUP: u16 = HTTP_OFFSET / BLOCK;
const BLOCKS: u16 = 6 * BLOCKS_PER_GROUP;

/// A block of ports. It is ours while the listener on its first port lives.
pub(crate) struct Ports {
    _claim: TcpListener,
    pub(crate) base: u16,
    size: u16,
}

impl Ports {
    /// Claims ports for `size` nodes.
    pub(crate) fn claim(size: u16) -> Self {
        assert!(size < BLOCK);
        // Tests that start together begin their search at different places.
        let first = u16::try_from(std::process::id() % u32::from(BLOCKS)).expect("below BLOCKS");
        (0..BLOCKS)
            .find_map(|n| Self::take((first + n) % BLOCKS, size))
            .expect("a block of free ports")
    }

    fn take(block: u16, size: u16) -> Option<Self> {
        let group = FIRST + block / BLOCKS_PER_GROUP * 2 * HTTP_OFFSET;
        let claimed = group + block % BLOCKS_PER_GROUP * BLOCK;
        let claim = TcpListener::bind((Ipv4Addr::LOCALHOST, claimed)).ok()?;
        let base = claimed + 1;
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let all_free = (base..base + size).all(|port| free(port) && free(port + HTTP_OFFSET));
        all_free.then_some(Self { _claim: claim, base, size })
    }

    pub(crate) fn grpc(&self, i: u16) -> String {
        assert!(i < self.size);
        format!("127.0.0.1:{}", self.base + i)
    }

    pub(crate) fn http(&self, i: u16) -> String {
        assert!(i < self.size);
        format!("127.0.0.1:{}", self.base + HTTP_OFFSET + i)
    }

    pub(crate) fn all_grpc(&self) -> Vec<String> {
        (0..self.size).map(|i| self.grpc(i)).collect()
    }

    pub(crate) fn all_http(&self) -> Vec<String> {
        (0..self.size).map(|i| self.http(i)).collect()
    }
}

/// Whether nobody listens there.
pub(crate) fn is_closed(address: &str) -> bool {
    TcpStream::connect(address).is_err()
}
