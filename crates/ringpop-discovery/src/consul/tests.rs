mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::http::fake::{Fake, Reply};
use crate::{Discovery as _, Feed, Freshness, Snapshot, Snapshots};

/// What Consul 1.8.7 answers about five instances: two nodes, one service id on both, all states.
const RECORDED: &str = include_str!("recorded/health.json");

const PATIENCE: Duration = Duration::from_secs(20);

fn recorded() -> Vec<Record> {
    answer::records(RECORDED.as_bytes(), ConsulId::NodeAndService).unwrap()
}

fn find(records: &[Record], id: &str) -> Record {
    records.iter().find(|record| record.id == id).unwrap_or_else(|| panic!("{id}")).clone()
}

#[test]
fn a_recorded_answer_is_read_whole() {
    let records = recorded();
    assert_eq!(records.len(), 5);
    let passing = find(&records, "node-a/kv-0");
    assert_eq!(passing.address.as_str(), "10.0.0.1:7100");
    assert_eq!(
        (passing.healthy, passing.weight, passing.zone.as_deref()),
        (true, 3, Some("eu-1a"))
    );
    assert_eq!((&*passing.labels["tags"], &*passing.labels["build"]), ("blue,v2", "42"));
    // Without an address of its own an instance is at that of its node.
    let warning = find(&records, "node-a/kv-1");
    assert_eq!(warning.address.as_str(), "127.0.0.1:7101");
    assert_eq!((warning.healthy, warning.weight), (true, 1), "a warning has a weight of its own");
    let critical = find(&records, "node-a/kv-2");
    assert_eq!(critical.address.as_str(), "[fd00::2]:7102");
    assert!(!critical.healthy);
    assert_eq!(find(&records, "node-a/kv-0-b").address.as_str(), "worker-3.internal:7103");
    let other = find(&records, "node-b/kv-0");
    assert_eq!((other.address.as_str(), other.zone.as_deref()), ("10.0.0.9:7100", Some("eu-1b")));
}

#[test]
fn service_ids_can_be_the_ids() {
    let records = answer::records(RECORDED.as_bytes(), ConsulId::Service).unwrap();
    assert_eq!(records.iter().filter(|record| record.id == "kv-0").count(), 2, "left to the feed");
    find(&records, "kv-2");
}

#[test]
fn an_instance_that_cannot_be_used_is_left_out() {
    let broken = RECORDED.replacen("\"Port\": 7103", "\"Port\": 0", 1);
    assert_eq!(answer::records(broken.as_bytes(), ConsulId::default()).unwrap().len(), 4);
    let broken = RECORDED.replacen("worker-3.internal", "worker 3", 1);
    assert_eq!(answer::records(broken.as_bytes(), ConsulId::default()).unwrap().len(), 4);
    assert!(answer::records(b"{}", ConsulId::default()).is_err());
}

#[test]
fn ten_thousand_instances_are_read() {
    let entry = |i: u32| {
        format!(
            r#"{{"Node":{{"Node":"n{i}","Address":"10.0.{}.{}"}},"Service":{{"ID":"kv","Port":7100}},"Checks":[]}}"#,
            i / 250,
            i % 250
        )
    };
    let entries: Vec<String> = (0..10_000).map(entry).collect();
    let body = format!("[{}]", entries.join(","));
    assert_eq!(answer::records(body.as_bytes(), ConsulId::default()).unwrap().len(), 10_000);
}

#[test]
fn an_index_that_goes_backwards_is_forgotten() {
    assert_eq!(next_index(0, 17), 17);
    assert_eq!(next_index(17, 17), 17);
    assert_eq!(next_index(17, 20), 20);
    assert_eq!(next_index(20, 17), 0, "the servers were restored from a snapshot");
    assert_eq!(next_index(20, 0), 0);
}

fn health(index: u64, body: &str) -> Reply {
    Reply::Whole(200, format!("x-consul-index: {index}\r\n"), body.to_owned())
}

fn instance(id: &str) -> String {
    format!(
        r#"{{"Node":{{"Node":"n","Address":"10.0.0.1"}},"Service":{{"ID":"{id}","Port":7100}},"Checks":[]}}"#
    )
}

