//! UDP, with TCP for messages beyond a datagram.
//!
//! Probes and their answers are datagrams. Member lists are pages, which may be
//! larger: requests for them (joins and full syncs) go over a TCP stream to the same
//! address, and so does everything else that does not fit a packet. The reply comes
//! back on the stream that brought the request. A member that does not answer a
//! datagram is also probed over a stream ([`Path::Second`](swim_core::Path::Second)),
//! which passes where a firewall drops UDP.
//!
//! Addresses are `IP:port`: host names are not looked up, and a request to one counts
//! as undelivered.
//!
//! ```
//! use swim_core::{Config, Node};
//! use swim_driver::udp::{Udp, config};
//! use swim_driver::{Driver, Start, queue};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let udp = Udp::bind("127.0.0.1:0".parse()?).await?;
//! let start = Start::now()?;
//! let init = start.init("rides", udp.local_addr().to_string().parse()?);
//! let node = Node::new(config(Config::lan())?, init)?;
//! let (handle, queue) = queue();
//! tokio::spawn(Driver::new(queue, node, udp.start(&handle, "rides"), ()).run());
//!
//! let joined = handle.join_discovered(&vec![/* addresses of others */]).await?;
//! assert_eq!(joined.members, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Security
//!
//! Without keys, anybody who reaches the port can rewrite the membership: use it on
//! loopback and on networks that encrypt below. With feature `aead` and a `KeyRing`,
//! packets and stream messages are encrypted and authenticated (XChaCha20-Poly1305,
//! random nonces, the application name authenticated along with them), and what does
//! not open is never decoded.
//!
//! * **Replay.** There is no window against replayed packets, because a replay changes
//!   nothing that matters: a change is superseded by any newer incarnation, a reply
//!   counts once, for the request that is open, and a request costs one answer.
//! * **Amplification.** A datagram draws at most one datagram, to the address that its
//!   message names. Pages leave only over streams, whose handshake proves an address;
//!   requests for them by datagram are refused. The machine dials newcomers that are
//!   named to it at a pace of its own, not once for each datagram.
//! * **Exhaustion.** Streams are bounded in number, for each host and in total, and in
//!   bytes and time. What a peer announces is not allocated before it arrives.

#[cfg(feature = "aead")]
mod keys;
mod listener;
mod seal;
mod seal_error;
mod stats;
mod stream;
#[cfg(all(test, feature = "aead"))]
mod tests;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use swim_core::{Config, ConfigError};
use tokio::net::{TcpListener, UdpSocket};

#[cfg(feature = "aead")]
pub use self::keys::{KeyError, KeyRing};
use self::seal::Seal;
pub use self::stats::{UdpCounters, UdpStats};
pub use self::transport::{Udp, UdpInput};
use crate::handle::Handle;
use crate::limits::{BIND_TRIES, PAGE_BYTES_MAX};

/// Settings as this transport needs them: late answers are taken, because datagrams
/// may be late, and the second path to a member is a stream.
///
/// Messages that fit a packet travel by datagram. With a lower `message_bytes_max`,
/// [`PACKET_BYTES_MAX`](crate::limits::PACKET_BYTES_MAX) less
/// [`PACKET_HEADER_BYTES_MAX`](crate::limits::PACKET_HEADER_BYTES_MAX), nearly all probes do so
/// even in a burst of changes, and joins take more pages.
///
/// # Errors
///
/// When `message_bytes_max` exceeds [`PAGE_BYTES_MAX`], which all members accept.
pub fn config(config: Config) -> Result<Config, ConfigError> {
    let (field, value) = ("message_bytes_max", config.message_bytes_max());
    if value > PAGE_BYTES_MAX {
        return Err(ConfigError::OutOfRange { field, value, min: 512, max: PAGE_BYTES_MAX });
    }
    config.to_builder().late_acks(true).second_path(true).build()
}

/// A UDP and a TCP socket on one port, not served yet; made by [`Udp::bind`].
#[derive(Debug)]
#[must_use = "nobody is answered before `start`"]
pub struct BoundUdp {
    socket: UdpSocket,
    listener: TcpListener,
    local: SocketAddr,
    #[cfg(feature = "aead")]
    keys: Option<KeyRing>,
}

impl Udp {
    /// Takes a port for UDP and TCP; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the port cannot be had for both.
    pub async fn bind(listen: SocketAddr) -> io::Result<BoundUdp> {
        let mut tries = 1;
        loop {
            let listener = TcpListener::bind(listen).await?;
            let local = listener.local_addr()?;
            match UdpSocket::bind(local).await {
                Ok(socket) => {
                    return Ok(BoundUdp {
                        socket,
                        listener,
                        local,
                        #[cfg(feature = "aead")]
                        keys: None,
                    });
                }
                // A port that is free for TCP may be taken for UDP.
                Err(_) if listen.port() == 0 && tries < BIND_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

impl BoundUdp {
    /// The address with the port that was taken.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Encrypts everything with these keys, and refuses everything else.
    #[cfg(feature = "aead")]
    pub fn keys(mut self, keys: impl Into<Option<KeyRing>>) -> Self {
        self.keys = keys.into();
        self
    }

    /// Starts to accept streams for the member that `handle` reaches, of the
    /// application `app`; gives the transport for its driver.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use = "streams end when it is dropped"]
    pub fn start(self, handle: &Handle, app: &str) -> Udp {
        #[cfg(feature = "aead")]
        let seal = Seal::new(app, self.keys);
        #[cfg(not(feature = "aead"))]
        let seal = Seal::new(app);
        let (seal, counters) = (Arc::new(seal), UdpCounters::default());
        let serve = listener::Serve {
            member: handle.downgrade(),
            seal: Arc::clone(&seal),
            counters: counters.clone(),
        };
        let listening = tokio::spawn(listener::listen(self.listener, serve));
        Udp::new(self.socket, seal, counters, listening.abort_handle())
    }
}
