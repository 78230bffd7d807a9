use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;

const INTERVAL: Duration = Duration::from_secs(5);

/// What a scripted source does when it is asked.
#[derive(Debug)]
enum Answer {
    Peers(&'static [&'static str]),
    Failure(&'static str),
    After(Duration, &'static [&'static str]),
    Never,
}

/// A source that answers from a script and notes when it was asked.
#[derive(Debug)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    asked_at: Mutex<Vec<Duration>>,
    start: Instant,
}

impl Script {
    fn watch(answers: impl IntoIterator<Item = Answer>) -> (Arc<Self>, Watch) {
        let script = Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            asked_at: Mutex::new(Vec::new()),
            start: Instant::now(),
        });
        let watch = Watch::new(script.clone(), INTERVAL).unwrap();
        (script, watch)
    }

    fn asked_at_s(&self) -> Vec<u64> {
        self.asked_at.lock().unwrap().iter().map(Duration::as_secs).collect()
    }
}

impl Discovery for Script {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(async {
            self.asked_at.lock().unwrap().push(self.start.elapsed());
            let answer = self.answers.lock().unwrap().pop_front().expect("the script has ended");
            match answer {
                Answer::Peers(addresses) => Ok(records(addresses)),
                Answer::Failure(message) => Err(DiscoveryError::other(message)),
                Answer::After(delay, addresses) => {
                    tokio::time::sleep(delay).await;
                    Ok(records(addresses))
                }
                Answer::Never => std::future::pending().await,
            }
        })
    }

    fn origin(&self) -> String {
        "the script".to_owned()
    }
}

fn records(addresses: &[&str]) -> Vec<Record> {
    addresses.iter().map(|address| Record::new(address.parse().unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn yields_the_first_list_at_once_and_then_only_changes() {
    let (script, mut watch) = Script::watch([
        Answer::Peers(&["b:1", "a:1"]),
        Answer::Peers(&["a:1", "b:1"]),
        Answer::Peers(&["b:1", "a:1", "b:1"]),
        Answer::Peers(&["a:1"]),
    ]);
    assert_eq!(watch.changed().await.unwrap(), records(&["a:1", "b:1"]));
    assert_eq!(script.asked_at_s(), [0]);
    assert_eq!(watch.changed().await.unwrap(), records(&["a:1"]));
    assert_eq!(script.asked_at_s(), [0, 5, 10, 15]);
}

#[tokio::test(start_paused = true)]
async fn reports_each_failure_and_goes_on_after_the_interval() {
    let (script, mut watch) = Script::watch([
        Answer::Peers(&["a:1"]),
        Answer::Failure("down"),
        Answer::Failure("down"),
        Answer::Peers(&[]),
        Answer::Peers(&["a:1"]),
        Answer::Peers(&["b:1"]),
    ]);
    assert_eq!(watch.changed().await.unwrap(), records(&["a:1"]));
    assert_eq!(watch.changed().await.unwrap_err().to_string(), "down");
    assert_eq!(watch.changed().await.unwrap_err().to_string(), "down");
    assert_eq!(
        watch.changed().await.unwrap_err().to_string(),
        "the script lists no peers: add at least one host:port"
    );
    // The list from before the failures is no change.
    assert_eq!(watch.changed().await.unwrap(), records(&["b:1"]));
    assert_eq!(script.asked_at_s(), [0, 5, 10, 15, 20, 25]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_is_given_up_and_asked_again() {
    let (script, mut watch) = Script::watch([Answer::Never, Answer::Peers(&["a:1"])]);
    assert_eq!(
        watch.changed().await.unwrap_err().to_string(),
        "the script gave no answer within 30000 ms: check that it can be reached"
    );
    assert_eq!(watch.changed().await.unwrap(), records(&["a:1"]));
    assert_eq!(script.asked_at_s(), [0, 35]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_early_does_not_restart_the_question() {
    let (script, mut watch) = Script::watch([Answer::After(Duration::from_secs(3), &["a:1"])]);
    for _ in 0..2 {
        assert!(timeout(Duration::from_secs(1), watch.changed()).await.is_err());
    }
    assert_eq!(watch.changed().await.unwrap(), records(&["a:1"]));
    assert_eq!(script.asked_at_s(), [0]);
    assert_eq!(script.start.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_bounded() {
    let (script, _) = Script::watch([]);
    let watch = |interval| Watch::new(script.clone(), interval);
    for interval in [WATCH_INTERVAL_MIN, WATCH_INTERVAL_MAX] {
        assert!(watch(interval).is_ok());
    }
    let tick = Duration::from_nanos(1);
    for interval in [Duration::ZERO, WATCH_INTERVAL_MIN - tick, WATCH_INTERVAL_MAX + tick] {
        assert_eq!(watch(interval).unwrap_err(), WatchError::Interval { interval });
    }
    assert_eq!(
        watch(Duration::ZERO).unwrap_err().to_string(),
        "watch interval 0ns is not between 100ms and 3600s: choose one that is"
    );
}
