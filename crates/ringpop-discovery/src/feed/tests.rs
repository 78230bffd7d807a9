use std::collections::VecDeque;
use std::fs;
use std::sync::Mutex;

use tokio::time::Instant;

use super::*;
use crate::limits::{NOBODY_INTERVAL, POLL_INTERVAL_MAX, POLL_INTERVAL_MIN};
use crate::{Function, Poll, PollError, StaticList, Union, channel};

const INTERVAL: Duration = Duration::from_secs(5);

/// What a scripted source does when it is asked.
#[derive(Debug, Clone)]
enum Answer {
    Peers(&'static [&'static str]),
    Failure(&'static str),
    After(Duration, &'static [&'static str]),
    Never,
}

use Answer::{After, Failure, Never, Peers};

/// A source that answers from a script, whose last answer it repeats, and notes when it was asked.
#[derive(Debug)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    asked_at: Mutex<Vec<Duration>>,
    start: Instant,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            asked_at: Mutex::new(Vec::new()),
            start: Instant::now(),
        })
    }

    fn feed(answers: impl IntoIterator<Item = Answer>) -> (Arc<Self>, Feed) {
        let script = Self::new(answers);
        let feed = Feed::new(Poll::new(script.clone(), INTERVAL).unwrap());
        (script, feed)
    }

    fn asked_at_ms(&self) -> Vec<u128> {
        self.asked_at.lock().unwrap().iter().map(Duration::as_millis).collect()
    }
}

