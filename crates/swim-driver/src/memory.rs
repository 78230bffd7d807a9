//! A network in memory, for tests: latency, loss and partitions.
//!
//! Members on it run the same driver as in production. With tokio's clock paused
//! (`#[tokio::test(start_paused = true)]`) minutes pass in milliseconds, and a test
//! with fixed seeds ([`Start::fixed`](crate::Start::fixed)) runs the same each time.
//!
//! ```
//! use std::time::Duration;
//! use swim_core::{Config, Node, Status};
//! use swim_driver::{Driver, Start, memory::Network, queue};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let network = Network::new(1);
//!     network.set_latency(Duration::from_millis(1)..Duration::from_millis(5));
//!     let mut members = Vec::new();
//!     for i in 1..=3 {
//!         let start = Start::fixed(i, 1_700_000_000_000);
//!         let init = start.init("rides", format!("10.0.0.{i}:7946").parse()?);
//!         let node = Node::new(Config::lan(), init)?;
//!         let endpoint = network.endpoint(&node)?;
//!         let (handle, queue) = queue();
//!         tokio::spawn(Driver::new(queue, node, endpoint, ()).run());
//!         handle.join_discovered(&vec!["10.0.0.1:7946".parse()?]).await?;
//!         members.push(handle);
//!     }
//!     tokio::time::sleep(Duration::from_secs(10)).await;
//!     let third = "10.0.0.3:7946".parse()?;
//!     network.isolate(&third);
//!     tokio::time::sleep(Duration::from_secs(60)).await;
//!     let known = members[0].with(move |node, _| node.member(&third).cloned());
//!     assert_eq!(known.await?.map(|member| member.status), Some(Status::Faulty));
//!     Ok(())
//! }
//! ```

mod endpoint;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swim_core::{Address, Message, Node};
use tokio::sync::Notify;
use tokio::time::Instant as Clock;

pub use endpoint::Endpoint;

use crate::limits::INBOX_MAX;

/// A network of members in one process. Clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

/// What became of the messages on a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkStats {
    /// Messages that were sent.
    pub sent: u64,
    /// Messages that arrived.
    pub received: u64,
    /// Messages lost by chance.
    pub lost: u64,
    /// Messages lost because their way was cut.
    pub cut: u64,
    /// Messages lost because [`INBOX_MAX`] others waited for their receiver.
    pub overflowed: u64,
    /// Requests refused because nobody has the address.
    pub refused: u64,
}

/// Another member of the network has the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is taken on this network; give each member an address of its own")]
pub struct AddressTaken(pub Address);

struct State {
    random: fastrand::Rng,
    latency: Range<Duration>,
    loss: f64,
    /// Ways, from one member to another, on which nothing arrives.
    cut: BTreeSet<(Address, Address)>,
    isolated: BTreeSet<Address>,
    inboxes: BTreeMap<Address, Inbox>,
    stats: NetworkStats,
}

/// The messages on their way to one member.
#[derive(Default)]
struct Inbox {
    /// By the time of arrival; by the order of sending where that is equal.
    messages: BTreeMap<(Clock, u64), Message>,
    arrival: Arc<Notify>,
}

impl Network {
    /// A network without latency and loss. Equal seeds give equal latencies and
    /// losses.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: fastrand::Rng::with_seed(seed),
            latency: Duration::ZERO..Duration::ZERO,
            loss: 0.0,
            cut: BTreeSet::new(),
            isolated: BTreeSet::new(),
            inboxes: BTreeMap::new(),
            stats: NetworkStats::default(),
        })))
    }

    /// The transport of a member, which is on the network from now on until the
    /// endpoint is dropped.
    ///
    /// # Errors
    ///
    /// When another member has its address.
    pub fn endpoint(&self, node: &Node) -> Result<Endpoint, AddressTaken> {
        let address = &node.local().address;
        let mut state = self.lock();
        if state.inboxes.contains_key(address) {
            return Err(AddressTaken(address.clone()));
        }
        let inbox = Inbox::default();
        let arrival = Arc::clone(&inbox.arrival);
        state.inboxes.insert(address.clone(), inbox);
        Ok(Endpoint::new(self.clone(), address.clone(), arrival))
    }

    /// How long messages travel from now on: evenly spread over the range. With a
    /// range of some width they overtake each other.
    pub fn set_latency(&self, latency: Range<Duration>) {
        self.lock().latency = latency;
    }

    /// Which part of the messages is lost from now on, 0 to 1.
    pub fn set_loss(&self, part: f64) {
        self.lock().loss = part;
    }

    /// Nothing that `from` sends arrives at `to` from now on. The other direction
    /// is as before.
    pub fn cut(&self, from: &Address, to: &Address) {
        self.lock().cut.insert((from.clone(), to.clone()));
    }

    /// Nothing passes between members of different groups from now on.
    pub fn partition(&self, groups: &[&[Address]]) {
        let mut state = self.lock();
        for (i, group) in groups.iter().enumerate() {
            let others = groups.iter().enumerate().filter(|(j, _)| i != *j);
            for to in others.flat_map(|(_, other)| other.iter()) {
                state.cut.extend(group.iter().map(|from| (from.clone(), to.clone())));
            }
        }
    }

    /// Nothing reaches or leaves this member from now on.
    pub fn isolate(&self, address: &Address) {
        self.lock().isolated.insert(address.clone());
    }

    /// Everything passes again.
    pub fn restore(&self) {
        let mut state = self.lock();
        state.cut.clear();
        state.isolated.clear();
    }

    /// What became of the messages so far.
    #[must_use]
    pub fn stats(&self) -> NetworkStats {
        self.lock().stats
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sends a message; `false` when nobody has the address.
    fn send(&mut self, to: &Address, message: Message) -> bool {
        self.stats.sent += 1;
        if !self.inboxes.contains_key(to) {
            self.stats.refused += 1;
            return false;
        }
        let way = (message.from.clone(), to.clone());
        let isolated = self.isolated.contains(&way.0) || self.isolated.contains(to);
        if isolated || self.cut.contains(&way) {
            self.stats.cut += 1;
            return true;
        }
        if self.random.f64() < self.loss {
            self.stats.lost += 1;
            return true;
        }
        let at = Clock::now() + self.draw_latency();
        let Some(inbox) = self.inboxes.get_mut(to) else { return false };
        if inbox.messages.len() >= INBOX_MAX {
            self.stats.overflowed += 1;
            return true;
        }
        inbox.messages.insert((at, self.stats.sent), message);
        inbox.arrival.notify_one();
        true
    }

    fn draw_latency(&mut self) -> Duration {
        let Range { start, end } = self.latency;
        start + end.saturating_sub(start).mul_f64(self.random.f64())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Network")
            .field("members", &state.inboxes.keys())
            .field("stats", &state.stats)
            .finish_non_exhaustive()
    }
}
