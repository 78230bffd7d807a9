//! The queue of the driver: order, back-pressure, the end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use swim_driver::limits::INPUTS_MAX;
use swim_driver::memory::Network;
use swim_driver::swim_core::{
    Address, CommandError, Event, Instant, JoinFailure, Labels, Node, State, Transmit,
};
use swim_driver::{
    Batch, Driver, Hooks, JoinProgress, Started, Stopped, Transport, WaitError, queue,
};
use tokio::time::{sleep, timeout};

use crate::support::{Member, address, cluster, node, run};

/// Longer than anything here takes, in virtual time.
const PATIENCE: Duration = Duration::from_secs(600);

/// Carries nothing: requests are under way for ever.
struct Silent;

impl Transport for Silent {
    type Input = ();

    fn start(&mut self, _: &Node, _: Transmit) -> Started {
        Started::UnderWay
    }

    async fn next(&mut self) {
        std::future::pending::<()>().await;
    }

    fn take(&mut self, _: &mut Node, _: Instant, (): ()) {}
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_holds_back_those_who_can_wait_and_counts_those_who_cannot() {
    let (handle, queue) = queue();
    let (driver, node) = (handle.clone(), node(1));
    // Nobody takes anything from the queue yet.
    for _ in 0..INPUTS_MAX {
        assert!(handle.try_tell(|_, _| {}));
    }
    assert!(!handle.try_tell(|_, _| {}), "there is no room");
    assert_eq!(handle.stats().inputs_dropped, 1);
    let held_back = tokio::spawn(async move { driver.with(|node, _| node.len()).await });
    sleep(Duration::from_secs(60)).await;
    assert!(!held_back.is_finished());
    tokio::spawn(Driver::new(queue, node, Silent, ()).run());
    assert_eq!(timeout(PATIENCE, held_back).await.unwrap().unwrap(), Ok(1));
    assert_eq!(handle.stats().inputs_dropped, 1);
}

/// A transport of which nothing comes must not keep the machine from its timers, nor
/// anybody from the machine.
#[tokio::test(start_paused = true)]
async fn a_transport_that_hangs_holds_nobody_up() {
    let (handle, _) = run(node(1), Silent, ());
    let mut joining = handle.join(vec![address(2)]).await.unwrap();
    match joining.next().await {
        Some(JoinProgress::Retrying { failures, .. }) => {
            assert_eq!(failures, [JoinFailure::Timeout { peer: address(2) }]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(handle.with(|node, _| node.state()).await, Ok(State::Joining));
}

/// A transport that always has something must not shut out commands.
#[tokio::test(start_paused = true)]
async fn a_transport_that_never_pauses_holds_nobody_up() {
    struct Flood;
    impl Transport for Flood {
        type Input = ();

        fn start(&mut self, _: &Node, _: Transmit) -> Started {
            Started::Undelivered
        }

        async fn next(&mut self) {
            tokio::task::consume_budget().await;
        }

        fn take(&mut self, node: &mut Node, now: Instant, (): ()) {
            node.handle_malformed(now, 1);
        }
    }
    let (handle, _) = run(node(1), Flood, ());
    for _ in 0..100 {
        handle.with(|node, _| node.len()).await.unwrap();
    }
    let stats = handle.with(|node, _| *node.stats()).await.unwrap();
    assert!(stats.rejected_invalid > 0, "it has its turns as well");
}

/// What hooks see in the order in which they see it.
#[derive(Clone, Default)]
struct Views {
    published: Arc<Mutex<Vec<(usize, usize)>>>,
    ended: Arc<AtomicUsize>,
}

impl Hooks for Views {
    fn publish(&mut self, node: &Node, _: Instant, batch: Batch) {
        self.published.lock().unwrap().push((node.local().labels.len(), batch.changed.len()));
    }

    fn end(&mut self, _: &Node) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_comes_after_what_follows_from_it_was_published() {
    let views = Views::default();
    let (handle, task) = run(node(1), Silent, views.clone());
    handle.join(Vec::new()).await.unwrap().next().await;
    let labels = Labels::new([("zone", "a")]).unwrap();
    handle.with(move |node, now| node.set_labels(now, &labels)).await.unwrap().unwrap();
    let published = views.published.lock().unwrap().clone();
    assert_eq!(published.first(), Some(&(0, 1)), "at the start, what is known");
    assert_eq!(published.last(), Some(&(1, 1)), "the label");
    assert_eq!(views.ended.load(Ordering::SeqCst), 0);

    handle.stop().await;
    timeout(PATIENCE, handle.ended()).await.unwrap();
    task.await.unwrap();
    assert_eq!(views.ended.load(Ordering::SeqCst), 1);
    assert_eq!(handle.with(|node, _| node.len()).await, Err(Stopped));
    assert_eq!(handle.tell(|_, _| {}).await, Err(Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_driver_ends_with_its_last_handle() {
    let views = Views::default();
    let (handle, task) = run(node(1), Silent, views.clone());
    let (weak, other) = (handle.downgrade(), handle.clone());
    drop(handle);
    other.with(|_, _| {}).await.unwrap();
    drop(other);
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert_eq!(views.ended.load(Ordering::SeqCst), 1, "in order");
    assert!(weak.upgrade().is_none());
}

/// Nobody may wait for ever for a member that is dead.
#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_stops_the_member_and_leaves_nobody_waiting() {
    let hook = |_: &Node, event: &Event| {
        assert!(!matches!(event, Event::JoinComplete { .. }), "the hook is broken");
    };
    let (handle, task) = run(node(1), Silent, hook);
    let ended = handle.clone();
    let ended = tokio::spawn(async move { ended.ended().await });
    let waits = handle.clone();
    let left = tokio::spawn(async move {
        waits.until(|_, _| Ok::<_, CommandError>(()), |_, _| None::<()>).await
    });
    sleep(Duration::from_secs(1)).await;
    let joined = handle.join(Vec::new()).await;
    assert!(matches!(joined, Err(WaitError::Stopped(Stopped))), "{joined:?}");
    timeout(PATIENCE, ended).await.unwrap().unwrap();
    let left = timeout(PATIENCE, left).await.unwrap().unwrap();
    assert_eq!(left, Err(WaitError::Stopped(Stopped)));
    assert!(task.await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn a_command_that_lasts_ends_with_its_event_or_is_refused() {
    let network = Network::new(1);
    let members = cluster(&network, 3).await;
    let over = |_: &Node, event: &Event| match event {
        Event::LeaveComplete { acknowledged, .. } => Some(*acknowledged),
        _ => None,
    };
    let told = members[0].handle.until(Node::leave, over).await;
    assert_eq!(told, Ok(2));
    let again = members[0].handle.until(Node::leave, over).await;
    assert_eq!(again, Err(WaitError::Refused(CommandError::AlreadyLeft)));
}

#[tokio::test(start_paused = true)]
async fn a_join_that_is_dropped_or_cancelled_is_given_up() {
    let network = Network::new(1);
    let member = Member::start(&network, 1);
    let handle = &member.handle;
    let joining = handle.join(vec![address(9)]).await.unwrap();
    assert_eq!(handle.with(|node, _| node.state()).await, Ok(State::Joining));
    drop(joining);
    assert_eq!(handle.with(|node, _| node.state()).await, Ok(State::Idle));

    let mut joining = handle.join(vec![address(9)]).await.unwrap();
    handle.with(Node::cancel_join).await.unwrap();
    while let Some(progress) = timeout(PATIENCE, joining.next()).await.unwrap() {
        assert!(matches!(progress, JoinProgress::Retrying { .. }), "{progress:?}");
    }

    let joining = handle.join(vec![address(9)]).await.unwrap();
    joining.cancel().await;
    assert_eq!(handle.with(|node, _| node.state()).await, Ok(State::Idle));

    // Before the machine has answered that it joins.
    let joining = timeout(Duration::ZERO, handle.join(vec![address(9)])).await;
    assert!(joining.is_err(), "its task has not run yet");
    assert_eq!(handle.with(|node, _| node.state()).await, Ok(State::Idle));
}

/// A member that left in order is not brought back by a join that was given up late.
#[tokio::test(start_paused = true)]
async fn other_peers_for_a_join_that_is_over_change_nothing() {
    let network = Network::new(1);
    let member = Member::start(&network, 1);
    let mut joining = member.handle.join(Vec::<Address>::new()).await.unwrap();
    assert!(matches!(joining.next().await, Some(JoinProgress::Complete(_))));
    member.handle.with(Node::leave).await.unwrap().unwrap();
    joining.replace_peers(vec![address(2)]).await;
    assert_eq!(member.handle.with(|node, _| node.state()).await, Ok(State::Left));
}
