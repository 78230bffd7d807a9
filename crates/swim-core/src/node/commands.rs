//! The commands of the application: join, leave, set labels.

use super::{Node, State};
use crate::address::Address;
use crate::labels::{INTERNAL_PREFIX, LabelError, Labels};
use crate::member::Status;
use crate::time::Instant;

/// A refused command. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// `join` was called on a member that has joined already.
    #[error("this member has joined already")]
    AlreadyJoined,
    /// `leave` was called on a member that has not joined.
    #[error("this member has not joined, it cannot leave")]
    NotJoined,
    /// `heal` or `discovered` was called on a member that is not in the cluster.
    #[error(
        "this member {}, it cannot {action}; join first",
        if *.has_left { "has left" } else { "has not joined" }
    )]
    Outside {
        /// What cannot be done.
        action: &'static str,
        /// Whether this member was in the cluster and has left it, or is leaving.
        has_left: bool,
    },
    /// `reap` named a member that is unknown or not gone.
    #[error("{0} is not known as faulty or left, it cannot be reaped")]
    NotGone(Address),
    /// `leave` was called twice.
    #[error("this member is leaving or has left already")]
    AlreadyLeft,
    /// The labels were refused.
    #[error(transparent)]
    Labels(#[from] LabelError),
}

impl Node {
    /// Joins the cluster that `peers` belong to. This member's own address is
    /// ignored, and so are its aliases once its own request comes back from there.
    /// Without other peers this member is a cluster of one, and
    /// [`Event::JoinComplete`](crate::Event::JoinComplete) has an empty list.
    ///
    /// While a join is under way, another call replaces the peers from the
    /// next round on. A member that left may join again.
    ///
    /// # Errors
    ///
    /// When this member has joined already.
    pub fn join(&mut self, now: Instant, peers: Vec<Address>) -> Result<(), CommandError> {
        self.advance_to(now);
        match self.state {
            State::Ready | State::Leaving => return Err(CommandError::AlreadyJoined),
            State::Left => {
                let labels = self.core.local_member().labels.clone();
                self.core.set_local(Status::Alive, labels);
            }
            State::Idle | State::Joining => {}
        }
        self.state = State::Joining;
        // A member that comes back may name no peers: it knows the cluster already.
        if !peers.is_empty() {
            self.redial.list(peers.clone());
        }
        let end = self.join.start(&mut self.core, peers);
        self.on_join_end(end);
        Ok(())
    }

    /// Leaves the cluster: declares it, announces it to some members directly, and
    /// reports [`Event::LeaveComplete`](crate::Event::LeaveComplete) when these have
    /// answered or their time is over. The member goes on answering until its process
    /// ends.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left already.
    pub fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        self.depart(now, Status::Leave)
    }

    /// Self-eviction: leaves like [`leave`](Self::leave), but declares this member
    /// faulty. For a process that ends and expects to be replaced at its address, or
    /// for an operator that takes a member out. Ringpop does so on `SIGTERM`.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left already.
    pub fn evict_self(&mut self, now: Instant) -> Result<(), CommandError> {
        self.depart(now, Status::Faulty)
    }

    fn depart(&mut self, now: Instant, status: Status) -> Result<(), CommandError> {
        self.advance_to(now);
        match self.state {
            State::Idle | State::Joining => return Err(CommandError::NotJoined),
            State::Leaving | State::Left => return Err(CommandError::AlreadyLeft),
            State::Ready => {}
        }
        self.stop_routine();
        self.core.stop_waiting_for_contact();
        self.state = State::Leaving;
        if self.leave.start(&mut self.core, status) {
            self.state = State::Left;
        }
        self.core.announce_view();
        Ok(())
    }

    /// Replaces the labels of this member; its identity stays. Setting equal
    /// labels changes nothing.
    ///
    /// # Errors
    ///
    /// When the labels exceed the limits or use the reserved prefix.
    pub fn set_labels(&mut self, now: Instant, labels: &Labels) -> Result<(), CommandError> {
        self.advance_to(now);
        check_public(labels)?;
        labels.check(&self.core.config.label_limits())?;
        let local = self.core.local_member();
        let internal = local.labels.iter().filter(|(key, _)| key.starts_with(INTERNAL_PREFIX));
        let labels = Labels::new(labels.iter().chain(internal))?;
        if labels != local.labels {
            let status = local.status;
            self.core.set_local(status, labels);
        }
        Ok(())
    }
}

/// Refuses labels that belong to the library.
pub(super) fn check_public(labels: &Labels) -> Result<(), LabelError> {
    match labels.iter().find(|(key, _)| key.starts_with(INTERNAL_PREFIX)) {
        Some((key, _)) => Err(LabelError::Internal(key.into())),
        None => Ok(()),
    }
}