impl Discovery for Script {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(async {
            self.asked_at.lock().unwrap().push(self.start.elapsed());
            let answer = {
                let mut answers = self.answers.lock().unwrap();
                if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
            };
            match answer.expect("a script has an answer") {
                Peers(addresses) => Ok(records(addresses)),
                Failure(message) => Err(DiscoveryError::other(message)),
                After(delay, addresses) => {
                    sleep(delay).await;
                    Ok(records(addresses))
                }
                Never => std::future::pending().await,
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

async fn next(snapshots: &mut Snapshots) -> Snapshot {
    snapshots.next().await.expect("the source goes on").expect("a list is known")
}

#[tokio::test(start_paused = true)]
async fn gives_the_first_list_at_once_and_then_only_changes() {
    let (script, feed) = Script::feed([
        Peers(&["b:1", "a:1"]),
        Peers(&["a:1", "b:1"]),
        Peers(&["b:1", "a:1", "b:1"]),
        Peers(&["a:1"]),
    ]);
    let mut snapshots = feed.snapshots();
    assert_eq!(next(&mut snapshots).await.records(), records(&["a:1", "b:1"]));
    assert_eq!(script.asked_at_ms(), [0]);
    assert_eq!(next(&mut snapshots).await.records(), records(&["a:1"]));
    assert_eq!(script.asked_at_ms(), [0, 5000, 10_000, 15_000]);
    let stats = feed.stats();
    assert_eq!((stats.lists, stats.changes, stats.failures), (4, 2, 0));
    // A reader that comes later begins with the last list.
    assert_eq!(next(&mut feed.snapshots()).await.records(), records(&["a:1"]));
}

#[tokio::test(start_paused = true)]
async fn a_failure_changes_the_freshness_and_not_the_list() {
    let (_, feed) = Script::feed([
        Peers(&["a:1"]),
        Failure("down"),
        Failure("down"),
        Peers(&[]),
        Peers(&["a:1"]),
        Peers(&["b:1"]),
    ]);
    let mut snapshots = feed.snapshots();
    assert!(next(&mut snapshots).await.freshness().is_live());
    // One change of freshness for three failures, the empty list among them.
    let failed = next(&mut snapshots).await;
    assert_eq!(failed.records(), records(&["a:1"]));
    let Freshness::Failed { reason, .. } = failed.freshness() else {
        panic!("the source is down: {failed:?}");
    };
    assert_eq!(&**reason, "down");
    assert_eq!(feed.peers().await.unwrap(), records(&["a:1"]), "the one-shot question too");
    let again = next(&mut snapshots).await;
    assert!(again.freshness().is_live() && again.records() == records(&["a:1"]), "{again:?}");
    assert_eq!(next(&mut snapshots).await.records(), records(&["b:1"]));
    assert_eq!(feed.stats().failures, 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_list_the_error_is_told() {
    let (_, feed) = Script::feed([Failure("down"), Peers(&[]), Peers(&["a:1"])]);
    assert_eq!(feed.peers().await.unwrap_err().to_string(), "down");
    let mut snapshots = feed.snapshots();
    assert!(snapshots.latest().is_none());
    assert_eq!(snapshots.next().await.unwrap().unwrap_err().to_string(), "down");
    assert!(snapshots.next().await.unwrap().unwrap_err().lists_nobody());
    assert_eq!(next(&mut snapshots).await.records(), records(&["a:1"]));
}

#[tokio::test(start_paused = true)]
async fn pauses_after_failures_double_up_to_a_bound_and_half_of_each_is_chance() {
    let (script, feed) = Script::feed([Failure("down")]);
    sleep(Duration::from_secs(120)).await;
    let asked = script.asked_at_ms();
    let mut longest = RETRY_MIN.as_millis();
    for pair in asked.windows(2) {
        let pause = pair[1] - pair[0];
        assert!((longest / 2..=longest + 1).contains(&pause), "{pause} of {longest}: {asked:?}");
        longest = (longest * 2).min(RETRY_MAX.as_millis());
    }
    assert!(asked.len() > 12, "{asked:?}");
    assert_eq!(feed.stats().failures, asked.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_lists_nobody_is_asked_at_a_steady_pace() {
    let (script, _feed) = Script::feed([Peers(&[])]);
    sleep(Duration::from_secs(10)).await;
    let asked = script.asked_at_ms();
    let pause = NOBODY_INTERVAL.as_millis();
    // An empty list is an answer of the source: the interval counts first.
    for pair in asked.windows(2).skip(1) {
        assert!(pair[1] - pair[0] <= INTERVAL.as_millis() + pause, "{asked:?}");
    }
    let unresolved = || async {
        let cause = Arc::new(std::io::Error::other("no such name"));
        Err(DiscoveryError::Unresolved { name: "workers:1".to_owned(), cause })
    };
    let source = Arc::new(Function::new("the name", unresolved));
    let feed = Feed::new(Poll::new(source, INTERVAL).unwrap());
    sleep(Duration::from_secs(10)).await;
    let asked = feed.stats().failures;
    assert!((10..=21).contains(&asked), "{asked} questions in 10 s");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_is_given_up_and_asked_again() {
    let (script, feed) = Script::feed([Never, Peers(&["a:1"])]);
    let mut snapshots = feed.snapshots();
    assert_eq!(
        snapshots.next().await.unwrap().unwrap_err().to_string(),
        "the script gave no answer within 30000 ms: check that it can be reached"
    );
    assert_eq!(next(&mut snapshots).await.records(), records(&["a:1"]));
    assert_eq!(script.asked_at_ms().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_question_serves_many_readers_however_often_they_give_up() {
    let (script, feed) = Script::feed([After(Duration::from_secs(3), &["a:1"])]);
    for _ in 0..2 {
        let mut snapshots = feed.snapshots();
        assert!(timeout(Duration::from_secs(1), snapshots.next()).await.is_err());
    }
    let (one, other) = tokio::join!(feed.peers(), feed.peers());
    assert_eq!((one.unwrap(), other.unwrap()), (records(&["a:1"]), records(&["a:1"])));
    assert_eq!(script.asked_at_ms(), [0]);
}

/// A registry that is down for ten minutes: readers go on with the last good list, and hear of the
/// end of it within the longest pause.
#[tokio::test(start_paused = true)]
async fn ten_minutes_without_the_source_empty_nothing() {
    let start = Instant::now();
    let outage = Duration::from_secs(5)..Duration::from_secs(605);
    let down = outage.clone();
    let function = move || {
        let is_down = down.contains(&start.elapsed());
        async move { if is_down { Err(DiscoveryError::other("down")) } else { Ok(records(&["a:1"])) } }
    };
    let source = Arc::new(Function::new("the registry", function));
    let feed = Feed::new(Poll::new(source, INTERVAL).unwrap());
    let mut snapshots = feed.snapshots();
    assert!(next(&mut snapshots).await.freshness().is_live());
    assert!(!next(&mut snapshots).await.freshness().is_live());
    while start.elapsed() + RETRY_MAX < outage.end {
        assert_eq!(feed.peers().await.unwrap(), records(&["a:1"]));
        sleep(RETRY_MAX).await;
    }
    assert!(next(&mut snapshots).await.freshness().is_live());
    assert!(start.elapsed() <= outage.end + RETRY_MAX, "{:?}", start.elapsed());
    let asked = feed.stats().failures;
    assert!((60..=140).contains(&asked), "{asked} questions in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_bounded() {
    let script = Script::new([Never]);
    let poll = |interval| Poll::new(script.clone(), interval);
    for interval in [POLL_INTERVAL_MIN, POLL_INTERVAL_MAX] {
        assert!(poll(interval).is_ok());
    }
    let tick = Duration::from_nanos(1);
    for interval in [Duration::ZERO, POLL_INTERVAL_MIN - tick, POLL_INTERVAL_MAX + tick] {
        assert_eq!(poll(interval).unwrap_err(), PollError::Interval { interval });
    }
    assert_eq!(
        poll(Duration::ZERO).unwrap_err().to_string(),
        "poll interval 0ns is not between 100ms and 3600s: choose one that is"
    );
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_reader() {
    let (script, feed) = Script::feed([Peers(&["a:1"])]);
    let mut snapshots = feed.snapshots();
    drop(feed);
    next(&mut snapshots).await;
    sleep(INTERVAL * 3).await;
    let asked = script.asked_at_ms().len();
    assert!(asked >= 3, "a reader keeps it running");
    drop(snapshots);
    sleep(INTERVAL * 3).await;
    assert_eq!(script.asked_at_ms().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_was_closed_leaves_its_last_list() {
    let (sender, source) = channel("our registry");
    let feed = Feed::new(source);
    sender.send(records(&["a:1"]));
    let mut snapshots = feed.snapshots();
    assert_eq!(next(&mut snapshots).await.records(), records(&["a:1"]));
    drop(sender);
    let last = next(&mut snapshots).await;
    assert_eq!(last.records(), records(&["a:1"]));
    assert!(!last.freshness().is_live());
    assert!(snapshots.next().await.is_none());
    assert_eq!(feed.peers().await.unwrap(), records(&["a:1"]));
}

#[tokio::test(start_paused = true)]
async fn records_can_be_changed_and_left_out() {
    let (sender, source) = channel("our registry");
    let feed = Feed::new(source.filter_map(|mut record| {
        record.weight = 3;
        (record.id != "b:1").then_some(record)
    }));
    sender.send(records(&["a:1", "b:1"]));
    let mut snapshots = feed.snapshots();
    let list = next(&mut snapshots).await;
    assert_eq!(list.records().len(), 1);
    assert_eq!((&*list.records()[0].id, list.records()[0].weight), ("a:1", 3));
    // Nothing left is no list.
    sender.send(records(&["b:1"]));
    assert!(!next(&mut snapshots).await.freshness().is_live());
}

#[tokio::test(start_paused = true)]
async fn a_union_lives_while_one_source_does() {
    let (broken, feed) = Script::feed([Failure("down")]);
    let list = Arc::new(StaticList::parse("a:1,b:1").unwrap());
    let fixed = Feed::new(Poll::new(list, POLL_INTERVAL_MAX).unwrap());
    let (sender, source) = channel("our registry");
    let mut heavy = records(&["b:1", "c:1"]);
    heavy[0].weight = 7;
    sender.send(heavy);
    let union = Union::new([feed, fixed, Feed::new(source)]).unwrap();
    assert_eq!(union.origin(), "the script and the list of peers and our registry");
    let union = Feed::new(union);
    let mut snapshots = union.snapshots();
    let list = next(&mut snapshots).await;
    // The first source that knows an id describes it.
    assert_eq!(list.records(), records(&["a:1", "b:1", "c:1"]));
    sender.send(records(&["d:1"]));
    assert_eq!(next(&mut snapshots).await.records(), records(&["a:1", "b:1", "d:1"]));
    assert!(!broken.asked_at_ms().is_empty());
    // An emptied registry takes nobody away.
    sender.send(Vec::new());
    sleep(INTERVAL).await;
    assert_eq!(union.peers().await.unwrap(), records(&["a:1", "b:1", "d:1"]));
    assert!(Union::new([]).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_union_of_sources_that_all_fail_says_why() {
    let (_, feed) = Script::feed([Failure("down")]);
    let union = Feed::new(Union::new([feed]).unwrap());
    assert_eq!(union.peers().await.unwrap_err().to_string(), "down");
}

#[tokio::test]
async fn the_cache_serves_a_process_that_starts_while_the_source_is_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("peers.json");
    let mut wanted = records(&["a:1", "b:1"]);
    wanted[0].id = "worker \"1\"".to_owned();
    wanted[0].zone = Some("eu-1a".to_owned());
    wanted[0].labels.insert("build".to_owned(), "42".to_owned());
    let (sender, source) = channel("our registry");
    let feed = Feed::with_cache(source, &path);
    sender.send(wanted.clone());
    // Written after it is told, hence the wait.
    while !path.exists() {
        sleep(Duration::from_millis(5)).await;
    }
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing is left beside the file: {names:?}");
    wanted.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(feed.peers().await.unwrap(), wanted);
    drop((feed, sender));

    let down = || Poll::new(Script::new([Failure("down")]), INTERVAL).unwrap();
    let feed = Feed::with_cache(down(), &path);
    let list = next(&mut feed.snapshots()).await;
    assert_eq!(list.records(), wanted);
    assert!(matches!(list.freshness(), Freshness::Cached { .. }), "{list:?}");

    // What cannot be used is as good as no file.
    fs::write(&path, "[{\"address\": \"a:1\", \"wei").unwrap();
    let feed = Feed::with_cache(down(), &path);
    assert_eq!(feed.peers().await.unwrap_err().to_string(), "down");
}

#[tokio::test(start_paused = true)]
async fn the_cache_waits_for_a_source_that_answers_and_not_for_one_that_hangs() {
    let directory = tempfile::tempdir().unwrap();
    // A file of its own for each feed: the list of the first one is written in the background.
    let feed = |file: &str, answer: Answer| {
        let path = directory.path().join(file);
        fs::write(&path, "[\"old:1\"]").unwrap();
        Feed::with_cache(Poll::new(Script::new([answer]), INTERVAL).unwrap(), &path)
    };
    let quick = feed("quick.json", After(CACHE_WAIT / 2, &["a:1"]));
    let list = next(&mut quick.snapshots()).await;
    assert!(list.freshness().is_live() && list.records() == records(&["a:1"]), "{list:?}");
    drop(quick);

    let slow = feed("slow.json", After(CACHE_WAIT * 5, &["a:1"]));
    let mut snapshots = slow.snapshots();
    assert_eq!(next(&mut snapshots).await.records(), records(&["old:1"]));
    let list = next(&mut snapshots).await;
    assert!(list.freshness().is_live() && list.records() == records(&["a:1"]), "{list:?}");
}

#[tokio::test(start_paused = true)]
async fn contradicting_records_are_left_out_and_counted() {
    let (sender, source) = channel("our registry");
    let feed = Feed::new(source);
    let mut list = records(&["a:1", "b:1", "b:1"]);
    list[1].weight = 7;
    sender.send(list);
    assert_eq!(feed.peers().await.unwrap(), records(&["a:1"]));
    assert_eq!(feed.stats().contradictions, 1);
}
