//! A member whose application blocks every thread of its runtime.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringpop::discovery::StaticList;
use ringpop::swim::{Config, Event as SwimEvent, Status};
use ringpop::{BindError, Builder, Event, Events, OwnLabelError, Ringpop, State};
use tokio::runtime::{self, Runtime};
use tokio::time::{sleep, timeout};
use tonic::service::Routes as Services;

use crate::echo;

const PATIENCE: Duration = Duration::from_secs(120);
const THREADS: usize = 2;

fn builder(peers: &[&Ringpop]) -> Builder {
    let mut builder = Ringpop::builder("blocked").config(Config::local()).lame_duck(Duration::ZERO);
    if !peers.is_empty() {
        let addresses = peers.iter().map(|member| member.whoami());
        builder = builder.discovery(Arc::new(StaticList::from_addresses(addresses).unwrap()));
    }
    builder
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn start(builder: Builder) -> Ringpop {
    let member = builder.bind().await.unwrap();
    member.serve(Services::new(echo::Echo)).unwrap();
    timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    member
}

/// Waits until a member sees so many reachable ones.
async fn sees(member: &Ringpop, members: usize) {
    let all = async {
        while member.view().reachable().count() != members {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("they see each other in time");
}

/// Blocks every thread of a runtime for so long, and gives how many it has blocked.
fn block(runtime: &Runtime, time: Duration) -> Arc<AtomicUsize> {
    let blocked = Arc::new(AtomicUsize::new(0));
    for _ in 0..THREADS {
        let blocked = Arc::clone(&blocked);
        runtime.spawn(async move {
            blocked.fetch_add(1, Ordering::SeqCst);
            // Not `tokio::time::sleep`: the thread is what is taken.
            std::thread::sleep(time);
        });
    }
    blocked
}

/// The worst that was heard of the member at `address`, or of anybody.
fn worst(events: &mut Events, address: Option<&str>) -> Status {
    let mut worst = Status::Alive;
    while let Some(Some(event)) = next_now(events) {
        if let Event::Membership(SwimEvent::MemberChanged { after: Some(after), .. }) = event
            && address.is_none_or(|address| after.address.as_str() == address)
            && matches!(after.status, Status::Suspect | Status::Faulty)
        {
            worst = worst.max(after.status);
        }
    }
    worst
}

/// The next event, when it is there already.
fn next_now(events: &mut Events) -> Option<Option<Event>> {
    use std::task::{Context, Poll, Waker};
    let mut next = std::pin::pin!(events.next());
    match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(event) => Some(event),
        Poll::Pending => None,
    }
}

/// What two members hear of a third one whose application blocks for `time`, and what that one
/// hears of them.
async fn heard(time: Duration, own_thread: bool) -> (Status, Status) {
    let first = start(builder(&[])).await;
    let second = start(builder(&[&first])).await;
    let runtime =
        runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
    let mut blocked = builder(&[&first, &second]);
    if own_thread {
        blocked = blocked.gossip_listen(any_port());
    }
    let blocked = runtime.spawn(start(blocked)).await.unwrap();
    for member in [&first, &second, &blocked] {
        sees(member, 3).await;
    }
    let address = blocked.whoami().to_owned();
    let (mut of_it, mut of_others) = (first.events(), blocked.events());
    let threads = block(&runtime, time);
    sleep(time).await;
    assert_eq!(threads.load(Ordering::SeqCst), THREADS, "every thread was blocked");
    let heard = (worst(&mut of_it, Some(&address)), worst(&mut of_others, None));
    let stopped = runtime.spawn(async move {
        blocked.shutdown(PATIENCE).await;
        blocked.state()
    });
    assert_eq!(stopped.await.unwrap(), State::Stopped);
    runtime.shutdown_background();
    heard
}

/// The time is longer than an unanswered member lives: a ping, the requests to others, and the
/// suspicion of the preset.
#[tokio::test]
async fn a_member_with_a_gossip_thread_outlives_a_blocked_runtime() {
    let (of_it, of_others) = heard(Duration::from_secs(5), true).await;
    assert_ne!(of_it, Status::Faulty);
    assert_ne!(of_others, Status::Faulty);
}

/// Bar: handlers that block every thread for 10 s cause no suspicion at all. It needs a machine on
/// which members are punctual, and is run on demand.
#[tokio::test]
async fn ten_seconds_of_blocked_handlers_cause_no_suspicion() {
    if std::env::var_os("RINGPOP_TEST_ALL").is_none_or(|value| value != "1") {
        return;
    }
    let heard_with = heard(Duration::from_secs(10), true).await;
    assert_eq!(heard_with, (Status::Alive, Status::Alive));
    // Without the thread it is taken for dead, which shows that the test bites.
    let (of_it, _) = heard(Duration::from_secs(10), false).await;
    assert_eq!(of_it, Status::Faulty);
}

#[tokio::test]
async fn the_gossip_port_is_told_by_a_label_and_is_free_after_a_stop() {
    let first = start(builder(&[])).await;
    let second = start(builder(&[&first]).gossip_listen(any_port())).await;
    sees(&first, 2).await;
    let view = first.view();
    let port = view.member(second.whoami()).unwrap().labels.get("gossip-port").unwrap().to_owned();
    assert_ne!(second.whoami(), format!("127.0.0.1:{port}"));
    second.set_label("version", "2").await.unwrap();
    assert_eq!(second.labels().await.get("gossip-port"), None, "it is not the application's");
    let version = async {
        while first.view().member(second.whoami()).unwrap().labels.get("version") != Some("2") {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, version).await.expect("gossip goes over that port");
    let kept =
        first.view().member(second.whoami()).unwrap().labels.get("gossip-port").map(str::to_owned);
    assert_eq!(kept.as_deref(), Some(&*port));

    let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let taken = builder(&[]).gossip_listen(address).bind().await.unwrap_err();
    assert!(matches!(taken, BindError::Listen { address: told, .. } if told == address), "{taken}");
    second.shutdown(PATIENCE).await;
    let next = start(builder(&[&first]).gossip_listen(address)).await;
    next.shutdown(PATIENCE).await;
    let reserved = builder(&[]).label("gossip-port", "1").bind().await.unwrap_err();
    assert!(matches!(reserved, BindError::OwnLabel(OwnLabelError::Reserved { .. })), "{reserved}");
}

/// One that is dropped without a shutdown ends its thread, too: its port is free.
#[tokio::test]
async fn a_member_that_is_dropped_ends_its_thread() {
    let member = builder(&[]).gossip_listen(any_port()).bind().await.unwrap();
    let port = {
        member.serve(Services::default()).unwrap();
        member.bootstrap().await.unwrap();
        let view = member.view();
        view.member(member.whoami()).unwrap().labels.get("gossip-port").unwrap().to_owned()
    };
    drop(member);
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let freed = async {
        while std::net::TcpListener::bind(address).is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, freed).await.expect("the port is free again");
}
