//! Calls for keys that move: served by the old owner, or waiting for the new one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ringpop::forward::Routes;
use ringpop::testing::Cluster;
use ringpop::{Ringpop, WhileMoving};
use tonic::Code;
use tonic::service::Routes as Services;

use super::{Hooks, LONG, METHOD, Script, Step, call, channel, key};

/// Two members with the echo service. The first one leaves, and its hook gives until the deadline;
/// a key that moves, and the leave.
async fn leaving(policy: WhileMoving) -> (Cluster, String, tokio::task::JoinHandle<()>) {
    let hooks = Hooks::new();
    let scripts = hooks.clone();
    let settings = move |i, builder: ringpop::Builder| {
        let hook = scripts.set(i, Script::new([Step::Hangs, Step::Done, Step::Done]));
        let builder = builder.hand_off(hook).hand_off_limit(Duration::from_secs(1));
        builder.while_moving(policy).routes(Routes::new().header(METHOD).unary())
    };
    let services = |_, _: &Ringpop| Services::new(crate::echo::Echo);
    let cluster = Cluster::builder(2).settings(settings).services(services).start().await.unwrap();
    hooks.of(0).is_armed.store(true, Ordering::SeqCst);
    let leaver = cluster.member(0).clone();
    let key = (0..).map(key).find(|key| leaver.owns(key.as_bytes())).unwrap();
    let leave = tokio::spawn(async move {
        leaver.leave(LONG).await.unwrap();
    });
    hooks.of(0).saw("give").await;
    (cluster, key, leave)
}

#[tokio::test]
async fn calls_for_keys_that_move_are_served_by_the_old_owner_unless_they_are_to_wait() {
    let (cluster, key, leave) = leaving(WhileMoving::Serve).await;
    call(&mut channel(cluster.member(0)).await, &key).await.unwrap();
    assert!(!leave.is_finished());
    let stats = cluster.member(0).forward_stats();
    assert_eq!((stats.local, stats.held), (1, 0));
    leave.abort();

    let (cluster, key, leave) = leaving(WhileMoving::wait(LONG)).await;
    // Asked are the old owner, and another member that forwards there.
    let (mut old, mut other) = (channel(cluster.member(0)).await, channel(cluster.member(1)).await);
    let (here, there) = tokio::join!(call(&mut old, &key), call(&mut other, &key));
    here.unwrap();
    there.unwrap();
    let (old, new) = (cluster.member(0).forward_stats(), cluster.member(1).forward_stats());
    assert_eq!((old.local, old.held, old.held_refused), (0, 2, 0));
    assert_eq!(new.local, 2, "the new owner has handled both");
    leave.await.unwrap();
}

#[tokio::test]
async fn calls_that_wait_for_a_move_are_bounded_in_time_and_number() {
    let one = WhileMoving::Wait { limit: LONG, calls_max: 1 };
    let (cluster, key, leave) = leaving(one).await;
    let (mut first, mut second) =
        (channel(cluster.member(0)).await, channel(cluster.member(0)).await);
    let key_of_first = key.clone();
    let waiting = tokio::spawn(async move { call(&mut first, &key_of_first).await });
    let held = |cluster: &Cluster| cluster.member(0).forward_stats().held == 1;
    cluster.until("one waits", held).await.unwrap();
    let refused = call(&mut second, &key).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
    assert!(refused.message().contains("1 calls wait"), "{refused:?}");
    assert_eq!(cluster.member(0).forward_stats().held_refused, 1);
    waiting.await.unwrap().expect("it is served at the end of the move");
    leave.await.unwrap();
    // And a place is free again.
    call(&mut second, &key).await.unwrap();

    let short = WhileMoving::wait(Duration::from_millis(5));
    let (cluster, key, leave) = leaving(short).await;
    let late = call(&mut channel(cluster.member(0)).await, &key).await.unwrap_err();
    assert_eq!(late.code(), Code::Aborted, "{late:?}");
    assert!(late.message().contains("5ms"), "{late:?}");
    assert!(!leave.is_finished(), "the move goes on");
    for wrong in
        [WhileMoving::wait(Duration::ZERO), WhileMoving::Wait { limit: LONG, calls_max: 0 }]
    {
        let error =
            Ringpop::builder("test").while_moving(wrong).bind().await.unwrap_err().to_string();
        assert!(error.contains("calls for keys that move wait"), "{error}");
    }
}
