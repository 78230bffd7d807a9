//! Joining and healing by discovery that changes, fails and hangs.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringpop_discovery::{ChannelSender, Feed, Record, channel};
use swim_driver::limits::ALONE_AFTER;
use swim_driver::memory::Network;
use swim_driver::swim_core::{Address, CommandError, State};
use swim_driver::{Bootstrap, BootstrapError, Discover, Driver, Handle, Hosts, Lists, queue};
use tokio::time::{Instant, sleep};

use crate::support::{Member, address, node};

type Answer = Result<Vec<Address>, String>;

/// Gives one answer after the other, the last one for ever; notes when it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Option<Answer>>>>,
    asked: Arc<Mutex<Vec<Instant>>>,
}

impl Script {
    /// `None` stands for a question that hangs.
    fn new(answers: impl IntoIterator<Item = Option<Answer>>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), asked: Arc::default() }
    }

    fn asked(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().clone()
    }
}

impl Discover for Script {
    type Error = String;

    fn lists_nobody(error: &String) -> bool {
        error == NO_NAME
    }

    async fn hosts(&self) -> Answer {
        self.asked.lock().unwrap().push(Instant::now());
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            let next = answers.pop_front().unwrap();
            if answers.is_empty() {
                answers.push_back(next.clone());
            }
            next
        };
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn hosts(numbers: &[u64]) -> Option<Answer> {
    Some(Ok(numbers.iter().map(|i| address(*i)).collect()))
}

/// How a name fails to resolve that has no ready member.
const NO_NAME: &str = "no such name";

fn no_name() -> Option<Answer> {
    Some(Err(NO_NAME.to_owned()))
}

fn failure() -> Option<Answer> {
    Some(Err("the name server is down".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn discovery_is_asked_again_before_each_round_whatever_it_says_meanwhile() {
    let network = Network::new(1);
    let first = Member::join(&network, 1).await;
    let late = Member::start(&network, 2);
    let script = Script::new([hosts(&[9]), failure(), None, hosts(&[9]), hosts(&[1, 2])]);
    let joined = late.handle.join_discovered(&script).await.unwrap();
    assert_eq!((joined.peers, joined.members), (vec![address(1)], 2));
    assert_eq!(script.asked().len(), 5);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn discovery_that_fails_lists_nobody_or_only_this_member_is_asked_again() {
    let network = Network::new(1);
    let first = Member::join(&network, 1).await;
    let answers = [failure(), None, no_name(), hosts(&[]), hosts(&[7])];
    for (number, before) in (3..).zip(answers) {
        let late = Member::start(&network, number);
        let script = Script::new([before.clone(), before, hosts(&[1, number])]);
        let joined = late.handle.join_discovered(&script).await.unwrap();
        assert_eq!(joined.peers, [address(1)], "after {number}");
    }
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn discovery_that_never_works_fails_the_join_in_the_end() {
    let network = Network::new(1);
    let member = Member::start(&network, 1);
    let failed = member.handle.join_discovered(&Script::new([failure()])).await;
    assert!(matches!(failed, Err(BootstrapError::Discovery(_))), "{failed:?}");
    let hung = member.handle.join_discovered(&Script::new([None])).await;
    assert!(matches!(hung, Err(BootstrapError::DiscoveryTimeout { .. })), "{hung:?}");
    assert_eq!(member.handle.with(|node, _| node.state()).await, Ok(State::Idle));
    member.handle.join_discovered(&Vec::<Address>::new()).await.unwrap();
    let twice = member.handle.join_discovered(&Vec::<Address>::new()).await;
    assert!(
        matches!(twice, Err(BootstrapError::Refused(CommandError::AlreadyJoined))),
        "{twice:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_whom_discovery_gives_nobody_starts_alone_after_its_wait_and_says_why() {
    let network = Network::new(1);
    for (number, says, reason) in [(1, no_name(), NO_NAME), (2, hosts(&[2]), "lists nobody but")] {
        let member = Member::start(&network, number);
        let begun = Instant::now();
        let script = Script::new([says.clone()]);
        let bootstrapped = Bootstrap::new(&member.handle, &script).run().await.unwrap();
        assert!(bootstrapped.alone.unwrap().contains(reason));
        assert!((ALONE_AFTER..2 * ALONE_AFTER).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        // One that may not start alone fails when the time of a join is over.
        let member = Member::start(&network, number + 10);
        let script = Script::new([says.map(|answer| answer.map(|_| Vec::new()))]);
        let bootstrap = Bootstrap::new(&member.handle, &script).start_alone_after(None);
        let error = bootstrap.run().await.unwrap_err();
        assert!(matches!(error, BootstrapError::Nobody { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_may_not_join_joins_nobody() {
    let network = Network::new(1);
    let member = Member::start(&network, 1);
    let nobody = Vec::<Address>::new();
    let refused = Bootstrap::new(&member.handle, &nobody).only_if(|| false).run().await;
    assert!(matches!(refused, Err(BootstrapError::Stopped)), "{refused:?}");
    assert_eq!(member.handle.with(|node, _| node.state()).await, Ok(State::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_join_of_hosts_that_never_answer_fails_in_time() {
    let network = Network::new(1);
    let member = Member::start(&network, 1);
    let failed = member.handle.join_discovered(&vec![address(9)]).await;
    assert!(matches!(failed, Err(BootstrapError::NoPeer { .. })), "{failed:?}");
}

/// Two clusters that never heard of each other become one once discovery lists both,
/// though it fails at first: the pauses between questions double.
#[tokio::test(start_paused = true)]
async fn healing_asks_discovery_with_growing_pauses_until_it_answers() {
    let network = Network::new(1);
    let other = Member::join(&network, 1).await;
    let node = node(2);
    let endpoint = network.endpoint(&node).unwrap();
    let (handle, queue) = queue();
    let failures = std::iter::repeat_with(failure).take(4);
    let script = Script::new(failures.chain([None, hosts(&[1, 2])]));
    let driver = Driver::new(queue, node, endpoint, ()).discovery(script.clone());
    tokio::spawn(driver.run());
    handle.join_discovered(&Vec::<Address>::new()).await.unwrap();
    let started = Instant::now();
    while handle.with(|node, _| node.len()).await != Ok(2) {
        assert!(started.elapsed() < Duration::from_secs(3600), "they do not find each other");
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(handle.stats().discovery_failures, 5, "four errors and one that hung");
    let asked = script.asked();
    let pauses: Vec<u64> = asked.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect();
    assert_eq!(pauses[..4], [1, 2, 4, 8], "one question at a time");
    assert_eq!(pauses[4], 30 + 16, "the one that hung was given up");
    drop(other);
}

/// Starts a member whose lists come by a feed that the test writes.
fn watched(network: &Network, i: u64) -> (Handle, Hosts, ChannelSender) {
    let (registry, source) = channel("the registry");
    let hosts = Hosts::new(Arc::new(Feed::new(source)));
    let node = node(i);
    let endpoint = network.endpoint(&node).unwrap();
    let (handle, queue) = queue();
    tokio::spawn(Driver::new(queue, node, endpoint, ()).discovery(hosts.clone()).run());
    (handle, hosts, registry)
}

fn records(numbers: &[u64]) -> Vec<Record> {
    let record = |i: &u64| Record::new(address(*i).as_str().parse().unwrap());
    numbers.iter().map(record).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_pushed_ends_the_pause_of_a_member_that_waits() {
    let network = Network::new(1);
    let first = Member::join(&network, 1).await;
    let (handle, hosts, registry) = watched(&network, 2);
    registry.send(records(&[2]));
    let joining = tokio::spawn({
        let (handle, hosts) = (handle.clone(), hosts.clone());
        async move { Bootstrap::new(&handle, &hosts).start_alone_after(None).run().await }
    });
    // Its pauses have grown to seconds by then.
    sleep(Duration::from_secs(20)).await;
    let begun = Instant::now();
    registry.send(records(&[1, 2]));
    let joined = joining.await.unwrap().unwrap();
    assert_eq!((joined.joined.peers, joined.alone), (vec![address(1)], None));
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    drop(first);
}

/// Members that began apart are one cluster when discovery can tell, by the first round of a
/// healing or two, and not when the next healing is due.
#[tokio::test(start_paused = true)]
async fn lists_that_are_pushed_reach_members_that_have_joined() {
    let network = Network::new(1);
    let mut members = Vec::new();
    for i in 1..=3 {
        let (handle, hosts, registry) = watched(&network, i);
        registry.send(records(&[i]));
        handle.join_discovered(&hosts).await.unwrap();
        members.push((handle, hosts, registry));
    }
    let begun = Instant::now();
    for (_, _, registry) in &members {
        registry.send(records(&[1, 2, 3]));
    }
    for (handle, ..) in &members {
        let expected = handle.expect_members(3, begun, Duration::from_secs(60)).await;
        assert_eq!(expected, Ok(3));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// A list that came while the member joined is not lost.
#[tokio::test(start_paused = true)]
async fn a_list_waits_until_the_member_has_joined() {
    let network = Network::new(1);
    let (first, second) = (Member::join(&network, 1).await, Member::start(&network, 2));
    second.handle.join_discovered(&Vec::<Address>::new()).await.unwrap();
    let (handle, _, registry) = watched(&network, 3);
    registry.send(records(&[1, 2, 3]));
    sleep(Duration::from_secs(1)).await;
    // It joins one of the two clusters, and heals with the other.
    handle.join_discovered(&vec![address(1)]).await.unwrap();
    let begun = Instant::now();
    assert_eq!(handle.expect_members(3, begun, Duration::from_secs(60)).await, Ok(3));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop((first, second));
}

#[tokio::test(start_paused = true)]
async fn members_that_are_expected_are_waited_for_until_the_time_is_over() {
    let network = Network::new(1);
    let first = Member::join(&network, 1).await;
    let begun = Instant::now();
    let within = Duration::from_secs(7);
    assert_eq!(first.handle.expect_members(2, begun, within).await, Ok(1));
    assert_eq!(begun.elapsed(), within);
    let (expected, second) = tokio::join!(
        first.handle.expect_members(2, Instant::now(), within),
        Member::join(&network, 2)
    );
    assert_eq!(expected, Ok(2));
    drop(second);
}

/// What a source of one's own pushes.
struct Pushed(VecDeque<Vec<Address>>);

impl Lists for Pushed {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Vec<Address>>> + Send + '_>> {
        Box::pin(std::future::ready(self.0.pop_front()))
    }
}

/// Pushes its lists at once and then nothing more, and is never asked.
#[derive(Clone)]
struct Ended(Vec<Vec<Address>>);

impl Discover for Ended {
    type Error = String;

    async fn hosts(&self) -> Answer {
        Ok(self.0.last().cloned().unwrap_or_default())
    }

    fn lists(&self) -> Option<Box<dyn Lists>> {
        Some(Box::new(Pushed(self.0.clone().into())))
    }
}

#[tokio::test(start_paused = true)]
async fn lists_may_end() {
    let network = Network::new(1);
    let first = Member::join(&network, 1).await;
    let ended = Ended(vec![vec![address(2)], vec![address(1), address(2)]]);
    let node = node(2);
    let endpoint = network.endpoint(&node).unwrap();
    let (handle, queue) = queue();
    tokio::spawn(Driver::new(queue, node, endpoint, ()).discovery(ended.clone()).run());
    assert_eq!(handle.join_discovered(&ended).await.unwrap().members, 2);
    drop(first);
}
