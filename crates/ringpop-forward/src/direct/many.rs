//! One request for many keys: one call for each owner.

use std::collections::VecDeque;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::Status;

use super::{DirectRequest, Outcome};
use crate::forwarder::{Forwarder, OwnerGroup};
use crate::limits::{
    DIRECT_GROUPS_IN_FLIGHT, DIRECT_KEYS_MAX, DIVERGED_ROUNDS_MAX, DIVERGED_WAIT,
    KEYS_DIVERGED_HEADER,
};
use crate::resolver::Owner;
use crate::route::key::Key;
use crate::transport::PeerTransport;

/// What became of the keys of one owner.
#[derive(Debug)]
#[non_exhaustive]
pub struct GroupOutcome {
    /// The owner of the keys when the request was sent; its handler may be a next owner.
    pub owner: Option<Owner>,
    /// The keys.
    pub keys: Vec<Key>,
    /// What [`handle_or_forward`](Forwarder::handle_or_forward) says about them.
    pub result: Result<Outcome, Status>,
}

impl<T: PeerTransport> Forwarder<T> {
    /// Groups `keys` by owner and sends `request` once to each of them, at most 64 at a time.
    /// Results come group by group, in the order in which they finish, and one owner's failure is
    /// not another's.
    ///
    /// A group that has more than one owner by the time it arrives is not handled; its keys are
    /// grouped again, up to three times, and then the group fails with FAILED_PRECONDITION.
    ///
    /// Dropping the future cancels all calls under way.
    pub async fn handle_or_forward_all<K: Into<Key>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        request: DirectRequest,
    ) -> Vec<GroupOutcome> {
        let mut waiting: VecDeque<_> = self.groups_of(keys, 0).collect();
        let (mut running, mut done) = (JoinSet::new(), Vec::new());
        loop {
            while running.len() < DIRECT_GROUPS_IN_FLIGHT
                && let Some((round, group)) = waiting.pop_front()
            {
                let (forwarder, request) = (self.clone(), request.clone());
                running.spawn(async move { forwarder.send_group(round, group, request).await });
            }
            let Some(finished) = running.join_next().await else {
                return done;
            };
            let (round, outcome) = match finished {
                Ok(finished) => finished,
                // A resolver has panicked. To its caller this is as if there had been no task.
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime stops.
                Err(_) => return done,
            };
            if round < DIVERGED_ROUNDS_MAX && has_diverged(&outcome) {
                waiting.extend(self.groups_of(outcome.keys, round + 1));
            } else {
                done.push(outcome);
            }
        }
    }

    fn groups_of<K: Into<Key>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        round: u32,
    ) -> impl Iterator<Item = (u32, OwnerGroup)> {
        let split = |group: OwnerGroup| {
            let owner = group.owner;
            let parts: Vec<_> = group.keys.chunks(DIRECT_KEYS_MAX).map(<[Key]>::to_vec).collect();
            parts.into_iter().map(move |keys| OwnerGroup { owner: owner.clone(), keys })
        };
        self.group_by_owner(keys).into_iter().flat_map(split).map(move |group| (round, group))
    }

    async fn send_group(
        &self,
        round: u32,
        group: OwnerGroup,
        request: DirectRequest,
    ) -> (u32, GroupOutcome) {
        let OwnerGroup { owner, keys } = group;
        let epoch = self.shared().resolver.epoch();
        let result = self.send_direct(DirectRequest { keys: keys.clone(), ..request }).await;
        let outcome = GroupOutcome { owner, keys, result };
        if round < DIVERGED_ROUNDS_MAX && has_diverged(&outcome) {
            // Until one of the two members has heard what the other knows, asking again is in vain.
            tokio::select! {
                () = sleep(DIVERGED_WAIT) => {}
                () = self.shared().resolver.changed(epoch) => {}
            }
        }
        (round, outcome)
    }
}

fn has_diverged(outcome: &GroupOutcome) -> bool {
    let status = outcome.result.as_ref().err();
    status.is_some_and(|status| status.metadata().contains_key(KEYS_DIVERGED_HEADER.as_str()))
}
