//! How a member begins: with nobody, with somebody later, with the wrong ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringpop::discovery::{
    Discovery, DiscoveryError, Dns, JsonFile, PeersFuture, Record, StaticList,
};
use ringpop::swim::{Config, Status};
use ringpop::{BootstrapError, Bootstrapped, Builder, Event, Problem, Ringpop, State};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// Discovery that says what the test wants.
#[derive(Debug, Clone, Default)]
struct Told {
    peers: Arc<Mutex<Vec<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Told {
    fn set(&self, peers: &[&str]) {
        *self.peers.lock().unwrap() = peers.iter().map(ToString::to_string).collect();
    }

    async fn asked(&self, times: usize) {
        let wanted = self.asked.load(Ordering::SeqCst) + times;
        while self.asked.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Discovery for Told {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let peers = self.peers.lock().unwrap().clone();
            match peers.first().map(String::as_str) {
                Some("unresolved") => Err(DiscoveryError::Unresolved {
                    name: "pods.test:7100".to_owned(),
                    cause: Arc::new(std::io::Error::other("no such name")),
                }),
                Some("broken") => Err(DiscoveryError::other("the registry is down")),
                _ => Ok(peers.iter().map(|peer| Record::new(peer.parse().unwrap())).collect()),
            }
        })
    }

    fn origin(&self) -> String {
        "the test".to_owned()
    }
}

fn builder(join: Duration, alone: impl Into<Option<Duration>>) -> Builder {
    let config = Config::local().to_builder().join_duration_max(join).build().unwrap();
    Ringpop::builder("test").config(config).start_alone_after(alone)
}

async fn serving(builder: Builder) -> Ringpop {
    let member = builder.bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    member
}

async fn alone() -> Ringpop {
    let member = serving(Ringpop::builder("test").config(Config::local())).await;
    member.bootstrap().await.unwrap();
    member
}

fn is_alone(member: &Ringpop) -> bool {
    member.problems().iter().any(|problem| matches!(problem, Problem::Alone { .. }))
}

/// The first process behind a name that lists only those that are ready.
#[tokio::test]
async fn a_member_whom_discovery_gives_nobody_starts_alone_and_says_so() {
    let wait = Duration::from_millis(300);
    for nobody in [&[][..], &["unresolved"]] {
        let told = Told::default();
        told.set(nobody);
        let member = serving(builder(PATIENCE, wait).discovery(Arc::new(told.clone()))).await;
        let mut events = member.events();
        let begun = Instant::now();
        let joined = timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
        assert!(begun.elapsed() >= wait, "the others may be about to be listed");
        assert!(told.asked.load(Ordering::SeqCst) > 1, "it was asked again");
        assert!(joined.joined.is_empty() && member.state() == State::Ready);
        assert!(is_alone(&member) && member.owns(b"key"));
        let problem = async {
            loop {
                if let Event::ProblemBegan(problem) = events.next().await.unwrap() {
                    return problem;
                }
            }
        };
        let text = timeout(PATIENCE, problem).await.unwrap().to_string();
        assert!(text.contains("cluster of its own") && text.contains("discovery"), "{text}");
    }
}

#[tokio::test]
async fn one_that_names_only_this_member_is_nobody_and_so_is_a_name_that_does_not_resolve() {
    let told = Told::default();
    let discovery = Arc::new(told.clone());
    let member = serving(builder(PATIENCE, Duration::from_millis(50)).discovery(discovery)).await;
    told.set(&[member.whoami()]);
    timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    assert!(is_alone(&member));

    // No resolver asks the network for this (RFC 6761, section 6.4).
    let name = "nowhere.invalid:7100".to_owned();
    let dns = Arc::new(Dns::new(&name).unwrap());
    let member = serving(builder(PATIENCE, Duration::from_millis(50)).discovery(dns)).await;
    timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    assert!(is_alone(&member));
}

