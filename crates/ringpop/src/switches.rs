//! When planned changes of weights take effect here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use swim_core::{Address, Instant, Labels};

use crate::limits::SWITCH_LEAD_MAX;
use crate::weight::NextWeight;

/// The agreed instants that members announce in their labels, by the time of this member.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    agreed: BTreeMap<Address, Agreed>,
    /// Those that are to come.
    due: BTreeSet<(Instant, Address)>,
    /// Those that have come and are still announced.
    switched: Arc<BTreeSet<Address>>,
}

#[derive(Debug, Clone, Copy)]
struct Agreed {
    /// As announced, by the clock of the member.
    at_ms: u64,
    due: Instant,
    /// No switch is announced further ahead: a clock that says so is wrong, and delays nothing.
    latest: Instant,
}

impl Switches {
    /// Takes in what a member announces, when its own clock shows `its_now_us`.
    pub(crate) fn note(
        &mut self,
        address: &Address,
        labels: Option<&Labels>,
        now: Instant,
        its_now_us: i64,
    ) {
        let known = self.agreed.remove(address);
        if let Some(known) = &known {
            self.due.remove(&(known.due, address.clone()));
        }
        let at_ms = labels.and_then(NextWeight::of).and_then(|next| next.at_ms);
        let known = known.filter(|known| Some(known.at_ms) == at_ms);
        if known.is_none() && self.switched.contains(address) {
            Arc::make_mut(&mut self.switched).remove(address);
        }
        let Some(at_ms) = at_ms else { return };
        let latest = known.map_or_else(|| now + SWITCH_LEAD_MAX, |known| known.latest);
        let at_us = i64::try_from(at_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        let wait_us = at_us.saturating_sub(its_now_us);
        let wait = Duration::from_micros(u64::try_from(wait_us).unwrap_or(0));
        let due = (now + wait).min(latest);
        self.agreed.insert(address.clone(), Agreed { at_ms, due, latest });
        if !self.switched.contains(address) {
            self.due.insert((due, address.clone()));
        }
    }

    /// Members whose instant has come since this was asked last. One that was announced too late
    /// comes at once.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Address> {
        let mut come = Vec::new();
        while self.next().is_some_and(|due| due <= now) {
            let Some((_, address)) = self.due.pop_first() else { break };
            Arc::make_mut(&mut self.switched).insert(address.clone());
            come.push(address);
        }
        come
    }

    /// When the next instant comes.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Whether the announced instant of a member has come.
    pub(crate) fn has_switched(&self, address: &Address) -> bool {
        self.switched.contains(address)
    }

    /// The members whose announced instant has come.
    pub(crate) fn switched(&self) -> Arc<BTreeSet<Address>> {
        Arc::clone(&self.switched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NEXT_WEIGHT_LABEL;

    fn at(ms: u64) -> Instant {
        Instant::from_start(Duration::from_millis(ms))
    }

    fn address() -> Address {
        Address::new("10.0.0.1:7100").unwrap()
    }

    fn labels(text: &str) -> Labels {
        Labels::new([(NEXT_WEIGHT_LABEL, text)]).unwrap()
    }

    fn is_switched(switches: &Switches) -> bool {
        switches.switched().contains(&address())
    }

    #[test]
    fn an_instant_comes_once_by_the_clock_of_the_member() {
        let mut switches = Switches::default();
        // Its clock shows 5,000 ms when this member's time is 1,000 ms.
        switches.note(&address(), Some(&labels("0@5300")), at(1000), 5_000_000);
        assert_eq!(switches.next(), Some(at(1300)));
        assert!(switches.take_due(at(1299)).is_empty() && !is_switched(&switches));
        assert_eq!(switches.take_due(at(1300)), [address()]);
        assert!(is_switched(&switches) && switches.next().is_none());
        // The member changes another label meanwhile.
        switches.note(&address(), Some(&labels("0@5300")), at(1400), 5_400_000);
        assert!(is_switched(&switches) && switches.take_due(at(9000)).is_empty());
        switches.note(&address(), Some(&Labels::default()), at(1500), 5_500_000);
        assert!(!is_switched(&switches));
    }

    #[test]
    fn late_news_and_wrong_clocks_wait_for_nothing() {
        let mut switches = Switches::default();
        switches.note(&address(), Some(&labels("0@5300")), at(1000), 6_000_000);
        assert_eq!(switches.take_due(at(1000)), [address()]);
        // A clock that is a year ahead, and never compared.
        let mut switches = Switches::default();
        for later in [0, 500] {
            let now = at(1000 + later);
            switches.note(&address(), Some(&labels("0@31536000000")), now, 5_000_000);
        }
        assert_eq!(switches.next(), Some(at(1000) + SWITCH_LEAD_MAX), "from the first time on");
    }

    #[test]
    fn a_better_reading_of_the_clock_and_a_new_plan_move_the_instant() {
        let mut switches = Switches::default();
        switches.note(&address(), Some(&labels("0@5300")), at(1000), 5_000_000);
        switches.note(&address(), Some(&labels("0@5300")), at(1000), 5_200_000);
        assert_eq!(switches.next(), Some(at(1100)));
        switches.note(&address(), Some(&labels("3")), at(1050), 5_250_000);
        assert_eq!(switches.next(), None, "it was taken back");
        switches.note(&address(), None, at(1060), 0);
        assert!(switches.take_due(at(9000)).is_empty());
    }
}
