//! Connections of the membership protocol, by the address they lead to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swim_core::Address;
use tonic::transport::{Channel, Endpoint};

use crate::limits::{CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use crate::security::Security;

/// The connections to members. To others there are connections for one call each:
/// an address costs nothing for longer because somebody named it. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    table: Arc<Mutex<Table>>,
    security: Security,
}

/// The connections that are kept.
#[derive(Debug)]
struct Table {
    kept: HashMap<Address, Kept>,
    /// Most that are kept.
    capacity: usize,
    /// Counts calls, to tell which connection was used least recently.
    calls: u64,
}

#[derive(Debug)]
struct Kept {
    channel: Channel,
    gossip_port: Option<u16>,
    /// The call that used it last.
    used: u64,
}

impl Channels {
    pub(crate) fn new(security: Security, capacity: usize) -> Self {
        let table = Table { kept: HashMap::new(), capacity, calls: 0 };
        Self { table: Arc::new(Mutex::new(table)), security }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection for one call, which opens it: to this port of the host when there is one. It
    /// stays open for further calls when it is to `keep`. `None` when no URL can name the
    /// address.
    pub(crate) fn get(
        &self,
        to: &Address,
        gossip_port: Option<u16>,
        keep: bool,
    ) -> Option<Channel> {
        let mut table = self.table();
        table.calls += 1;
        let used = table.calls;
        if let Some(kept) = table.kept.get_mut(to).filter(|kept| kept.gossip_port == gossip_port) {
            kept.used = used;
            return Some(kept.channel.clone());
        }
        let url = match gossip_port.filter(|_| !self.security.has_link()) {
            Some(port) => format!("http://{}:{port}", host_of(to)?),
            None => format!("http://{to}"),
        };
        let endpoint = Endpoint::from_shared(url).ok()?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        let channel = self.security.channel(endpoint, CONNECT_TIMEOUT);
        if keep {
            table.make_room();
            let kept = Kept { channel: channel.clone(), gossip_port, used };
            table.kept.insert(to.clone(), kept);
        }
        Some(channel)
    }

    /// The kept connection to all services of a member: not one to a port for gossip alone.
    pub(crate) fn kept(&self, to: &Address) -> Option<Channel> {
        self.table().to_all_services(to).map(|kept| kept.channel.clone())
    }

    /// Whether there is such a connection.
    pub(crate) fn has(&self, to: &Address) -> bool {
        self.table().to_all_services(to).is_some()
    }

    /// Closes the connection to a member that is gone, once its calls have ended.
    pub(crate) fn forget(&self, address: &Address) {
        self.table().kept.remove(address);
    }

    /// Closes all, once their calls have ended.
    pub(crate) fn clear(&self) {
        self.table().kept.clear();
    }
}

impl Table {
    fn to_all_services(&self, to: &Address) -> Option<&Kept> {
        self.kept.get(to).filter(|kept| kept.gossip_port.is_none())
    }

    /// Closes the connection that was used least recently when there are as many as
    /// may be.
    fn make_room(&mut self) {
        if self.kept.len() < self.capacity {
            return;
        }
        let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used);
        if let Some(address) = oldest.map(|(address, _)| address.clone()) {
            self.kept.remove(&address);
        }
    }
}

/// The host of an address as it stands in a URL: IPv6 in brackets.
fn host_of(address: &Address) -> Option<&str> {
    address.as_str().rsplit_once(':').map(|(host, _)| host)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use swim_core::{Body, Message};
    use swim_driver::Transport as _;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::gossip::calls::Calls;

    /// Longer than any step takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Listens, answers nothing, and counts connections.
    #[derive(Clone)]
    struct Silent {
        address: Address,
        open: Arc<AtomicUsize>,
        opened: Arc<AtomicUsize>,
    }

    impl Silent {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = Address::new(&listener.local_addr().unwrap().to_string()).unwrap();
            let silent = Self { address, open: Arc::default(), opened: Arc::default() };
            let counts = silent.clone();
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let open = Arc::clone(&counts.open);
                    counts.opened.fetch_add(1, Ordering::SeqCst);
                    open.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        let mut bytes = [0; 1024];
                        while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
                        open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
            silent
        }

        fn open(&self) -> usize {
            self.open.load(Ordering::SeqCst)
        }

        fn opened(&self) -> usize {
            self.opened.load(Ordering::SeqCst)
        }

        async fn has_open(&self, connections: usize) {
            let wait = async {
                while self.open() != connections {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let in_time = tokio::time::timeout(PATIENCE, wait).await;
            assert!(in_time.is_ok(), "{} connections are open, not {connections}", self.open());
        }
    }

    /// Calls that keep connections to at most `capacity` members.
    fn calls(capacity: usize) -> Calls {
        let channels = Channels::new(Security::default(), capacity);
        Calls::new(channels, crate::timings::Timings::default())
    }

    /// Makes a call, which ends without an answer.
    async fn call(calls: &mut Calls, to: &Silent, keep: bool) {
        let from = Address::new("127.0.0.1:1").unwrap();
        let body = Body::Ping { checksum: 0, changes: Vec::new() };
        let message = Message { app: "t".into(), from, from_incarnation: 1, seq: 7, body };
        assert!(calls.call(&to.address, None, message, keep, Duration::from_millis(200)));
        let answer = tokio::time::timeout(PATIENCE, calls.next()).await.unwrap();
        assert!(answer.reply.is_err());
    }

    #[tokio::test]
    async fn a_connection_to_a_member_serves_many_calls_and_ends_when_it_is_gone() {
        let (mut calls, member) = (calls(4), Silent::start().await);
        for _ in 0..3 {
            call(&mut calls, &member, true).await;
        }
        assert_eq!((member.open(), member.opened()), (1, 1));
        calls.forget(&member.address);
        member.has_open(0).await;
    }

    /// Whatever address somebody names costs a connection for one call.
    #[tokio::test]
    async fn a_connection_to_a_stranger_ends_with_its_call() {
        let (mut calls, stranger, member) =
            (calls(1), Silent::start().await, Silent::start().await);
        call(&mut calls, &member, true).await;
        for dials in 1..4 {
            call(&mut calls, &stranger, false).await;
            stranger.has_open(0).await;
            assert_eq!(stranger.opened(), dials);
        }
        assert_eq!((member.open(), member.opened()), (1, 1), "strangers displace no member");
    }

    #[tokio::test]
    async fn a_full_table_sheds_the_connection_that_was_used_least_recently() {
        let mut calls = calls(2);
        let (one, two) = (Silent::start().await, Silent::start().await);
        let three = Silent::start().await;
        call(&mut calls, &one, true).await;
        call(&mut calls, &two, true).await;
        call(&mut calls, &one, true).await;
        call(&mut calls, &three, true).await;
        two.has_open(0).await;
        assert_eq!((one.open(), three.open()), (1, 1));
        assert_eq!((one.opened(), three.opened()), (1, 1));
    }
}
