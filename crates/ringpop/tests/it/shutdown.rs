//! How a member stops: at any time, whether or not anybody waits for it, and without loss for
//! clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringpop::discovery::StaticList;
use ringpop::forward::Routes;
use ringpop::swim::{self, Config, Labels};
use ringpop::{BootstrapError, Builder, Problem, Ringpop, ServeError, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tonic::Status;

use crate::echo::{Echo, METHOD, builder, call, channel, peers};

const PATIENCE: Duration = Duration::from_secs(60);

async fn serving(builder: Builder) -> Ringpop {
    let member = builder.bind().await.unwrap();
    member.serve(tonic::service::Routes::new(Echo)).unwrap();
    member
}

async fn port_is_free(member: &Ringpop) {
    let address: SocketAddr = member.whoami().parse().unwrap();
    let free = async {
        while TcpListener::bind(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, free).await.unwrap();
}

/// A member that was stopped does not come back by itself, although its process
/// lives on.
#[tokio::test]
async fn a_member_that_is_stopped_while_it_joins_never_joins() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let seed = Arc::new(StaticList::parse(&address.to_string()).unwrap());
    let member = serving(builder().discovery(seed)).await;
    let mut events = member.events();
    let joining = tokio::spawn({
        let member = member.clone();
        async move { member.bootstrap().await }
    });
    let retrying = async {
        use ringpop::{Event, swim};
        while !matches!(
            events.next().await.unwrap(),
            Event::Membership(swim::Event::JoinRetrying { .. })
        ) {}
    };
    timeout(PATIENCE, retrying).await.unwrap();
    let report = member.shutdown(PATIENCE).await;
    assert_eq!(report.told, 0);
    let error = timeout(PATIENCE, joining).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, BootstrapError::Stopped), "{error:?}");
    assert!(error.to_string().contains("stopped"), "{error}");
    assert_eq!(member.state(), State::Stopped);
    assert!(matches!(member.bootstrap().await, Err(BootstrapError::State(State::Stopped))));

    let seed = serving(builder().listen(address)).await;
    seed.bootstrap().await.unwrap();
    // The pauses of the join were shorter than this.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(seed.view().members.len(), 1);
    let stats = seed.membership_stats().await;
    assert_eq!(stats.joins_received, 0, "{stats:?}");
}

#[tokio::test]
async fn a_shutdown_that_nobody_waits_for_goes_on() {
    let member = serving(builder().lame_duck(Duration::from_millis(300))).await;
    member.bootstrap().await.unwrap();
    let given_up = timeout(Duration::from_millis(20), member.shutdown(PATIENCE)).await;
    assert!(given_up.is_err(), "it takes longer than that");
    timeout(PATIENCE, member.reached(State::Stopped)).await.unwrap();
    port_is_free(&member).await;
    // And a later call has nothing to wait for.
    timeout(Duration::from_secs(5), member.shutdown(PATIENCE)).await.unwrap();
}

#[tokio::test]
async fn a_later_call_with_less_time_hurries_the_first() {
    let hour = Duration::from_secs(3600);
    let member = serving(builder().lame_duck(hour)).await;
    member.bootstrap().await.unwrap();
    let first = tokio::spawn({
        let member = member.clone();
        async move { member.shutdown(hour).await }
    });
    timeout(PATIENCE, member.reached(State::Draining)).await.unwrap();
    timeout(PATIENCE, member.shutdown(Duration::from_millis(200))).await.unwrap();
    timeout(PATIENCE, first).await.unwrap().unwrap();
    assert_eq!(member.state(), State::Stopped);
    port_is_free(&member).await;
}

/// Silent success would let an operator believe that it was done.
#[tokio::test]
async fn a_member_that_has_stopped_takes_no_settings() {
    let member = serving(builder().lame_duck(Duration::ZERO)).await;
    member.bootstrap().await.unwrap();
    member.shutdown(PATIENCE).await;
    let labels = Labels::new([("rack", "1")]).unwrap();
    let text = "stopped";
    assert!(member.set_labels(labels).await.unwrap_err().to_string().contains(text));
    assert!(member.set_weight(3).await.unwrap_err().to_string().contains(text));
    assert!(member.set_zone("a").await.unwrap_err().to_string().contains(text));
    assert!(member.reconfigure(Config::local()).await.unwrap_err().to_string().contains(text));
    assert_eq!(member.serve(tonic::service::Routes::default()), Err(ServeError::Stopped));
}

#[tokio::test]
async fn weight_and_zone_survive_other_labels() {
    let member = serving(builder().weight(3).zone("a").label("rack", "1")).await;
    member.bootstrap().await.unwrap();
    let labels = |labels: &[(&str, &str)]| Labels::new(labels.iter().copied()).unwrap();
    member.set_labels(labels(&[("row", "2")])).await.unwrap();
    let own = || member.view().member(member.whoami()).unwrap().labels.clone();
    assert_eq!(own(), labels(&[("row", "2"), ("weight", "3"), ("zone", "a")]));
    member.set_weight(5).await.unwrap();
    member.set_zone("b").await.unwrap();
    assert_eq!(own(), labels(&[("row", "2"), ("weight", "5"), ("zone", "b")]));
    assert_eq!(member.view().ring.node(member.whoami()).unwrap().weight(), 5);
    for wrong in [member.set_weight(101).await, member.set_labels(labels(&[("weight", "x")])).await]
    {
        assert!(wrong.unwrap_err().to_string().contains("100"));
    }
    assert_eq!(own(), labels(&[("row", "2"), ("weight", "5"), ("zone", "b")]));
}