#[tokio::test]
async fn a_bootstrap_that_was_given_up_after_the_join_goes_on_from_there() {
    let first = alone().await;
    let told = Told::default();
    told.set(&[first.whoami()]);
    let expected = Duration::from_secs(3);
    let builder = builder(PATIENCE, None).discovery(Arc::new(told)).expect(9, expected);
    let member = serving(builder).await;
    let waiting = member.clone();
    let bootstrap = tokio::spawn(async move { waiting.bootstrap().await });
    let joined = async {
        let mut views = first.views();
        views.wait_for(|view| view.ring.len() == 2).await.map(|_| ())
    };
    timeout(PATIENCE, joined).await.unwrap().unwrap();
    bootstrap.abort();
    assert!(bootstrap.await.unwrap_err().is_cancelled(), "it waits for members that never come");
    assert_eq!(member.state(), State::Bound);
    let begun = timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    assert_eq!((begun.joined.len(), begun.members, member.state()), (0, 2, State::Ready));
    member.leave_ring(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_wait_beyond_the_time_of_a_join_ends_with_it() {
    let limit = Duration::from_millis(1500);
    let told = Arc::new(Told::default());
    let member = serving(builder(limit, PATIENCE).discovery(told)).await;
    timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    assert!(is_alone(&member));
}

/// A list in the program cannot change while it is waited for, and no list at
/// all is meant so.
#[tokio::test]
async fn a_fixed_list_of_one_is_not_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let list = Arc::new(StaticList::parse(&address.to_string()).unwrap());
    let member = serving(builder(PATIENCE, 2 * PATIENCE).listen(address).discovery(list)).await;
    timeout(PATIENCE / 2, member.bootstrap()).await.unwrap().unwrap();
    assert!(is_alone(&member));
    let member = serving(builder(PATIENCE, 2 * PATIENCE)).await;
    timeout(PATIENCE / 2, member.bootstrap()).await.unwrap().unwrap();
    assert!(!is_alone(&member), "nobody asked for others");
}

#[tokio::test]
async fn peers_that_are_listed_later_are_joined() {
    let first = alone().await;
    for before in [&[][..], &["unresolved"], &["broken"], &["127.0.0.1:1"]] {
        let told = Told::default();
        told.set(before);
        let late = serving(builder(PATIENCE, PATIENCE).discovery(Arc::new(told.clone()))).await;
        let list = async {
            told.asked(2).await;
            told.set(&[first.whoami(), late.whoami()]);
        };
        let both = async { tokio::join!(late.bootstrap(), list) };
        let (joined, ()) = timeout(PATIENCE, both).await.unwrap();
        assert_eq!(joined.unwrap().joined.len(), 1, "after {before:?}");
        assert!(!is_alone(&late));
    }
}

/// Once it was said that it is alone, this is over with the first other member.
#[tokio::test]
async fn a_member_that_is_found_is_not_alone_any_more() {
    let told = Arc::new(Told::default());
    let first = serving(builder(PATIENCE, Duration::ZERO).discovery(told)).await;
    timeout(PATIENCE, first.bootstrap()).await.unwrap().unwrap();
    assert!(is_alone(&first));
    let peers = Arc::new(StaticList::parse(first.whoami()).unwrap());
    let second = serving(Ringpop::builder("test").config(Config::local()).discovery(peers)).await;
    second.bootstrap().await.unwrap();
    let known = async {
        while is_alone(&first) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, known).await.unwrap();
    assert_eq!(first.view().members.iter().filter(|m| m.status == Status::Alive).count(), 2);
}

#[tokio::test]
async fn a_member_starts_alone_when_the_peers_it_asked_are_listed_no_more() {
    let told = Told::default();
    told.set(&["127.0.0.1:1"]);
    let wait = Duration::from_millis(200);
    let member = serving(builder(PATIENCE, wait).discovery(Arc::new(told.clone()))).await;
    let vanish = async {
        told.asked(2).await;
        told.set(&["unresolved"]);
    };
    let both = async { tokio::join!(member.bootstrap(), vanish) };
    let (joined, ()) = timeout(PATIENCE, both).await.unwrap();
    assert!(joined.unwrap().joined.is_empty() && is_alone(&member));
}

#[tokio::test]
async fn others_that_are_listed_and_cannot_be_reached_are_no_reason_to_start_alone() {
    let told = Told::default();
    told.set(&["127.0.0.1:1", "127.0.0.1:2"]);
    let limit = Duration::from_millis(1500);
    let member = serving(builder(limit, Duration::ZERO).discovery(Arc::new(told))).await;
    let error = timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap_err();
    let BootstrapError::NoPeer { failures, .. } = &error else { panic!("{error:?}") };
    assert_eq!(failures.len(), 2, "each peer with its cause");
    let text = error.to_string();
    for part in ["127.0.0.1:1", "127.0.0.1:2", "refused", "nothing listens there", "the test"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(member.state(), State::Bound, "it may be tried again");
}

#[tokio::test]
async fn a_member_that_may_not_start_alone_fails_in_the_end_and_not_before() {
    let limit = Duration::from_millis(1500);
    for (says, text) in [(&[][..], "the test lists nobody"), (&["broken"], "registry is down")] {
        let told = Told::default();
        told.set(says);
        let alone = says.first().map(|_| Duration::ZERO);
        let member = serving(builder(limit, alone).discovery(Arc::new(told.clone()))).await;
        let begun = Instant::now();
        let error = timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap_err();
        assert!(begun.elapsed() >= limit, "{error} after {:?}", begun.elapsed());
        assert!(error.to_string().contains(text), "{error}");
        assert!(told.asked.load(Ordering::SeqCst) > 2);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = Arc::new(JsonFile::new(directory.path().join("hosts.json")));
    let member = serving(builder(limit, Duration::ZERO).discovery(file)).await;
    let error = timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("cannot read the hosts file"), "{error}");
}

#[tokio::test]
async fn an_address_that_another_process_answers_at_is_no_address_for_this_one() {
    let first = alone().await;
    let second = serving(Ringpop::builder("test").advertise(first.whoami())).await;
    let error = timeout(PATIENCE, second.bootstrap()).await.unwrap().unwrap_err();
    assert!(matches!(error, BootstrapError::AddressTaken { .. }), "{error:?}");
    assert!(error.to_string().contains(first.whoami()), "{error}");
    // Its own answers, by whatever name.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let advertise = format!("localhost:{}", address.port());
    let builder = Ringpop::builder("test").listen(address).advertise(advertise);
    let member = serving(builder).await;
    timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
}

#[tokio::test]
async fn settings_that_cannot_mean_what_was_written_are_refused() {
    let error = |builder: Builder| async move { builder.bind().await.unwrap_err() };
    let new = || Ringpop::builder("test");
    for (builder, part) in [
        (new().weight(5000), "5000"),
        (new().label("weight", "lots"), "lots"),
        (new().weight(1).label("weight", "7"), "`weight` is given more than once"),
        (new().label("rack", "1").label("rack", "2"), "`rack` is given more than once"),
    ] {
        let text = error(builder).await.to_string();
        assert!(text.contains(part), "{text}");
    }
}

/// ringpop-go's `JoinSize` and `ParallelismFactor`.
#[tokio::test]
async fn a_join_asks_as_many_members_as_the_settings_say() {
    let mut members: Vec<Ringpop> = Vec::new();
    for (join_size, join_parallelism, joined_from) in [(1, 1, 0), (1, 1, 1), (1, 1, 1), (2, 1, 2)] {
        let config = Config::local().to_builder();
        let config = config.join_size(join_size).join_parallelism(join_parallelism);
        let mut builder = Ringpop::builder("test").config(config.build().unwrap());
        if !members.is_empty() {
            let seeds = members.iter().map(Ringpop::whoami);
            builder = builder.discovery(Arc::new(StaticList::from_addresses(seeds).unwrap()));
        }
        let member = builder.bind().await.unwrap();
        member.serve(tonic::service::Routes::default()).unwrap();
        let Bootstrapped { joined, .. } =
            timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
        assert_eq!(joined.len(), joined_from, "{join_size} members are enough: {joined:?}");
        members.push(member);
    }
}
