//! What will happen, in order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::machine::HostId;
use crate::time::Nanos;

/// Something that happens at a point in virtual time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// A host wants to run.
    Wake { host: HostId },
    /// A packet arrives; the number is its place among those in flight.
    Arrive { host: HostId, parcel: u32 },
    /// A slow host takes the next packet from its inbox.
    Serve { host: HostId },
}

/// An entry of the queue. Time and number are one word: a comparison is one, too, and takes no
/// branch.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Time in the upper half, and the number of the entry.
    turn: u128,
    what: Happening,
}

impl Entry {
    const fn at(&self) -> Nanos {
        (self.turn >> 64) as Nanos
    }
}

/// The earliest is the greatest: that is the one that a binary heap gives.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.turn.cmp(&self.turn)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.turn == other.turn
    }
}

impl Eq for Entry {}

/// A binary heap: with a few entries for each host it beats a timer wheel, and
/// the order of what happens at one time is that in which it was put in.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    entries: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Nanos, what: Happening) {
        self.entries += 1;
        let turn = u128::from(at) << 64 | u128::from(self.entries);
        self.heap.push(Entry { turn, what });
    }

    /// Takes what happens next, unless it is after `end`.
    pub(crate) fn pop_until(&mut self, end: Nanos) -> Option<(Nanos, Happening)> {
        if self.heap.peek()?.at() > end {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at(), entry.what))
    }

    /// Everything that was ever put in.
    pub(crate) const fn entries(&self) -> u64 {
        self.entries
    }
}

/// Values that come and go, each at a place of its own: entries of the queue stay small and
/// allocate nothing.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(crate) fn put(&mut self, value: T) -> u32 {
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = Some(value);
            return place;
        }
        self.places.push(Some(value));
        u32::try_from(self.places.len() - 1).expect("fewer than 2^32 packets are in flight")
    }

    pub(crate) fn take(&mut self, place: u32) -> T {
        self.free.push(place);
        self.places[place as usize].take().expect("a packet arrives once")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_at_one_time_keeps_its_order() {
        let mut queue = Queue::default();
        for (at, host) in [(5, 1), (3, 2), (5, 0), (3, 9)] {
            queue.push(at, Happening::Wake { host });
        }
        let mut order = Vec::new();
        while let Some((at, Happening::Wake { host })) = queue.pop_until(5) {
            order.push((at, host));
        }
        assert_eq!(order, [(3, 2), (3, 9), (5, 1), (5, 0)]);
    }

    #[test]
    fn places_are_used_again() {
        let mut slab = Slab::default();
        let (a, b) = (slab.put("a"), slab.put("b"));
        assert_eq!(slab.take(a), "a");
        assert_eq!(slab.put("c"), a);
        assert_eq!((slab.take(b), slab.take(a)), ("b", "c"));
    }
}