fn watch_kv(fake: &Fake) -> (Feed, Snapshots) {
    let agent = Agent::new(&fake.url).unwrap();
    let feed = Feed::new(Consul::new(&agent, "kv").tag("blue").tag("a b").datacenter("eu"));
    let snapshots = feed.snapshots();
    (feed, snapshots)
}

async fn next(snapshots: &mut Snapshots) -> Snapshot {
    timeout(PATIENCE, snapshots.next()).await.expect("in time").unwrap().expect("a list is known")
}

/// The index with which a request asks.
fn index_of(request: &str) -> Option<u64> {
    let line = request.lines().next()?;
    let (_, index) = line.strip_suffix(" HTTP/1.1")?.split_once("&index=")?;
    index.parse().ok()
}

#[tokio::test]
async fn changes_come_by_blocking_queries() {
    let fake = Fake::start().await;
    let (_feed, mut snapshots) = watch_kv(&fake);
    fake.reply(health(17, &format!("[{}]", instance("a")))).await;
    assert_eq!(next(&mut snapshots).await.records().len(), 1);
    fake.requested(2).await;
    let requests = fake.requests();
    let first = requests[0].lines().next().unwrap();
    assert_eq!(first, "GET /v1/health/service/kv?wait=60s&tag=blue&tag=a%20b&dc=eu HTTP/1.1");
    assert_eq!(index_of(&requests[1]), Some(17));
    // The same list again, then another one.
    fake.reply(health(18, &format!("[{}]", instance("a")))).await;
    fake.reply(health(19, &format!("[{},{}]", instance("a"), instance("b")))).await;
    assert_eq!(next(&mut snapshots).await.records().len(), 2);
    fake.requested(4).await;
    assert_eq!(index_of(&fake.requests()[3]), Some(19));
    // The index goes backwards: the next question does not wait for the former one to pass.
    fake.reply(health(5, &format!("[{}]", instance("b")))).await;
    assert_eq!(next(&mut snapshots).await.records().len(), 1);
    fake.requested(5).await;
    assert_eq!(index_of(&fake.requests()[4]), None);
}

#[tokio::test]
async fn whatever_goes_wrong_leaves_the_list_and_is_over_when_it_is() {
    let fake = Fake::start().await;
    let (feed, mut snapshots) = watch_kv(&fake);
    let list = format!("[{}]", instance("a"));
    fake.reply(health(17, &list)).await;
    assert!(next(&mut snapshots).await.freshness().is_live());
    for (trouble, expected) in [
        (Reply::Close, "cannot reach the service \"kv\" of Consul at http://127.0.0.1:"),
        (Reply::Garbage, "cannot reach the service"),
        (Reply::Whole(403, String::new(), "Permission denied".to_owned()), "service:read"),
        (Reply::Whole(500, String::new(), "No cluster leader".to_owned()), "log of the agent"),
        (health(18, "[{\"Node\":"), "an answer that cannot be read (EOF while parsing"),
        (health(18, "[]"), "lists no peers"),
    ] {
        fake.reply(trouble.clone()).await;
        let failed = next(&mut snapshots).await;
        let Freshness::Failed { reason, .. } = failed.freshness() else { panic!("{failed:?}") };
        assert!(reason.contains(expected), "{trouble:?}: {reason}");
        assert_eq!(failed.records().len(), 1, "nothing is emptied");
        fake.reply(health(30, &list)).await;
        assert!(next(&mut snapshots).await.freshness().is_live());
        // A list that is full again after an empty one is no change of it.
        assert_eq!(feed.stats().changes, 1);
    }
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_an_error_that_says_what_to_do() {
    let agent = Agent::new("http://127.0.0.1:9").unwrap();
    let feed = Feed::new(Consul::new(&agent, "kv"));
    let error = feed.peers().await.unwrap_err();
    assert!(!error.lists_nobody());
    let error = error.to_string();
    assert!(error.starts_with("cannot reach the service \"kv\" of Consul at http://127.0.0.1:9 ("));
    assert!(error.ends_with("check its address, and that it runs"), "{error}");
    let error = Agent::new("127.0.0.1:8500").unwrap_err().to_string();
    assert!(error.ends_with("write it as in http://127.0.0.1:8500"), "{error}");
}

#[tokio::test]
async fn the_token_is_read_for_each_request_and_https_needs_an_authority() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "one\n").unwrap();
    let fake = Fake::start().await;
    let agent = Agent::new(&fake.url).unwrap().token_file(&path);
    let mut consul = Consul::new(&agent, "kv");
    fake.reply(health(0, "[]")).await;
    consul.next().await.unwrap();
    std::fs::write(&path, "two").unwrap();
    fake.reply(health(0, "[]")).await;
    consul.next().await.unwrap();
    let requests = fake.requests();
    assert!(requests[0].contains("x-consul-token: one\r\n"), "{}", requests[0]);
    assert!(requests[1].contains("x-consul-token: two\r\n"), "{}", requests[1]);
    std::fs::remove_file(&path).unwrap();
    let error = consul.next().await.unwrap_err().to_string();
    assert!(error.contains("token"), "{error}");

    let agent = Agent::new(&fake.url.replace("http", "https")).unwrap();
    let error = Consul::new(&agent, "kv").next().await.unwrap_err().to_string();
    assert!(error.contains("no file with its authority is set"), "{error}");
}

