//! Evictions as they travel: entries of a reserved label, bounded and checked.
//!
//! The member that an operator asked holds an entry about its target, and the target holds a copy
//! about itself: an eviction outlives the restart of either. Of all entries about a target the
//! newest counts, whether it evicts or undoes.

use std::fmt;

use swim_core::limits::UNIX_MS_MAX;
use swim_core::{Address, Labels};

use crate::limits::{EVICTIONS_LABEL, EVICTIONS_MAX};

/// That a member is kept off the ring, or is so no more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Eviction {
    /// Orders the entries about one target: the wall clock of the asked member in milliseconds, or
    /// one more than the newest entry that it knew.
    pub(crate) stamp: u64,
    /// Of equal stamps the one that undoes counts: a member that serves is the smaller harm.
    pub(crate) is_undone: bool,
    /// When it ends, in milliseconds of the Unix epoch. Only those that hold the entry look at a
    /// clock; it counts for all others as long as it is there.
    pub(crate) until: u64,
    /// The member that is evicted.
    pub(crate) target: Address,
    /// The member that was asked.
    pub(crate) by: Address,
}

impl Eviction {
    /// The entries in the labels of `holder`, and whether all could be read. Those that this
    /// version cannot read do not count.
    pub(crate) fn all_of(holder: &Address, labels: &Labels) -> (Vec<Self>, bool) {
        let Some(text) = labels.get(EVICTIONS_LABEL) else { return (Vec::new(), true) };
        let entries = text.split(' ').take(EVICTIONS_MAX);
        let read: Vec<_> = entries.filter_map(|entry| Self::parse(holder, entry)).collect();
        let all = read.len() == text.split(' ').count();
        (read, all)
    }

    /// The label of these entries; `None` when there are none.
    pub(crate) fn label(holder: &Address, entries: &[Self]) -> Option<String> {
        let texts: Vec<String> =
            entries.iter().map(|entry| Written { entry, holder }.to_string()).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    }

    fn parse(holder: &Address, text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(',').collect();
        let [kind, target, by, stamp, until] = fields[..] else { return None };
        let is_undone = match kind {
            "evict" => false,
            "undo" => true,
            _ => return None,
        };
        let address = |text: &str| match text {
            "" => Some(holder.clone()),
            text => Address::new(text).ok(),
        };
        let time = |text: &str| text.parse().ok().filter(|time| *time <= UNIX_MS_MAX);
        let (stamp, until) = (time(stamp)?, time(until)?);
        let (target, by) = (address(target)?, address(by)?);
        // A member speaks for an operator who asked it, and for itself.
        (*holder == target || *holder == by).then_some(Self { stamp, is_undone, until, target, by })
    }
}

/// An entry as its holder writes it. The holder itself is left out.
struct Written<'a> {
    entry: &'a Eviction,
    holder: &'a Address,
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Eviction { stamp, is_undone, until, target, by } = self.entry;
        let other = |address: &Address| match address == self.holder {
            true => String::new(),
            false => address.to_string(),
        };
        let kind = if *is_undone { "undo" } else { "evict" };
        write!(f, "{kind},{},{},{stamp},{until}", other(target), other(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(i: u32) -> Address {
        Address::new(&format!("10.0.0.{i}:7100")).unwrap()
    }

    fn eviction(target: u32, by: u32, stamp: u64, is_undone: bool) -> Eviction {
        let (target, by) = (address(target), address(by));
        Eviction { stamp, is_undone, until: stamp + 1000, target, by }
    }

    fn read(holder: u32, text: &str) -> (Vec<Eviction>, bool) {
        let labels = Labels::new([(EVICTIONS_LABEL, text)]).unwrap();
        Eviction::all_of(&address(holder), &labels)
    }

    #[test]
    fn entries_survive_the_way_from_the_asked_member_and_from_the_target() {
        let entries = [eviction(2, 1, 7, false), eviction(3, 1, 8, true), eviction(1, 4, 9, false)];
        let text = Eviction::label(&address(1), &entries).unwrap();
        assert_eq!(
            text,
            "evict,10.0.0.2:7100,,7,1007 undo,10.0.0.3:7100,,8,1008 evict,,10.0.0.4:7100,9,1009"
        );
        assert_eq!(read(1, &text), (entries.to_vec(), true));
        // A member that was asked to evict itself.
        let own = [eviction(1, 1, 7, false)];
        let text = Eviction::label(&address(1), &own).unwrap();
        assert_eq!((text.as_str(), read(1, &text)), ("evict,,,7,1007", (own.to_vec(), true)));
        assert_eq!(Eviction::label(&address(1), &[]), None);
        assert_eq!(Eviction::all_of(&address(1), &Labels::default()), (Vec::new(), true));
    }

    #[test]
    fn what_cannot_be_read_does_not_count_and_leaves_the_rest() {
        let good = "evict,10.0.0.2:7100,,7,1007";
        for bad in [
            "",
            "evict",
            "reboot,10.0.0.3:7100,,7,1007",
            "evict,10.0.0.3:7100,,seven,1007",
            "evict,10.0.0.3:7100,,7",
            "evict,10.0.0.3:7100,,7,1007,8",
            "evict,10.0.0.3:7100,,-7,1007",
            "evict,10.0.0.3:7100,,18446744073709551615,1007",
            // In the name of two others.
            "evict,10.0.0.3:7100,10.0.0.4:7100,7,1007",
        ] {
            assert_eq!(read(1, bad), (Vec::new(), false), "{bad}");
            assert_eq!(read(1, &format!("{bad} {good}")).0.len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_member_speaks_of_so_many_at_most() {
        let many: Vec<_> = (2..200).map(|i| eviction(i, 1, 7, false)).collect();
        let text = Eviction::label(&address(1), &many[..20]).unwrap();
        let (read, all) = read(1, &text);
        assert_eq!((read, all), (many[..EVICTIONS_MAX].to_vec(), false));
    }

    /// The longest address that is usual, a name within Kubernetes, leaves room for all of them.
    #[test]
    fn as_many_as_may_be_fit_in_a_label() {
        let name = format!("{}.rides.production.svc.cluster.local:7100", "p".repeat(40));
        let address = Address::new(&name).unwrap();
        let entry = |i: u64| Eviction {
            stamp: 1_764_355_000_000 + i,
            is_undone: false,
            until: 1_764_355_000_000 + i,
            target: address.clone(),
            by: Address::new("10.0.0.1:7100").unwrap(),
        };
        let entries: Vec<_> = (0..EVICTIONS_MAX as u64).map(entry).collect();
        let text = Eviction::label(&entries[0].by, &entries).unwrap();
        assert!(text.len() <= swim_core::limits::LABEL_VALUE_BYTES_MAX, "{}", text.len());
    }

    #[test]
    fn the_newest_counts_and_of_equal_ones_that_which_undoes() {
        assert!(eviction(2, 1, 8, false) > eviction(2, 1, 7, true));
        assert!(eviction(2, 1, 7, true) > eviction(2, 9, 7, false));
    }
}
