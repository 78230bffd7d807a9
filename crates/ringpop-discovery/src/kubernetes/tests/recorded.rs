//! What a real API server answered (`tests/real/kubernetes.rs` writes it down): that of Kubernetes
//! 0.36, with slices as a custom resource.

use super::*;

const PAGE_1: &str = include_str!("../recorded/page-1.json");
const PAGE_2: &str = include_str!("../recorded/page-2.json");
const WATCH: &str = include_str!("../recorded/watch.jsonl");
/// Status, and body: the answer to a watch from a version that is too old.
const GONE: &str = include_str!("../recorded/gone.txt");

fn whole(body: &str) -> Reply {
    Reply::Whole(200, String::new(), body.to_owned())
}

/// An answer with its status in the first line.
fn with_status(recorded: &str) -> Reply {
    let (status, body) = recorded.split_once('\n').unwrap();
    match status.parse().unwrap() {
        200 => Reply::Open(body.to_owned()),
        status => Reply::Whole(status, String::new(), body.to_owned()),
    }
}

fn events() -> impl Iterator<Item = (&'static str, String)> {
    WATCH.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        (line, event["type"].as_str().unwrap().to_owned())
    })
}

#[test]
fn it_has_what_a_watch_may_bring() {
    let kinds: Vec<_> = events().map(|(_, kind)| kind).collect();
    for kind in ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"] {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind}: {kinds:?}");
    }
    assert!(GONE.contains("\"code\":410"), "{GONE}");
}

#[tokio::test]
async fn pages_and_events_of_a_real_server_are_read() {
    let fake = Fake::start().await;
    let (feed, mut snapshots) = watch_kv(&fake);
    fake.reply(whole(PAGE_1)).await;
    fake.reply(whole(PAGE_2)).await;
    let listed = next(&mut snapshots).await;
    assert_eq!(ids(&listed), ["a", "b", "c"]);
    let read: Vec<_> = listed.records().iter().map(|r| (r.address.as_str(), r.healthy)).collect();
    assert_eq!(read, [("10.0.0.1:7100", true), ("10.0.0.2:7100", false), ("10.0.0.3:7100", true)]);
    assert_eq!(listed.records()[0].zone.as_deref(), Some("eu-1a"));
    // The rest of the list is asked for by the token of the server.
    fake.requested(3).await;
    assert!(path(&fake, 1).contains("&continue="), "{}", path(&fake, 1));

    fake.reply(Reply::Open(String::new())).await;
    for (line, kind) in events() {
        fake.send(&format!("{line}\n")).await;
        if kind != "BOOKMARK" {
            next(&mut snapshots).await;
        }
    }
    let last = snapshots.latest().unwrap();
    assert_eq!(ids(&last), ["a", "b", "d"]);
    assert_eq!(last.records()[1].address.as_str(), "10.0.0.22:7100");
    // The next watch goes on from the last event, a bookmark.
    let (line, kind) = events().last().unwrap();
    let bookmark: Value = serde_json::from_str(line).unwrap();
    let version = bookmark["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    assert_eq!(kind, "BOOKMARK");
    fake.end();
    fake.requested(4).await;
    assert!(path(&fake, 3).ends_with(&format!("&resourceVersion={version}")));
    assert_eq!(feed.stats().failures, 0);
}

#[tokio::test]
async fn versions_that_are_gone_at_a_real_server_are_listed_anew() {
    let fake = Fake::start().await;
    let (feed, mut snapshots) = watch_kv(&fake);
    fake.reply(whole(PAGE_1)).await;
    fake.reply(whole(PAGE_2)).await;
    next(&mut snapshots).await;
    fake.reply(with_status(GONE)).await;
    fake.reply(list(90, "", &[one("kv-1", 80, "e", "10.0.0.5")])).await;
    assert_eq!(ids(&next(&mut snapshots).await), ["e"]);
    assert_eq!(feed.stats().failures, 0, "no news is no failure");
}
