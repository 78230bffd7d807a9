//! The addresses of one name, dialled as RFC 8305 has it: the families in turn, each a little after
//! the one before, and the first that succeeds counts.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::names::lookup;
use crate::limits::{DIAL_STAGGER, DIAL_STAGGER_MIN};

/// Dials one address over TCP, without delaying small writes.
pub(crate) async fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Nagle's algorithm against delayed acknowledgements costs 40 ms per call.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Looks up `name`, which is `host:port`, and dials what it stands for, all of it within `limit`.
///
/// # Errors
///
/// The failure of the first address that failed, or of the lookup, or [`io::ErrorKind::TimedOut`].
pub(crate) async fn dial_any<T, F>(
    name: &str,
    limit: Duration,
    dial: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let end = Instant::now() + limit;
    let addresses = in_turn(lookup(name, limit).await?);
    timeout_at(end, race(&addresses, end, dial)).await.unwrap_or_else(|_| Err(out_of_time(limit)))
}

fn out_of_time(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"))
}

/// The addresses with their families in turn, beginning with the first, otherwise in their order
/// (RFC 8305 section 4).
fn in_turn(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut seen = Vec::with_capacity(addresses.len());
    addresses.retain(|address| {
        let is_new = !seen.contains(address);
        seen.push(*address);
        is_new
    });
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut second = second.into_iter();
    let mut turns = Vec::new();
    for address in first {
        turns.push(address);
        turns.extend(second.next());
    }
    turns.extend(second);
    turns
}

/// Dials the addresses one after the other, each when the one before has failed or has had its time
/// for itself. The first success ends the other dials.
async fn race<T, F>(
    addresses: &[SocketAddr],
    end: Instant,
    dial: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut waiting = addresses.iter().copied();
    // Most names have one address, which needs no task.
    if let [only] = addresses {
        return dial(*only).await;
    }
    let mut dials = JoinSet::new();
    let mut failure = None;
    loop {
        let left = waiting.len();
        if let Some(address) = waiting.next() {
            dials.spawn(dial(address));
        } else if dials.is_empty() {
            let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            return Err(failure.unwrap_or_else(none));
        }
        let next = Instant::now() + stagger(end, left);
        tokio::select! {
            Some(dialled) = dials.join_next() => match dialled.map_err(io::Error::other).and_then(|dialled| dialled) {
                Ok(stream) => return Ok(stream),
                // The next one begins at once.
                Err(error) => drop(failure.get_or_insert(error)),
            },
            () = sleep_until(next), if waiting.len() > 0 => {}
        }
    }
}

/// How long an address is dialled alone when it and `left - 1` others are to be tried before `end`.
fn stagger(end: Instant, left: usize) -> Duration {
    let share = end.saturating_duration_since(Instant::now()) / left.max(1) as u32;
    // The last one shall have some time, too.
    (share / 2).clamp(DIAL_STAGGER_MIN, DIAL_STAGGER)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_in_the_order_of_the_resolver() {
        let found = ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "[::1]:1", "1.0.0.2:1"];
        let turns = in_turn(found.map(address).to_vec());
        let expected = ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"];
        assert_eq!(turns, expected.map(address));
    }

    /// What a dial of each address comes to, and when each was begun.
    struct Net {
        begun: Arc<Mutex<Vec<(u16, Duration)>>>,
        start: Instant,
    }

    impl Net {
        fn new() -> Self {
            Self { begun: Arc::default(), start: Instant::now() }
        }

        /// Port 1 swallows packets, 2 refuses, and all others answer after as many milliseconds as
        /// their number.
        fn dial(
            &self,
            address: SocketAddr,
        ) -> impl Future<Output = io::Result<u16>> + Send + 'static {
            let (begun, start) = (Arc::clone(&self.begun), self.start);
            async move {
                let port = address.port();
                begun.lock().unwrap().push((port, start.elapsed()));
                match port {
                    1 => std::future::pending().await,
                    2 => Err(io::ErrorKind::ConnectionRefused.into()),
                    _ => {
                        tokio::time::sleep(Duration::from_millis(port.into())).await;
                        Ok(port)
                    }
                }
            }
        }

        async fn race(&self, ports: &[u16], limit: Duration) -> io::Result<u16> {
            let to_address = |&port| SocketAddr::from(([1, 0, 0, 1], port));
            let addresses: Vec<_> = ports.iter().map(to_address).collect();
            let end = Instant::now() + limit;
            let raced = race(&addresses, end, |address| self.dial(address));
            timeout_at(end, raced).await.unwrap_or_else(|_| Err(out_of_time(limit)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_packets_costs_the_stagger_and_no_more() {
        let net = Net::new();
        assert_eq!(net.race(&[1, 10], 10 * SECOND).await.unwrap(), 10);
        assert_eq!(net.start.elapsed(), DIAL_STAGGER + Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_the_next_one_begins_at_once() {
        let net = Net::new();
        assert_eq!(net.race(&[2, 2, 10], SECOND).await.unwrap(), 10);
        assert_eq!(net.start.elapsed(), Duration::from_millis(10));
        assert_eq!(
            net.race(&[2, 2], SECOND).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_may_still_win() {
        let net = Net::new();
        assert_eq!(net.race(&[300, 900], 10 * SECOND).await.unwrap(), 300);
        assert_eq!(net.begun.lock().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn many_silent_addresses_leave_the_last_one_its_time() {
        let net = Net::new();
        let mut ports = [1; 9].to_vec();
        ports.push(100);
        assert_eq!(net.race(&ports, SECOND).await.unwrap(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_holds_for_all_together() {
        let net = Net::new();
        let error = net.race(&[1, 1, 1], SECOND).await.unwrap_err();
        assert_eq!((error.kind(), net.start.elapsed()), (io::ErrorKind::TimedOut, SECOND));
    }
}