#[tokio::test]
async fn a_registration_follows_readiness_and_an_agent_that_forgot() {
    let fake = Fake::start().await;
    let agent = Agent::new(&fake.url).unwrap();
    let mut service = Service::new("kv", "kv/0", "10.0.0.1:7100".parse().unwrap());
    service.tags.push("blue".to_owned());
    let (ready, is_ready) = watch::channel(false);
    let registration = Registration::new(&agent, service).unwrap();
    let task = tokio::spawn(registration.run(is_ready));
    let done = || Reply::Whole(200, String::new(), String::new());
    fake.reply(done()).await;
    fake.reply(done()).await;
    fake.requested(2).await;
    ready.send_replace(true);
    // The agent was restarted and knows no such check.
    fake.reply(Reply::Whole(500, String::new(), "no such check".to_owned())).await;
    for _ in 0..2 {
        fake.reply(done()).await;
    }
    fake.requested(5).await;
    drop(ready);
    fake.reply(done()).await;
    timeout(PATIENCE, task).await.expect("in time").unwrap();
    let requests = fake.requests();
    let path = |i: usize| requests[i].split(' ').nth(1).unwrap();
    let register = "/v1/agent/service/register?replace-existing-checks=true";
    let update = "/v1/agent/check/update/kv%2F0%3Aready";
    let expected =
        [register, update, update, register, update, "/v1/agent/service/deregister/kv%2F0"];
    assert_eq!((0..requests.len()).map(path).collect::<Vec<_>>(), expected);
    assert!(
        requests[0].contains(r#""Status":"critical""#) && requests[0].contains(r#""Port":7100"#)
    );
    assert!(requests[1].contains(r#""Status":"critical""#));
    assert!(requests[4].contains(r#""Status":"passing""#));
}

#[test]
fn a_registration_needs_a_name_an_id_and_a_weight() {
    let agent = Agent::new(DEFAULT_AGENT).unwrap();
    for (name, id, weight) in [("", "a", 1), ("a", " ", 1), ("a", "a", 0)] {
        let mut service = Service::new(name, id, "a:1".parse().unwrap());
        service.weight = weight;
        assert!(Registration::new(&agent, service).is_err());
    }
}

#[test]
fn a_record_is_registered_with_its_labels_and_its_zone() {
    let mut record = Record::new("10.0.0.1:7100".parse().unwrap());
    record.id = "kv-0".to_owned();
    record.weight = 3;
    record.zone = Some("eu-1a".to_owned());
    record.labels.insert("build".to_owned(), "42".to_owned());
    let service = Service::of_record("kv", record);
    assert_eq!((&*service.name, &*service.id, service.weight), ("kv", "kv-0", 3));
    assert_eq!((&*service.meta["zone"], &*service.meta["build"]), ("eu-1a", "42"));
}

#[tokio::test]
async fn a_silent_agent_does_not_hold_a_reader_for_ever() {
    let fake = Fake::start().await;
    let (feed, _snapshots) = watch_kv(&fake);
    let feed = Arc::new(feed);
    fake.reply(Reply::Silence).await;
    let error = timeout(PATIENCE, feed.peers()).await.expect("in time").unwrap_err();
    assert!(error.to_string().contains("gave no answer within"), "{error}");
}
