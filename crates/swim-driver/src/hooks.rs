//! What the application does with what happens.

use std::collections::BTreeSet;

use swim_core::{Address, Event, Instant, Node};

/// Everything that happened since the last batch.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Batch {
    /// The members of which anything changed: what a view that is kept beside the
    /// machine has to read again. At the start these are all known members.
    pub changed: BTreeSet<Address>,
    /// The events, in order.
    pub events: Vec<Event>,
}

/// What an application hooks into the driver.
///
/// Hooks run on the task of the driver, so they must not block. A hook that panics
/// ends the task; everybody who waits for the member then gets
/// [`Stopped`](crate::Stopped).
///
/// A closure `FnMut(&Node, &Event)` is a hook that is told each event, and `()` is
/// one that ignores everything.
pub trait Hooks: Send + 'static {
    /// Publishes what a batch amounts to: the view first, then whatever tells
    /// others of it. The commands and requests that led to it are answered
    /// afterwards, so the caller finds a change in the view.
    fn publish(&mut self, node: &Node, now: Instant, batch: Batch);

    /// Does work that is due. It is called in each turn of the loop, after
    /// [`publish`](Self::publish). Default: nothing.
    fn handle_timeout(&mut self, node: &Node, now: Instant) {
        let _ = (node, now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do. Default:
    /// never.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The driver ends in order; this is the last look at the machine. Default: nothing.
    fn end(&mut self, node: &Node) {
        let _ = node;
    }
}

impl Hooks for () {
    fn publish(&mut self, _: &Node, _: Instant, _: Batch) {}
}

impl<F: FnMut(&Node, &Event) + Send + 'static> Hooks for F {
    fn publish(&mut self, node: &Node, _: Instant, batch: Batch) {
        batch.events.iter().for_each(|event| self(node, event));
    }
}

impl Batch {
    /// Takes an event in.
    pub(crate) fn push(&mut self, node: &Node, event: Event) {
        let changed = match &event {
            Event::MemberChanged { before, after, .. } => {
                after.as_ref().or(before.as_ref()).map(|member| &member.address)
            }
            // No other event tells of its new incarnation.
            Event::Refuted { .. } => Some(&node.local().address),
            Event::Damped { address, .. } | Event::Undamped { address, .. } => Some(address),
            _ => None,
        };
        self.changed.extend(changed.cloned());
        self.events.push(event);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.events.is_empty()
    }
}