/// Calls without a pause until a call was answered that began after the member
/// was no longer ready.
async fn call_until_it_stops(member: Ringpop) -> Result<u32, Status> {
    let mut channel = channel(&member).await;
    for calls in 0.. {
        let is_ready = member.state() <= State::Ready;
        call(&mut channel, &format!("key-{calls}")).await?;
        if !is_ready {
            return Ok(calls);
        }
    }
    unreachable!("the member stops")
}

/// A client that has a connection and watches the state goes elsewhere in time.
#[tokio::test(flavor = "multi_thread")]
async fn clients_with_open_connections_are_served_and_forwarded_while_a_member_is_a_lame_duck() {
    let stays = serving(builder()).await;
    stays.bootstrap().await.unwrap();
    for round in 0..5 {
        let stops = (0..10).map(|_| async {
            let builder = builder().discovery(peers(&[&stays]));
            let member = serving(builder.lame_duck(Duration::from_millis(700))).await;
            member.bootstrap().await.unwrap();
            let client = tokio::spawn(call_until_it_stops(member.clone()));
            let report = member.shutdown(PATIENCE).await;
            (report.cut_off, client.await.unwrap())
        });
        for (cut_off, calls) in
            timeout(PATIENCE, futures_util::future::join_all(stops)).await.unwrap()
        {
            assert_eq!(cut_off, 0, "round {round}");
            calls.unwrap_or_else(|status| panic!("round {round}: {status}"));
        }
    }
}

/// Nobody takes over from the last one.
#[tokio::test]
async fn the_last_member_handles_what_comes_until_it_stops() {
    let member = serving(builder()).await;
    member.bootstrap().await.unwrap();
    let mut channel = channel(&member).await;
    assert_eq!(member.leave(PATIENCE).await, Ok(0));
    assert_eq!(member.state(), State::Draining);
    for key in ["a", "b", "c"] {
        call(&mut channel, key).await.unwrap();
    }
    assert_eq!(member.forward_stats().local, 3);
    assert_eq!(member.shutdown(PATIENCE).await.cut_off, 0);
    assert_eq!(member.state(), State::Stopped);
}

/// A front end of the process itself is served until it is done, however long that takes.
#[tokio::test]
async fn a_member_that_left_forwards_until_it_is_shut_down() {
    let stays = serving(builder()).await;
    stays.bootstrap().await.unwrap();
    let member = serving(builder().discovery(peers(&[&stays])).lame_duck(Duration::ZERO)).await;
    member.bootstrap().await.unwrap();
    let mut channel = channel(&member).await;
    assert_eq!(member.leave(PATIENCE).await, Ok(1), "the other one knows");
    assert_eq!((stays.view().ring.len(), member.state()), (1, State::Draining));
    let before = stays.forward_stats().local;
    for i in 0..20 {
        call(&mut channel, &format!("key-{i}")).await.unwrap();
    }
    assert_eq!(stays.forward_stats().local, before + 20);
    assert_eq!(member.leave(PATIENCE).await, Ok(0), "again, it tells nobody");
    assert_eq!(member.shutdown(PATIENCE).await.cut_off, 0);
    port_is_free(&member).await;
}

#[tokio::test]
async fn routes_that_no_service_has_are_told() {
    let routes = Routes::new().header("/test.v1.Ecco/Get").header(METHOD);
    let member = Ringpop::builder("test").routes(routes).bind().await.unwrap();
    // A service that has other methods, and a route of a service that is not there.
    member.serve(tonic::service::Routes::new(Echo)).unwrap();
    let told = async {
        loop {
            if let Some(problem) = member.problems().pop() {
                return problem;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let problem = timeout(PATIENCE, told).await.unwrap();
    let expected = Problem::RoutesUnserved { paths: vec!["/test.v1.Ecco/Get".to_owned()] };
    assert_eq!(problem, expected);
}

/// The server waits for its connections, and a peer that stands still keeps one open
/// for long: the member must not live on for it.
#[tokio::test]
async fn a_member_that_is_dropped_says_nothing_more_though_a_connection_is_open() {
    let seed = serving(builder()).await;
    seed.bootstrap().await.unwrap();
    let member = serving(builder().discovery(peers(&[&seed]))).await;
    member.bootstrap().await.unwrap();
    let address = member.whoami().to_owned();
    let mut silent = TcpStream::connect(&address).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // The server has taken the connection when it says its settings.
    silent.read_exact(&mut [0; 9]).await.unwrap();
    let known = async {
        while seed.view().member(&address).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, known).await.expect("a member that has joined becomes known");
    drop(member);
    let missed = async {
        while seed.view().member(&address).unwrap().status != swim::Status::Faulty {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, missed).await.expect("a member that is gone is missed");
    drop(silent);
}
