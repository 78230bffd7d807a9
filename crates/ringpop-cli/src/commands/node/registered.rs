//! `--register`: this member in a registry, with a check there that follows its readiness.

use ringpop::discovery::Record;
use ringpop::discovery::url::{Registering, RegistrationUrl};
use ringpop::{Event, Ringpop, State};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ready;
use crate::args::NodeArgs;
use crate::failure::Failure;
use crate::limits::SHUTDOWN_TIMEOUT;

/// A member that is registered until it begins to stop.
pub(super) struct Registered(JoinHandle<()>);

impl Registered {
    /// Registers in the background: a registry that is down holds no member up, and the log tells.
    pub(super) fn start(
        url: &RegistrationUrl,
        args: &NodeArgs,
        node: &Ringpop,
    ) -> Result<Self, Failure> {
        let (ready, is_ready) = watch::channel(false);
        let registering = registering(url, args, node, is_ready)?;
        tokio::spawn(follow(node.clone(), ready));
        Ok(Self(tokio::spawn(registering)))
    }

    /// Fails as [`Self::start`] does, and registers nothing.
    pub(super) fn check(
        url: &RegistrationUrl,
        args: &NodeArgs,
        node: &Ringpop,
    ) -> Result<(), Failure> {
        let (_, is_ready) = watch::channel(false);
        // It does nothing before it is polled.
        registering(url, args, node, is_ready).map(drop)
    }

    /// Waits until the registry has forgotten the member, which begins to stop.
    pub(super) async fn end(mut self) {
        if timeout(SHUTDOWN_TIMEOUT, &mut self.0).await.is_err() {
            self.0.abort();
            tracing::warn!("the registry does not answer: this member may stay registered");
        }
    }
}

fn registering(
    url: &RegistrationUrl,
    args: &NodeArgs,
    node: &Ringpop,
    is_ready: watch::Receiver<bool>,
) -> Result<Registering, Failure> {
    let registering = url.register(record(args, node)?, is_ready);
    registering.map_err(|error| Failure::Usage(error.to_string()))
}

/// Tells whether the member is ready, until it begins to stop.
async fn follow(node: Ringpop, ready: watch::Sender<bool>) {
    let mut events = node.events();
    while node.state() < State::Draining {
        ready.send_if_modified(|ready| {
            let before = std::mem::replace(ready, ready::check(&node).is_ok());
            before != *ready
        });
        loop {
            match events.next().await {
                // Changes of other members say nothing of this one.
                Some(Event::Membership(_) | Event::RingChanged(_)) => {}
                Some(_) => break,
                None => return,
            }
        }
    }
}

/// The member as its registry knows it, under the name by which members place it on their rings.
fn record(args: &NodeArgs, node: &Ringpop) -> Result<Record, Failure> {
    let address = node.whoami().parse().map_err(Failure::failed)?;
    let mut record = Record::new(address);
    if let Some(identity) = &args.identity {
        record.id.clone_from(identity);
    }
    record.weight = args.weight.unwrap_or(record.weight);
    record.labels.extend(args.labels.iter().cloned());
    Ok(record)
}
