//! The transport of one member.

use std::sync::Arc;

use swim_core::{Address, Instant, Message, Node, Transmit};
use tokio::sync::Notify;
use tokio::time::{Instant as Clock, sleep_until};

use super::Network;
use crate::transport::{Started, Transport};

/// The place of one member on a [`Network`]. Messages are datagrams: they may be
/// lost, and overtake each other. A request to an address that nobody has is
/// refused at once.
#[derive(Debug)]
pub struct Endpoint {
    network: Network,
    address: Address,
    arrival: Arc<Notify>,
}

impl Endpoint {
    pub(super) const fn new(network: Network, address: Address, arrival: Arc<Notify>) -> Self {
        Self { network, address, arrival }
    }

    /// When the next message arrives.
    fn next_at(&self) -> Option<Clock> {
        let state = self.network.lock();
        let inbox = state.inboxes.get(&self.address)?;
        inbox.messages.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next message, which has arrived.
    fn pop(&self) -> Option<Message> {
        let mut state = self.network.lock();
        let messages = &mut state.inboxes.get_mut(&self.address)?.messages;
        let message = messages.first_entry()?.remove();
        state.stats.received += 1;
        Some(message)
    }
}

impl Transport for Endpoint {
    type Input = Message;

    fn start(&mut self, _: &Node, transmit: Transmit) -> Started {
        match self.network.lock().send(&transmit.to, transmit.message) {
            true => Started::UnderWay,
            false => Started::Undelivered,
        }
    }

    async fn next(&mut self) -> Message {
        loop {
            let arrival = self.arrival.notified();
            match self.next_at() {
                Some(at) if at <= Clock::now() => {
                    if let Some(message) = self.pop() {
                        return message;
                    }
                }
                // One that is sent later may arrive earlier.
                Some(at) => tokio::select! {
                    biased;
                    () = arrival => {}
                    () = sleep_until(at) => {}
                },
                None => arrival.await,
            }
        }
    }

    fn take(&mut self, node: &mut Node, now: Instant, message: Message) {
        node.handle_message(now, message);
    }

    fn reply(&mut self, _: &Node, to: Address, reply: Message) {
        // The number of a reply is its receiver's: nothing is reported.
        self.network.lock().send(&to, reply);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.network.lock().inboxes.remove(&self.address);
    }
}
