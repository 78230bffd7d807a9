//! Beside the gate and not inside of it, because its model (`tests/loom_drain.rs`) takes the file
//! of the gate as it is.

use std::sync::Arc;

use tokio_test_free::poll_once;

use crate::server::drain::{Gate, Refusal};

/// Polls a future once without a runtime.
mod tokio_test_free {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    pub(super) fn poll_once<F: Future>(future: Pin<&mut F>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

#[test]
fn drained_waits_for_the_last_ticket() {
    let gate = Arc::new(Gate::default());
    let (one, two) = (gate.enter(2), gate.enter(2));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(gate.enter(2).unwrap_err(), Refusal::Overloaded);
    let drained = gate.drained();
    tokio::pin!(drained);
    assert!(!poll_once(drained.as_mut()));
    drop(one);
    assert!(!poll_once(drained.as_mut()));
    drop(two);
    assert!(poll_once(drained.as_mut()));
}

#[test]
fn a_draining_gate_still_lets_in_and_a_closed_one_does_not() {
    let gate = Arc::new(Gate::default());
    gate.drain();
    let ticket = gate.enter(9);
    assert!(ticket.is_ok());
    gate.close();
    assert_eq!(gate.enter(9).unwrap_err(), Refusal::Draining);
    assert_eq!(gate.in_flight(), 1);
    drop(ticket);
    assert_eq!(gate.in_flight(), 0);
    assert_eq!(gate.enter(9).unwrap_err(), Refusal::Draining);
}
