//! What an attempt watches while it waits for its owner: the time, and what others say of the
//! owner.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::connections::OpenCall;
use crate::limits::DIAL_PATIENCE;
use crate::resolver::Peer;
use crate::retry::peer_state::{PeerState, PeerStates};
use crate::transport::Progress;

/// Something about a running attempt that may call for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The owner is in doubt.
    InDoubt,
    /// There is no connection yet.
    SlowDial,
    /// There is no answer yet.
    SlowAnswer,
}

const SIGNALS: [Signal; 3] = [Signal::InDoubt, Signal::SlowDial, Signal::SlowAnswer];

/// What a running attempt tells the task that polls it.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) progress: Progress,
    /// One bit for each signal that nobody has taken yet.
    signals: AtomicU8,
}

impl Waiting {
    pub(crate) fn of(caller: Option<&Arc<OpenCall>>, is_own: bool) -> Self {
        Self { progress: Progress::of(caller.cloned(), is_own), signals: AtomicU8::new(0) }
    }

    fn raise(&self, signal: Signal) {
        self.signals.fetch_or(1 << signal as u8, Ordering::Relaxed);
    }

    /// Takes the first signal, if there is one.
    pub(crate) fn take(&self) -> Option<Signal> {
        let raised = self.signals.load(Ordering::Relaxed);
        let signal = SIGNALS.into_iter().find(|&signal| raised & (1 << signal as u8) != 0)?;
        self.signals.fetch_and(!(1 << signal as u8), Ordering::Relaxed);
        Some(signal)
    }
}

/// Why a watch ends the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The owner is gone.
    Gone,
    /// The attempt has had its time.
    OutOfTime(Duration),
}

/// The times of one attempt. Those that are `None` are not watched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// How long it may wait for its turn, and again from then on for the answer.
    pub(crate) limit: Option<Duration>,
    /// After how long without an answer [`Signal::SlowAnswer`] is raised.
    pub(crate) hedge: Option<Duration>,
    /// After how long without an answer [`Signal::InDoubt`] is raised, though nobody says so again.
    pub(crate) doubt: Option<Duration>,
}

pin_project! {
    /// Polled whenever the attempt is, and as long as it has not ended.
    pub(crate) struct Watch<'a> {
        peers: &'a PeerStates,
        peer: &'a Peer,
        #[pin]
        evidence: Notified<'a>,
        #[pin]
        timer: Option<Sleep>,
        // When the timer fires.
        due: Option<Instant>,
        begun: Option<Instant>,
        sent: Option<Instant>,
        times: Times,
        patience: Option<Duration>,
    }
}

impl<'a> Watch<'a> {
    pub(crate) fn new(peers: &'a PeerStates, peer: &'a Peer, times: Times) -> Self {
        Self {
            peers,
            peer,
            evidence: peers.changed(peer),
            timer: None,
            due: None,
            begun: None,
            sent: None,
            times,
            patience: Some(DIAL_PATIENCE),
        }
    }

