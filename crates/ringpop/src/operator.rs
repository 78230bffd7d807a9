//! What operators have a running member do.

use std::sync::Arc;
use std::time::Duration;

use swim_core::{
    Address, CommandError, Config, Event as SwimEvent, Instant, Labels, Member, Node, Status,
};
use swim_driver::{Discover as _, Stopped, WaitError};
use tokio::sync::oneshot;
use tokio::time::{Instant as Clock, timeout};

use crate::bootstrap::{BootstrapError, Bootstrapped};
use crate::command_error::{HealError, LeaveRingError, ReapError, RejoinError, SetLabelsError};
use crate::hooks::HookPoint;
use crate::labels::with_limits;
use crate::limits::HEAL_LIMIT;
use crate::member::Ringpop;
use crate::planned;
use crate::state::State;

/// How a healing ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Healed {
    /// Members whose lists were compared with this member's.
    pub contacted: Vec<Address>,
    /// Members that did not answer.
    pub failures: usize,
}

impl Ringpop {
    /// The settings of the membership protocol as they are now.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn config(&self) -> Result<Config, Stopped> {
        let own = self.0.labels.lock().await;
        let config = self.0.handle.with(|node, _| node.config().clone()).await?;
        // The machine has room for labels of the library as well.
        Ok(with_limits(&config, own.limits))
    }

    /// Stops probing others until [`start_gossip`](Self::start_gossip). The member still answers
    /// them. For tests and for operators who look for a fault.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn stop_gossip(&self) -> Result<(), Stopped> {
        self.0.handle.with(Node::pause).await
    }

    /// Probes again after [`stop_gossip`](Self::stop_gossip).
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn start_gossip(&self) -> Result<(), Stopped> {
        self.0.handle.with(Node::resume).await
    }

    /// Probes one member now, also while gossip is stopped. Gives whether there was one to probe.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn tick(&self) -> Result<bool, Stopped> {
        self.0.handle.with(Node::tick).await
    }

    /// Has the cluster forget all members that are faulty; gives how many there were. See
    /// [`reap`](Self::reap) for one, and for those that have left.
    ///
    /// # Errors
    ///
    /// When this member has stopped.
    pub async fn reap_faulty(&self) -> Result<usize, ReapError> {
        if self.state() == State::Stopped {
            return Err(ReapError::Stopped);
        }
        Ok(self.0.handle.with(Node::reap_faulty).await?)
    }

    /// Looks for another partition now, and merges with it: asks the hosts that discovery lists,
    /// and the members that are faulty here, for their member lists. Two calls may be needed: after
    /// the first one members refute that they are faulty, and the second one merges.
    ///
    /// # Errors
    ///
    /// When discovery fails, this member has not joined or has left, or nobody answers for a
    /// minute.
    pub async fn heal(&self) -> Result<Healed, HealError> {
        let healing = async {
            let mut hosts = self.0.hosts.hosts().await?;
            let is_faulty = |member: &&Member| member.status == Status::Faulty;
            let view = self.view();
            hosts.extend(view.members.iter().filter(is_faulty).map(|m| m.address.clone()));
            let over = |_: &Node, event: &SwimEvent| match event {
                SwimEvent::HealEnded { contacted, failures } => {
                    Some(Healed { contacted: contacted.clone(), failures: *failures })
                }
                _ => None,
            };
            let heal = |node: &mut Node, now| node.heal(now, hosts);
            self.0.handle.until(heal, over).await.map_err(HealError::from)
        };
        timeout(HEAL_LIMIT, healing).await.unwrap_or(Err(HealError::TimedOut))
    }

    /// Leaves the ring and tells the others, within `limit`; gives how many members confirmed it.
    /// Unlike [`leave`](Self::leave), it is no part of a shutdown: this member stays ready, goes on
    /// to serve, forwards what it gets to the owners, and comes back by [`rejoin`](Self::rejoin).
    ///
    /// With a [hook](crate::Builder::hand_off) half of the time at most is for handing state over.
    /// The member leaves even when the time ends before that or the future is dropped. When no
    /// other member is left, it goes on to handle what comes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// # member.bootstrap().await?;
    /// member.leave_ring(Duration::from_secs(5)).await?;
    /// // ... an operator looks at the process ...
    /// member.rejoin(Duration::from_secs(30)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When this member is not ready, has left already or has stopped. Members that did not
    /// confirm within `limit` are no error: they learn it by gossip.
    pub async fn leave_ring(&self, limit: Duration) -> Result<usize, LeaveRingError> {
        self.go(limit, Node::leave, [HookPoint::BeforeLeave, HookPoint::AfterLeave]).await
    }

    /// Declares this member faulty and tells the others, within `limit`; gives how many members
    /// confirmed it. For a process that finds out that it is broken: others treat it as dead at
    /// once, instead of after the time of a detection. It comes back by [`rejoin`](Self::rejoin).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// # member.bootstrap().await?;
    /// member.evict_self(Duration::from_secs(5)).await?;
    /// member.rejoin(Duration::from_secs(30)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`leave_ring`](Self::leave_ring).
    pub async fn evict_self(&self, limit: Duration) -> Result<usize, LeaveRingError> {
        self.go(limit, Node::evict_self, [HookPoint::BeforeEvictSelf, HookPoint::AfterEvictSelf])
            .await
    }

    /// Goes as the machine is told, and waits until the others know. In a task of its own: a member
    /// that had handed its keys over and then did not go would own nothing for good.
    async fn go(
        &self,
        limit: Duration,
        go: fn(&mut Node, Instant) -> Result<(), CommandError>,
        [before, after]: [HookPoint; 2],
    ) -> Result<usize, LeaveRingError> {
        let state = self.state();
        if state != State::Ready {
            return Err(LeaveRingError::State(state));
        }
        let inner = Arc::clone(&self.0);
        let leaving = tokio::spawn(async move {
            inner.hooks.run(before, &inner.address).await;
            let mut time = TimeLeft(limit);
            // A move that takes longer is given up by going.
            time.bound(planned::off_ring(&inner, limit / 2)).await;
            let told = time.bound(inner.handle.until(go, left)).await.transpose()?.unwrap_or(0);
            inner.hooks.run(after, &inner.address).await;
            Ok(told)
        });
        leaving.await.unwrap_or(Err(LeaveRingError::Stopped))
    }

    /// Whether this member has left; waits while it is leaving.
    async fn is_away(&self) -> Result<bool, BootstrapError> {
        let is_leaving = |node: &mut Node, _| match node.state() {
            swim_core::State::Leaving => Ok(()),
            state => Err(state),
        };
        match self.0.handle.until(is_leaving, left).await {
            Ok(_told) => Ok(true),
            Err(WaitError::Refused(state)) => Ok(state != swim_core::State::Ready),
            Err(WaitError::Stopped(_)) => Err(BootstrapError::Stopped),
        }
    }

    /// Comes back after [`leave_ring`](Self::leave_ring) or [`evict_self`](Self::evict_self),
    /// within `limit` beside the times of its hooks. Dropping the future gives up, and another call
    /// goes on from there. A member that has joined by then gets its keys all the same, once their
    /// state is here.
    ///
    /// # Errors
    ///
    /// When this member has not left, no member that discovery lists could be joined, or the state
    /// of its keys is not here in time.
    pub async fn rejoin(&self, limit: Duration) -> Result<Bootstrapped, RejoinError> {
        let state = self.state();
        if state != State::Ready {
            return Err(RejoinError::State(state));
        }
        let mut time = TimeLeft(limit);
        let has_joined = !time.bound(self.is_away()).await.ok_or(RejoinError::TimedOut)??;
        // One that an earlier call has joined may have no keys yet.
        if has_joined && !self.0.labels.lock().await.waits {
            return Err(RejoinError::NotAway);
        }
        self.0.hooks.run(HookPoint::BeforeRejoin, &self.0.address).await;
        let joining = async {
            if !has_joined {
                self.stay_off_ring().await?;
            }
            self.join().await
        };
        let joined = time.bound(joining).await.ok_or(RejoinError::TimedOut)??;
        let (come, comes) = oneshot::channel();
        let member = self.clone();
        let coming = tokio::spawn(async move {
            member.come_onto_ring().await?;
            // Whether anybody waits for it or not.
            let _ = come.send(());
            member.0.hooks.run(HookPoint::AfterRejoin, &member.0.address).await;
            Ok::<_, BootstrapError>(())
        });
        // It fails with the task, which says why.
        let _ = time.bound(comes).await.ok_or(RejoinError::KeysLate)?;
        coming.await.unwrap_or(Err(BootstrapError::Stopped))?;
        Ok(joined.bootstrapped)
    }

    /// Sets some labels and removes others, in one step that other members see as one. A label
    /// `weight` or `zone` is the same as [`set_weight`](Self::set_weight) or
    /// [`set_zone`](Self::set_zone). Gives all labels as the others see them, with weight and zone.
    ///
    /// A label is removed before others are set: one that is among both has its new value. When one
    /// is refused, none changes.
    ///
    /// The weight of a ready member is a step of its own, after the rest: a
    /// [planned move](crate::hand_off), for which this waits as long as state is handed over, at
    /// most the [limit of a hand-off](crate::Builder::hand_off_limit). Dropping the future does not
    /// end the move.
    ///
    /// ```
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// let set = [("role", "dispatch"), ("weight", "3")];
    /// let labels = member.change_labels(set, ["rack"]).await?;
    /// assert_eq!((labels.get("role"), labels.get("weight")), (Some("dispatch"), Some("3")));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set_labels`](Self::set_labels).
    pub async fn change_labels<K: Into<String>, V: Into<String>>(
        &self,
        set: impl IntoIterator<Item = (K, V)>,
        remove: impl IntoIterator<Item = K>,
    ) -> Result<Labels, SetLabelsError> {
        let set: Vec<(String, String)> =
            set.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let remove: Vec<String> = remove.into_iter().map(Into::into).collect();
        self.update_labels(|own| {
            for key in &remove {
                own.remove(key);
            }
            for (key, value) in set {
                own.set(key, value)?;
            }
            Ok(())
        })
        .await?;
        self.all_labels().await
    }
}

/// What is left of the limit of a command. The hooks of an application have times of their own.
struct TimeLeft(Duration);

impl TimeLeft {
    /// Does a part of the command; `None` when the time was over first.
    async fn bound<T>(&mut self, part: impl Future<Output = T>) -> Option<T> {
        let began = Clock::now();
        let done = timeout(self.0, part).await.ok();
        self.0 = self.0.saturating_sub(began.elapsed());
        done
    }
}

/// How many members confirmed a leave, at its end.
fn left(_: &Node, event: &SwimEvent) -> Option<usize> {
    match event {
        SwimEvent::LeaveComplete { acknowledged, .. } => Some(*acknowledged),
        _ => None,
    }
}

impl From<WaitError<CommandError>> for HealError {
    fn from(error: WaitError<CommandError>) -> Self {
        match error {
            WaitError::Refused(refused) => Self::Refused(refused),
            WaitError::Stopped(_) => Self::Stopped,
        }
    }
}

impl From<WaitError<CommandError>> for LeaveRingError {
    fn from(error: WaitError<CommandError>) -> Self {
        match error {
            WaitError::Refused(refused) => Self::Refused(refused),
            WaitError::Stopped(_) => Self::Stopped,
        }
    }
}
