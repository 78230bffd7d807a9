//! Joining and healing by discovery that changes, fails and hangs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use swim_driver::memory::Network;
use swim_driver::swim_core::{Address, CommandError, State};
use swim_driver::{Discover, Driver, JoinError, queue};
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
async fn discovery_that_fails_at_first_fails_the_join() {
    let network = Network::new(1);
    let member = Member::start(&network, 1);
    let failed = member.handle.join_discovered(&Script::new([failure()])).await;
    assert!(matches!(failed, Err(JoinError::Discovery(_))), "{failed:?}");
    let hung = member.handle.join_discovered(&Script::new([None])).await;
    assert!(matches!(hung, Err(JoinError::DiscoveryTimeout)), "{hung:?}");
    assert_eq!(member.handle.with(|node, _| node.state()).await, Ok(State::Idle));
    member.handle.join_discovered(&Vec::<Address>::new()).await.unwrap();
    let twice = member.handle.join_discovered(&Vec::<Address>::new()).await;
    assert!(matches!(twice, Err(JoinError::Refused(CommandError::AlreadyJoined))), "{twice:?}");
}

#[tokio::test(start_paused = true)]
async fn a_join_of_hosts_that_never_answer_fails_in_time() {
    let network = Network::new(1);
    let member = Member::start(&network, 1);
    let failed = member.handle.join_discovered(&vec![address(9)]).await;
    assert!(matches!(failed, Err(JoinError::Failed { .. })), "{failed:?}");
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
