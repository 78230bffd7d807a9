//! One question to the owners of a call: an attempt at one of them, and at others beside it when
//! that one is slow or in doubt.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use smallvec::SmallVec;

use crate::body::Replay;
use crate::limits::OWNERS_WALK_MAX;
use crate::observe::ForwardEvent;
use crate::resolver::{Owner, Peer};
use crate::retry::attempt::{Asked, Attempt, Failure, ask, outcome};
use crate::retry::hedge::{HedgeContext, Side, hedge_after, race};
use crate::retry::policy::{AttemptOutcome, FailureClass};
use crate::retry::watch::{Signal, Times, Waiting};
use crate::route::key::Key;
use crate::server::call::Call;
use crate::transport::{PeerTransport, SendError};

/// The next owner to ask.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    pub(crate) owner: Owner,
    /// It was chosen among so many; 1 for the first owner of the key while nobody has failed.
    pub(crate) chosen_among: usize,
}

impl Next {
    /// The first owner of a key.
    pub(crate) fn first(owner: Owner) -> Self {
        Self { owner, chosen_among: 1 }
    }
}

/// The owner that was asked.
#[derive(Debug)]
pub(crate) struct Trail {
    /// Owners asked in this round.
    tried: SmallVec<[Arc<Peer>; 3]>,
    /// How many of them could not be reached.
    unreached: usize,
    /// Owners that failed, in all rounds.
    failed: SmallVec<[Arc<Peer>; 3]>,
    /// The owner whose answer, or failure, counted last.
    pub(crate) last: Option<Arc<Peer>>,
    /// Attempts made, in all rounds.
    pub(crate) made: u32,
    /// Those of them that count for the policy.
    pub(crate) counted: u32,
}

impl Trail {
    pub(crate) fn new() -> Self {
        Self {
            tried: SmallVec::new(),
            unreached: 0,
            failed: SmallVec::new(),
            last: None,
            made: 0,
            counted: 1,
        }
    }

    /// Begins again with the first owner.
    pub(crate) fn begin_round(&mut self) {
        self.tried.clear();
        self.unreached = 0;
    }

    fn begin(&mut self, peer: &Arc<Peer>) {
        self.tried.push(Arc::clone(peer));
        self.made += 1;
    }

    /// Takes note that `peer` has failed, and says whether it had not before.
    fn fails_first_time(&mut self, peer: &Arc<Peer>) -> bool {
        let is_first = !self.failed.contains(peer);
        if is_first {
            self.failed.push(Arc::clone(peer));
        }
        is_first
    }

    fn was_tried(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Local => false,
            Owner::Remote(peer) => self.tried.contains(peer),
        }
    }
}

/// The first owner that was not asked yet, looked up now. Owners that could not be reached do not
/// count among those that the policy allows, and those in doubt come after all others.
pub(crate) fn untried<T>(call: &Call<T>, key: &Key, trail: &Trail, remote: bool) -> Option<Next> {
    let (policy, peers) = (call.policy(), &call.shared.peers);
    let (allowed, walks) = (policy.owners(), policy.walks());
    if walks && trail.tried.len() - trail.unreached >= allowed {
        return None;
    }
    let mut wanted = if walks { allowed + trail.unreached } else { allowed };
    loop {
        wanted = wanted.min(OWNERS_WALK_MAX);
        let owners = call.owners(key, wanted);
        let mut in_doubt = None;
        for (rank, owner) in owners.iter().enumerate() {
            if trail.was_tried(owner) || (remote && *owner == Owner::Local) {
                continue;
            }
            // After a failure the first owner is one among several, too: while rings differ, it may
            // see others before itself that cannot serve the key, and would refuse again what it
            // may handle.
            let is_first_choice = rank == 0 && trail.made == 0;
            let chosen_among = if is_first_choice { 1 } else { allowed.max(rank + 1) };
            let next = Next { owner: owner.clone(), chosen_among };
            match owner {
                Owner::Remote(peer) if peers.avoids(peer) => {
                    in_doubt.get_or_insert(next);
                }
                _ => return Some(next),
            }
        }
        let is_all = !walks || owners.len() < wanted || wanted == OWNERS_WALK_MAX;
        if is_all || in_doubt.is_none() {
            return in_doubt;
        }
        wanted *= 2;
    }
}

