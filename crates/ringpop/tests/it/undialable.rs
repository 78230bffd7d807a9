//! A member that dials the others and that nobody can dial: it advertises a port
//! on which nobody listens, as behind a wrong port mapping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringpop::discovery::StaticList;
use ringpop::swim::{self, Config, Status};
use ringpop::{Event, Problem, Ringpop};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Free ports of loopback.
async fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let mut listeners = Vec::new();
    for _ in 0..N {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let ports: Vec<_> = listeners.iter().map(|port| port.local_addr().unwrap()).collect();
    ports.try_into().unwrap()
}

async fn member(listen: SocketAddr, advertise: SocketAddr, peers: &str) -> Ringpop {
    let member = Ringpop::builder("test")
        .listen(listen)
        .advertise(advertise.to_string())
        .discovery(Arc::new(StaticList::parse(peers).unwrap()))
        .config(Config::local())
        .bind()
        .await
        .unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    member
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a member got so many pings.
async fn pinged(member: &Ringpop, times: u64) {
    let pings = async {
        while member.membership_stats().await.pings_received < times {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, pings).await.expect("others ping it");
}

fn is_on_ring(observer: &Ringpop, address: SocketAddr) -> bool {
    observer.view().ring.node(&address.to_string()).is_some()
}

/// Takes connections to the advertised port to the one on which the member listens,
/// until the task is aborted.
async fn map_port(from: SocketAddr, to: SocketAddr) -> JoinHandle<()> {
    move_port(from, watch::channel(to).1).await
}

/// The same for a port that moves: connections from before stand still from then on,
/// as when packets get lost.
async fn move_port(from: SocketAddr, to: watch::Receiver<SocketAddr>) -> JoinHandle<()> {
    let listener = TcpListener::bind(from).await.unwrap();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut incoming, _)) = listener.accept().await {
            let mut to = to.clone();
            connections.spawn(async move {
                let target = *to.borrow_and_update();
                let mut outgoing = TcpStream::connect(target).await?;
                tokio::select! {
                    end = copy_bidirectional(&mut incoming, &mut outgoing) => end.map(drop),
                    Ok(()) = to.changed() => std::future::pending().await,
                }
            });
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_nobody_can_dial_is_off_the_rings_until_its_address_leads_to_it() {
    let [one, two, three, listen, advertised] = free_ports().await;
    let others = [one, two, three];
    let peers = others.map(|address| address.to_string()).join(",");
    let (a, b, c) = tokio::join!(
        member(others[0], others[0], &peers),
        member(others[1], others[1], &peers),
        member(others[2], others[2], &peers),
    );
    let others = [a, b, c];
    until("three see each other", || others.iter().all(|m| m.view().ring.len() == 3)).await;

    let lost = member(listen, advertised, &peers).await;
    let mut events = lost.events();
    let off_all = || others.iter().chain([&lost]).all(|m| !is_on_ring(m, advertised));
    until("it is off all rings, its own included", off_all).await;
    let problem = Problem::Unreachable { address: advertised.to_string().parse().unwrap() };
    until("it says that nobody reaches it", || lost.problems().contains(&problem)).await;
    assert!(problem.to_string().contains(&advertised.to_string()), "{problem}");
    // Its own pings keep telling the others that it lives, for several suspicions.
    let pings = others[0].membership_stats().await.pings_received;
    let time = Instant::now();
    while time.elapsed() < Duration::from_secs(3) {
        assert!(off_all(), "it came back by itself");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(others[0].membership_stats().await.pings_received > pings);
    assert!(others.iter().all(|member| member.problems().is_empty()), "it is not their problem");

    let _mapping = map_port(advertised, listen).await;
    let on_all = || others.iter().chain([&lost]).all(|m| is_on_ring(m, advertised));
    until("it is on all rings", on_all).await;
    until("its problem is over", || lost.problems().is_empty()).await;
    let (mut ended, mut again) = (false, false);
    while !(ended && again) {
        match timeout(PATIENCE, events.next()).await.expect("both events come").unwrap() {
            Event::ProblemEnded(over) => ended |= over == problem,
            Event::Membership(swim::Event::ReachableAgain { address, .. }) => {
                assert_eq!(address.as_str(), advertised.to_string());
                again = true;
            }
            _ => {}
        }
    }
}

/// An address that worked and does so no more, as when a mapping is removed, is the
/// same case, though its member was a proper one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_address_stops_to_work_leaves_the_rings() {
    let [one, two, listen, advertised] = free_ports().await;
    let others = [one, two];
    let peers = others.map(|address| address.to_string()).join(",");
    let (a, b) =
        tokio::join!(member(others[0], others[0], &peers), member(others[1], others[1], &peers),);
    let others = [a, b];
    let mapping = map_port(advertised, listen).await;
    let lost = member(listen, advertised, &peers).await;
    let on_all = || others.iter().chain([&lost]).all(|m| is_on_ring(m, advertised));
    until("it is on all rings", on_all).await;
    mapping.abort();
    let off_all = || others.iter().chain([&lost]).all(|m| !is_on_ring(m, advertised));
    until("it is off all rings", off_all).await;
    let problem = Problem::Unreachable { address: advertised.to_string().parse().unwrap() };
    until("it says that nobody reaches it", || lost.problems().contains(&problem)).await;
}

/// A host name leads elsewhere now, and the connections from before stand still: the
/// process at the new place is reached before anybody takes it for faulty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_moves_away_from_its_connections_is_not_missed() {
    let [one, two, before, after, advertised] = free_ports().await;
    let others = [one, two];
    let peers = others.map(|address| address.to_string()).join(",");
    let (a, b) =
        tokio::join!(member(others[0], others[0], &peers), member(others[1], others[1], &peers),);
    let others = [a, b];
    let (moves, place) = watch::channel(before);
    let _mapping = move_port(advertised, place).await;
    let former = member(before, advertised, &peers).await;
    let on_all = || others.iter().all(|m| is_on_ring(m, advertised));
    until("it is on all rings", on_all).await;
    // Each of the two has its connection then.
    pinged(&former, 12).await;

    let mut events = others.each_ref().map(Ringpop::events);
    moves.send(after).unwrap();
    drop(former);
    let successor = member(after, advertised, &peers).await;
    pinged(&successor, 12).await;
    assert!(on_all());
    for events in &mut events {
        while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
            let Event::Membership(swim::Event::MemberChanged { after: Some(after), .. }) = event
            else {
                continue;
            };
            assert_ne!(after.status, Status::Faulty, "{} was missed", after.address);
        }
    }
}
