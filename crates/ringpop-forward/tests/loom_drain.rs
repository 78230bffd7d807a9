//! The interleavings of the drain gate: no call slips through a closed gate, and the task that
//! waits for the last one is woken.
//!
//! The file of the gate is compiled as it is, over the primitives of loom.

#![allow(clippy::unwrap_used, reason = "a model that cannot go on fails its test")]

use std::sync::Arc;

use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

#[path = "../src/server/drain.rs"]
#[allow(dead_code, reason = "the models use a part of it")]
mod drain;

/// What the gate finds under this name in its own crate.
mod sync {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    /// The part of tokio's `Notify` that the gate uses, by its documentation: a future hears every
    /// `notify_waiters` that comes after it was made.
    #[derive(Debug, Default)]
    pub(crate) struct Notify(loom::sync::Mutex<Waiting>);

    #[derive(Debug, Default)]
    struct Waiting {
        calls: u64,
        wakers: Vec<Waker>,
    }

    impl Notify {
        pub(crate) fn notified(&self) -> Notified<'_> {
            Notified { notify: self, calls: self.0.lock().unwrap().calls }
        }

        pub(crate) fn notify_waiters(&self) {
            let wakers = {
                let mut waiting = self.0.lock().unwrap();
                waiting.calls += 1;
                std::mem::take(&mut waiting.wakers)
            };
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    #[derive(Debug)]
    pub(crate) struct Notified<'a> {
        notify: &'a Notify,
        calls: u64,
    }

    impl Notified<'_> {
        pub(crate) fn enable(self: Pin<&mut Self>) -> bool {
            self.notify.0.lock().unwrap().calls != self.calls
        }
    }

    impl Future for Notified<'_> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            let mut waiting = self.notify.0.lock().unwrap();
            if waiting.calls != self.calls {
                return Poll::Ready(());
            }
            waiting.wakers.push(cx.waker().clone());
            Poll::Pending
        }
    }
}

use drain::Gate;

/// Every interleaving with at most three switches that no thread asked for, which is where such
/// errors show; all of them would take minutes.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// Loom finds a lost wake-up as a deadlock.
#[test]
fn whoever_waits_for_the_last_call_is_woken() {
    model(|| {
        let gate = Arc::new(Gate::default());
        let tickets = [gate.enter(9).unwrap(), gate.enter(9).unwrap()];
        let calls = tickets.map(|ticket| thread::spawn(move || drop(ticket)));
        block_on(gate.drained());
        assert_eq!(gate.in_flight(), 0);
        calls.into_iter().for_each(|call| call.join().unwrap());
    });
}

#[test]
fn after_a_closed_gate_is_drained_no_call_is_inside_and_none_gets_in() {
    model(|| {
        let gate = Arc::new(Gate::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let call = {
            let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
            thread::spawn(move || {
                if let Ok(ticket) = gate.enter(9) {
                    inside.fetch_add(1, Ordering::Relaxed);
                    inside.fetch_sub(1, Ordering::Relaxed);
                    drop(ticket);
                }
            })
        };
        gate.close();
        block_on(gate.drained());
        assert_eq!(inside.load(Ordering::Relaxed), 0, "a call is inside");
        assert!(gate.enter(9).is_err());
        call.join().unwrap();
        assert_eq!(inside.load(Ordering::Relaxed), 0);
        assert_eq!(gate.in_flight(), 0);
    });
}

#[test]
fn a_full_gate_lets_nobody_in_and_counts_nobody_twice() {
    model(|| {
        let gate = Arc::new(Gate::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let enter = |gate: Arc<Gate>, inside: Arc<AtomicUsize>| {
            let ticket = gate.enter(1);
            if ticket.is_ok() {
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two are inside");
                inside.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let other = {
            let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
            thread::spawn(move || enter(gate, inside))
        };
        enter(Arc::clone(&gate), inside);
        other.join().unwrap();
        assert_eq!(gate.in_flight(), 0);
        assert!(gate.enter(1).is_ok());
    });
}
