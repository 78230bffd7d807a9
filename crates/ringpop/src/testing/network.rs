//! What passes between the members of a test.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// The connections between the members of a [`Cluster`](super::Cluster), those of membership and of
/// forwarded requests alike. Clones are the same network. Members are named by their addresses.
///
/// Members of other processes may be on such a network, too: each process has one of its own, and
/// is told of the same cuts ([`Builder::network`](crate::Builder::network)).
///
/// On a way that is cut, bytes wait as on a broken link: nothing is refused, and what was sent
/// arrives when the way is whole again. Clients of the test itself are not on this network.
#[derive(Clone, Debug)]
pub struct Network(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules: Mutex<Rules>,
    /// Wakes those who wait at a cut.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Rules {
    /// The side of each member of a partition.
    sides: HashMap<String, usize>,
    isolated: HashSet<String>,
    delays: HashMap<String, Duration>,
}

impl Default for Network {
    fn default() -> Self {
        Self(Arc::new(Shared { rules: Mutex::default(), changed: watch::Sender::new(()) }))
    }
}

impl Network {
    /// A network on which everything passes, without delay.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing passes between members of different groups from now on. Replaces an earlier
    /// partition; members of no group talk to everybody.
    pub fn partition<A: AsRef<str>>(&self, groups: &[&[A]]) {
        let sides = groups.iter().enumerate().flat_map(|(side, group)| {
            group.iter().map(move |member| (member.as_ref().to_owned(), side))
        });
        self.rules().sides = sides.collect();
        self.0.changed.send_replace(());
    }

    /// Nothing reaches or leaves this member from now on.
    pub fn isolate(&self, address: &str) {
        self.rules().isolated.insert(address.to_owned());
    }

    /// What this member sends to others, and they to it, waits for so long before each write. Zero
    /// makes it fast again.
    pub fn slow(&self, address: &str, delay: Duration) {
        self.rules().delays.insert(address.to_owned(), delay);
    }

    /// Everything passes again, without delay.
    pub fn restore(&self) {
        *self.rules() = Rules::default();
        self.0.changed.send_replace(());
    }

    pub(super) fn is_cut(&self, one: &str, other: &str) -> bool {
        let rules = self.rules();
        let sides = rules.sides.get(one).zip(rules.sides.get(other));
        sides.is_some_and(|(one, other)| one != other)
            || rules.isolated.contains(one)
            || rules.isolated.contains(other)
    }

    /// How long a write waits on the way between two members.
    pub(super) fn delay(&self, one: &str, other: &str) -> Duration {
        let rules = self.rules();
        let delays = [one, other].into_iter().filter_map(|member| rules.delays.get(member));
        // A test may give any delay, such as `Duration::MAX` for one that never ends.
        delays.fold(Duration::ZERO, |all, delay| all.saturating_add(*delay))
    }

    /// Waits until the way between two members is whole.
    pub(super) async fn whole(self, one: Arc<str>, other: Arc<str>) {
        let mut changed = self.0.changed.subscribe();
        while self.is_cut(&one, &other) {
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_of_both_ends_add_up_to_at_most_the_longest_time() {
        let network = Network::new();
        network.slow("a:1", Duration::from_secs(1));
        network.slow("b:1", Duration::from_secs(2));
        assert_eq!(network.delay("a:1", "b:1"), Duration::from_secs(3));
        network.slow("a:1", Duration::MAX);
        network.slow("b:1", Duration::MAX);
        assert_eq!(network.delay("a:1", "b:1"), Duration::MAX);
    }
}
