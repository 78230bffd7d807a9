//! Connections to others, one each, opened by the first call.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::connection::connect;
use super::{Call, CallError, Shared};
use crate::counters::{Counters, count};
use crate::limits::{CALLS_MAX, PEERS_MAX};

/// The processes that are called.
#[derive(Debug)]
pub(crate) struct Peers {
    shared: Arc<Shared>,
    peers: HashMap<String, Peer>,
    /// Counts calls, to tell which peer was called least recently.
    clock: u64,
}

#[derive(Debug)]
struct Peer {
    calls: mpsc::Sender<Call>,
    called: u64,
    /// Whether a member is reached by it; others make room first.
    member: bool,
}

impl Peers {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, peers: HashMap::new(), clock: 0 }
    }

    /// Makes a call to a member, or to a process that is none. How it ends comes to
    /// the place that it carries.
    pub(crate) fn call(&mut self, address: &str, call: Call, member: bool) {
        count(&self.shared.counters.calls);
        self.clock += 1;
        let clock = self.clock;
        let call = match self.peers.get_mut(address) {
            None => call,
            Some(peer) => {
                peer.called = clock;
                peer.member = member;
                match peer.calls.try_send(call) {
                    Ok(()) => return,
                    Err(mpsc::error::TrySendError::Full(call)) => {
                        let _ = call.answer.send(Err(CallError::TooMany));
                        return;
                    }
                    // It had nothing to do for long and ended.
                    Err(mpsc::error::TrySendError::Closed(call)) => call,
                }
            }
        };
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(address) {
            self.drop_oldest();
        }
        let (calls, queue) = mpsc::channel(CALLS_MAX);
        // There is room: the queue is new.
        let _ = calls.try_send(call);
        tokio::spawn(serve(address.to_owned(), queue, self.shared.clone()));
        self.peers.insert(address.to_owned(), Peer { calls, called: clock, member });
    }

    /// Makes no more calls over the connection to a process.
    pub(crate) fn forget(&mut self, address: &str) {
        self.peers.remove(address);
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    #[cfg(test)]
    pub(crate) fn knows(&self, address: &str) -> bool {
        self.peers.contains_key(address)
    }

    fn drop_oldest(&mut self) {
        let oldest = self.peers.iter().min_by_key(|(_, peer)| (peer.member, peer.called));
        if let Some(address) = oldest.map(|(address, _)| address.clone()) {
            self.peers.remove(&address);
        }
    }
}

/// Opens the connection when there is something to say and keeps it until it
/// breaks; then the next call opens another.
async fn serve(address: String, queue: mpsc::Receiver<Call>, shared: Arc<Shared>) {
    let (mut calls, mut again) = (Some(queue), None);
    loop {
        let first = match again.take() {
            Some(call) => call,
            None => match next(&mut calls).await {
                Some(call) => call,
                None => return,
            },
        };
        match connect(&address, &shared).await {
            Ok(mut link) => {
                count(&shared.counters.connected);
                if link.start(first) {
                    again = link.run(&mut calls).await;
                }
            }
            Err(error) => {
                count(&shared.counters.failed_connections);
                let error = CallError::NotConnected(error.to_string());
                let _ = first.answer.send(Err(error.clone()));
                // Whatever came meanwhile had the same luck.
                while let Some(Ok(call)) = calls.as_mut().map(mpsc::Receiver::try_recv) {
                    let _ = call.answer.send(Err(error.clone()));
                }
            }
        }
    }
}

async fn next(calls: &mut super::connection::Calls) -> Option<Call> {
    calls.as_mut()?.recv().await
}