/// One question.
pub(crate) struct Asking<'a, T> {
    pub(crate) call: &'a Call<T>,
    pub(crate) key: &'a Key,
    pub(crate) trail: &'a mut Trail,
    pub(crate) replay: &'a Replay,
    pub(crate) idempotent: bool,
}

/// The answer to one question, and whose it is.
pub(crate) type Answered<B> = (Arc<Peer>, Asked<B>);

/// What a signal of a running attempt leads to.
enum Reaction {
    /// It goes on.
    GoOn,
    /// It ends like this.
    End(SendError),
    /// Another one begins beside it.
    Beside(Next),
}

impl<T: PeerTransport> Asking<'_, T> {
    /// Asks `peer`, and others beside it when that is called for.
    pub(crate) async fn ask(&mut self, peer: Arc<Peer>, chosen_among: usize) -> Answered<T::Body> {
        self.trail.begin(&peer);
        let (call, replay) = (self.call, self.replay);
        let is_own = !call.is_received() && call.shared.server.get().is_some();
        let waiting = Waiting::of(call.ticket.call(), is_own);
        let attempt = Attempt {
            peer: &peer,
            chosen_among,
            number: self.trail.made,
            times: self.times(&peer),
            whole: self.idempotent,
        };
        let mut first = pin!(ask(call, attempt, replay, &waiting));
        loop {
            let event = poll_fn(|cx| match first.as_mut().poll(cx) {
                Poll::Ready(asked) => Poll::Ready(Ok(asked)),
                Poll::Pending => {
                    waiting.take().map_or(Poll::Pending, |signal| Poll::Ready(Err(signal)))
                }
            });
            let signal = match event.await {
                Ok(asked) => return (Arc::clone(&peer), asked),
                Err(signal) => signal,
            };
            match self.react(signal, &peer, &waiting) {
                Reaction::GoOn => {}
                Reaction::End(error) => return (Arc::clone(&peer), Err(Failure::Send(error))),
                // In a box, so calls without a hedge need no room for it.
                Reaction::Beside(next) => {
                    return Box::pin(self.ask_beside(&peer, first.as_mut(), next)).await;
                }
            }
        }
    }

    /// The times of an attempt that begins now.
    fn times(&self, peer: &Peer) -> Times {
        let shared = &self.call.shared;
        let policy = self.call.policy();
        let now = || HedgeContext {
            unary: self.call.route.unary,
            idempotent: self.idempotent,
            begins_here: self.call.via.hops == 0,
            whole: self.replay.is_whole(),
            attempts: self.trail.counted,
            remaining: self.call.deadline.map(|deadline| deadline.remaining()),
        };
        Times {
            limit: policy.attempt_limit(),
            // Without hedges, a call pays for none of the rest.
            hedge: policy.hedge().and_then(|_| hedge_after(policy, &now())),
            doubt: shared.peers.doubt_after(peer),
        }
    }

    fn react(&self, signal: Signal, peer: &Arc<Peer>, waiting: &Waiting) -> Reaction {
        let shared = &self.call.shared;
        let is_sent = waiting.progress.is_sent();
        match signal {
            Signal::SlowAnswer => match self.untried(true) {
                Some(next) if self.pays_for_hedge(peer) => Reaction::Beside(next),
                _ => Reaction::GoOn,
            },
            // Nothing of it has left, so it can go elsewhere whatever it is.
            Signal::SlowDial | Signal::InDoubt if !is_sent => match self.untried(false) {
                Some(next) if !self.is_avoided(&next) => {
                    let why = "it takes long to connect to it, or its state is in doubt";
                    Reaction::End(SendError::never_sent(why))
                }
                _ => Reaction::GoOn,
            },
            Signal::SlowDial => Reaction::GoOn,
            Signal::InDoubt => {
                let is_allowed = self.idempotent
                    && self.trail.counted < self.call.policy().attempts_max()
                    && self.replay.is_replayable();
                let Some(next) = is_allowed.then(|| self.untried(false)).flatten() else {
                    return Reaction::GoOn;
                };
                let runs_beside = self.call.route.unary && self.replay.is_whole();
                match &next.owner {
                    _ if self.is_avoided(&next) => Reaction::GoOn,
                    Owner::Remote(_) if runs_beside && self.pays_for_hedge(peer) => {
                        Reaction::Beside(next)
                    }
                    _ if runs_beside && next.owner != Owner::Local => Reaction::GoOn,
                    _ if shared.budgets.affords(peer) => {
                        let why = "its state is in doubt";
                        Reaction::End(SendError::ambiguous(why))
                    }
                    _ => Reaction::GoOn,
                }
            }
        }
    }

    fn pays_for_hedge(&self, peer: &Peer) -> bool {
        let shared = &self.call.shared;
        let pays = shared.budgets.spend(peer);
        if !pays {
            shared.counters.hedges_unaffordable.add_one();
        }
        pays
    }

    fn is_avoided(&self, next: &Next) -> bool {
        match &next.owner {
            Owner::Local => false,
            Owner::Remote(peer) => self.call.shared.peers.avoids(peer),
        }
    }

    fn untried(&self, remote: bool) -> Option<Next> {
        untried(self.call, self.key, self.trail, remote)
    }

    /// Goes on with the attempt at `peer`, and asks `next` and those behind it at the same time.
    /// Gives the first answer, or else the failure that came last.
    async fn ask_beside(
        &mut self,
        peer: &Arc<Peer>,
        first: Pin<&mut (impl Future<Output = Asked<T::Body>> + Send)>,
        next: Next,
    ) -> Answered<T::Body> {
        let call = self.call;
        let shared = &call.shared;
        shared
            .record(&shared.counters.hedges, ForwardEvent::Hedged { method: call.route.method() });
        self.trail.counted += 1;
        let first = async {
            let asked = first.await;
            let peer = Arc::clone(peer);
            match asked {
                Ok(response) => Ok((peer, response)),
                Err(failure) => Err((peer, failure)),
            }
        };
        let second = async {
            let (peer, asked) = self.ask_in_turn(next).await;
            match asked {
                Ok(response) => Ok((peer, response)),
                Err(failure) => Err((peer, failure)),
            }
        };
        let raced = race(first, second).await;
        if let Some((other, failure)) = raced.other {
            self.note(&other, &Err(failure));
        }
        if raced.result.is_ok() && raced.side == Side::Second {
            shared.record(
                &shared.counters.hedges_won,
                ForwardEvent::HedgeWon { method: call.route.method() },
            );
        }
        match raced.result {
            Ok((peer, response)) => (peer, Ok(response)),
            Err((peer, failure)) => (peer, Err(failure)),
        }
    }

    /// Asks `next`, and as long as nobody could be reached, those behind it.
    async fn ask_in_turn(&mut self, mut next: Next) -> Answered<T::Body> {
        loop {
            let Owner::Remote(peer) = next.owner else {
                unreachable!("hedges go to other processes");
            };
            let (peer, asked) = self.ask_boxed(peer, next.chosen_among).await;
            let is_unreached = asked.as_ref().is_err_and(|failure| is_unreached(failure.class()));
            match is_unreached.then(|| self.untried(true)).flatten() {
                Some(behind) => {
                    self.note(&peer, &asked);
                    next = behind;
                }
                None => return (peer, asked),
            }
        }
    }

    /// An attempt beside another one may be hedged itself.
    fn ask_boxed(
        &mut self,
        peer: Arc<Peer>,
        chosen_among: usize,
    ) -> Pin<Box<dyn Future<Output = Answered<T::Body>> + Send + '_>> {
        Box::pin(self.ask(peer, chosen_among))
    }

    /// Notes how an attempt ended, and tells the resolver, unless it says nothing about the peer.
    /// Attempts at one peer that one call has made in vain are one failure.
    pub(crate) fn note(&mut self, peer: &Arc<Peer>, asked: &Asked<T::Body>) {
        if let Err(failure) = asked
            && is_unreached(failure.class())
        {
            self.trail.unreached += 1;
        }
        let Some(outcome) = outcome(asked) else { return };
        let is_failure = matches!(outcome, AttemptOutcome::Failed(_));
        if !is_failure || self.trail.fails_first_time(peer) {
            self.call.resolver().report_attempt(self.key.as_bytes(), peer, outcome);
        }
    }
}

/// Whether the owner was not reached at all.
fn is_unreached(class: FailureClass) -> bool {
    class == FailureClass::NeverSent
}