    pub(crate) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        waiting: &Waiting,
    ) -> Poll<Over> {
        if self.as_mut().poll_evidence(cx, waiting).is_ready() {
            return Poll::Ready(Over::Gone);
        }
        self.poll_times(cx, waiting)
    }

    fn poll_evidence(self: Pin<&mut Self>, cx: &mut Context<'_>, waiting: &Waiting) -> Poll<()> {
        let mut this = self.project();
        while this.evidence.as_mut().poll(cx).is_ready() {
            this.evidence.set(this.peers.changed(this.peer));
            match this.peers.get(this.peer) {
                PeerState::Gone => return Poll::Ready(()),
                PeerState::Doubtful => waiting.raise(Signal::InDoubt),
                PeerState::Good => {}
            }
        }
        Poll::Pending
    }

    fn poll_times(self: Pin<&mut Self>, cx: &mut Context<'_>, waiting: &Waiting) -> Poll<Over> {
        let mut this = self.project();
        if waiting.progress.is_connecting_slowly() && this.patience.take().is_some() {
            waiting.raise(Signal::SlowDial);
        }
        loop {
            let begun = *this.begun.get_or_insert_with(Instant::now);
            if this.sent.is_none() && waiting.progress.is_sent() {
                // Most requests leave as soon as they can, when the first look at the clock is
                // recent enough.
                *this.sent = Some(if this.due.is_none() { begun } else { Instant::now() });
            }
            let limit = this.times.limit.map(|limit| this.sent.unwrap_or(begun) + limit);
            let patience = this.patience.filter(|_| waiting.progress.is_connecting());
            let after = |delay: Option<Duration>| delay.map(|delay| begun + delay);
            let (doubt, hedge, patience) =
                (after(this.times.doubt), after(this.times.hedge), after(patience));
            let Some(due) = [limit, doubt, hedge, patience].into_iter().flatten().min() else {
                return Poll::Pending;
            };
            if *this.due != Some(due) {
                *this.due = Some(due);
                match this.timer.as_mut().as_pin_mut() {
                    Some(timer) => timer.reset(due),
                    None => this.timer.set(Some(sleep_until(due))),
                }
            }
            let Some(timer) = this.timer.as_mut().as_pin_mut() else { return Poll::Pending };
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            if doubt == Some(due) {
                this.times.doubt = None;
                waiting.raise(Signal::InDoubt);
            } else if hedge == Some(due) {
                this.times.hedge = None;
                waiting.raise(Signal::SlowAnswer);
            } else if patience == Some(due) {
                *this.patience = None;
                waiting.raise(Signal::SlowDial);
            } else {
                return Poll::Ready(Over::OutOfTime(this.times.limit.unwrap_or_default()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn peer() -> Peer {
        Peer::new("a:1").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_begins_anew_when_the_request_leaves() {
        let (states, peer, waiting) = (PeerStates::default(), peer(), Waiting::default());
        let times = Times { limit: Some(200 * MS), ..Times::default() };
        let begin = Instant::now();
        waiting.progress.queued();
        let mut watch = pin!(Watch::new(&states, &peer, times));
        let sends = async {
            tokio::time::sleep(120 * MS).await;
            waiting.progress.sent();
        };
        let over = poll_fn(|cx| watch.as_mut().poll(cx, &waiting));
        // The transport marks it in the poll of the attempt, in which the watch is polled too.
        let polled = async {
            sends.await;
            std::future::pending::<()>().await;
        };
        let over = tokio::select! { biased; () = polled => unreachable!(), over = over => over };
        assert_eq!(over, Over::OutOfTime(200 * MS));
        assert_eq!(begin.elapsed(), 320 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn each_signal_is_raised_once_and_in_time() {
        let (states, peer, waiting) = (PeerStates::default(), peer(), Waiting::default());
        let times = Times { limit: Some(1000 * MS), hedge: Some(10 * MS), doubt: Some(400 * MS) };
        let begin = Instant::now();
        let mut watch = pin!(Watch::new(&states, &peer, times));
        let mut seen = Vec::new();
        let over = poll_fn(|cx| {
            let over = watch.as_mut().poll(cx, &waiting);
            while let Some(signal) = waiting.take() {
                seen.push((signal, begin.elapsed()));
            }
            over
        });
        assert_eq!(over.await, Over::OutOfTime(1000 * MS));
        let expected = [
            (Signal::SlowAnswer, 10 * MS),
            (Signal::SlowDial, DIAL_PATIENCE),
            (Signal::InDoubt, 400 * MS),
        ];
        assert_eq!(seen, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dial_that_is_slow_already_is_not_waited_for() {
        let (states, peer, waiting) = (PeerStates::default(), peer(), Waiting::default());
        let mut watch = pin!(Watch::new(&states, &peer, Times::default()));
        let mut poll = async || poll_fn(|cx| Poll::Ready(watch.as_mut().poll(cx, &waiting))).await;
        assert_eq!((poll().await, waiting.take()), (Poll::Pending, None));
        waiting.progress.connecting_slowly();
        assert_eq!((poll().await, waiting.take()), (Poll::Pending, Some(Signal::SlowDial)));
        assert_eq!((poll().await, waiting.take()), (Poll::Pending, None), "once");
    }

    #[tokio::test]
    async fn evidence_is_noticed_at_once() {
        let (states, peer, waiting) = (PeerStates::default(), peer(), Waiting::default());
        let mut watch = pin!(Watch::new(&states, &peer, Times::default()));
        let mut poll = async || poll_fn(|cx| Poll::Ready(watch.as_mut().poll(cx, &waiting))).await;
        assert_eq!(poll().await, Poll::Pending);
        states.set(&peer, PeerState::Doubtful);
        assert_eq!((poll().await, waiting.take()), (Poll::Pending, Some(Signal::InDoubt)));
        states.set(&peer, PeerState::Good);
        assert_eq!((poll().await, waiting.take()), (Poll::Pending, None));
        states.set(&peer, PeerState::Gone);
        assert_eq!(poll().await, Poll::Ready(Over::Gone));
    }
}
