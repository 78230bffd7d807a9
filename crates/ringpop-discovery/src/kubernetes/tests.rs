mod recorded;

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::http::fake::{Fake, Reply};
use crate::{Discovery as _, Feed, Freshness, Snapshot, Snapshots};

const PATIENCE: Duration = Duration::from_secs(20);

/// An endpoint slice as the API server writes it, with two ports.
fn slice(name: &str, version: u64, family: &str, endpoints: &[String]) -> String {
    format!(
        r#"{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"name":"{name}","namespace":"shop","uid":"u","resourceVersion":"{version}","generation":3,"labels":{{"kubernetes.io/service-name":"kv"}}}},"addressType":"{family}","endpoints":[{}],"ports":[{{"name":"http","protocol":"TCP","port":8080}},{{"name":"gossip","protocol":"TCP","port":7100}}]}}"#,
        endpoints.join(",")
    )
}

fn endpoint(pod: &str, address: &str, conditions: &str) -> String {
    format!(
        r#"{{"addresses":["{address}"],"conditions":{{{conditions}}},"targetRef":{{"kind":"Pod","namespace":"shop","name":"{pod}","uid":"u"}},"nodeName":"node-1","zone":"eu-1a"}}"#
    )
}

const READY: &str = r#""ready":true,"serving":true,"terminating":false"#;
const STOPPING: &str = r#""ready":false,"serving":true,"terminating":true"#;
const STARTING: &str = r#""ready":false,"serving":false,"terminating":false"#;

fn slices(port: Port, listed: &[String]) -> Slices {
    let mut slices = Slices::new(port, "the service".to_owned());
    slices.replace(listed.iter().map(|slice| serde_json::from_str(slice).unwrap()).collect());
    slices
}

fn gossip() -> Port {
    Port::Name("gossip".to_owned())
}

fn read(listed: &[String]) -> Vec<Record> {
    slices(gossip(), listed).records().unwrap()
}

#[test]
fn an_endpoint_is_named_by_its_pod() {
    let list = read(&[slice("kv-1", 1, "IPv4", &[endpoint("kv-0", "10.0.0.1", READY)])]);
    assert_eq!(list.len(), 1);
    assert_eq!((&*list[0].id, list[0].address.as_str()), ("kv-0", "10.0.0.1:7100"));
    assert_eq!((list[0].healthy, list[0].zone.as_deref()), (true, Some("eu-1a")));
    assert_eq!(list[0].labels["node"], "node-1");
}

#[test]
fn only_the_ready_are_healthy_and_no_answer_counts_as_ready() {
    let list = read(&[slice(
        "kv-1",
        1,
        "IPv4",
        &[
            endpoint("a", "10.0.0.1", READY),
            endpoint("b", "10.0.0.2", STOPPING),
            endpoint("c", "10.0.0.3", STARTING),
            endpoint("d", "10.0.0.4", ""),
            r#"{"addresses":["10.0.0.5"]}"#.to_owned(),
        ],
    )]);
    let healthy: Vec<_> = list.iter().map(|record| (&*record.id, record.healthy)).collect();
    assert_eq!(
        healthy,
        [("10.0.0.5:7100", true), ("a", true), ("b", false), ("c", false), ("d", true)]
    );
    assert_eq!(list[2].labels["terminating"], "true");
}

#[test]
fn those_that_stop_and_still_serve_are_the_last_resort() {
    let list = read(&[slice(
        "kv-1",
        1,
        "IPv4",
        &[endpoint("a", "10.0.0.1", STOPPING), endpoint("b", "10.0.0.2", STARTING)],
    )]);
    assert_eq!([list[0].healthy, list[1].healthy], [true, false]);
}

#[test]
fn an_endpoint_in_several_slices_and_of_both_families_counts_once() {
    let listed = [
        slice("kv-1", 1, "IPv4", &[endpoint("a", "10.0.0.1", STARTING)]),
        // The controller moves endpoints between slices, in which both have them for a while.
        slice(
            "kv-2",
            2,
            "IPv4",
            &[endpoint("a", "10.0.0.1", READY), endpoint("b", "10.0.0.2", READY)],
        ),
        slice(
            "kv-3",
            3,
            "IPv6",
            &[
                endpoint("a", "fd00::1", READY),
                endpoint("b", "fd00::2", READY),
                endpoint("c", "fd00::3", READY),
            ],
        ),
    ];
    let addresses = |family| {
        let mut slices = slices(gossip(), &listed);
        slices.set_family(family);
        let list = slices.records().unwrap();
        assert!(list.iter().all(|record| record.healthy), "{list:?}");
        list.iter().map(|record| record.address.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(addresses(Family::Ipv4), ["10.0.0.1:7100", "10.0.0.2:7100", "[fd00::3]:7100"]);
    assert_eq!(addresses(Family::Ipv6), ["[fd00::1]:7100", "[fd00::2]:7100", "[fd00::3]:7100"]);
}

#[test]
fn without_a_target_one_family_counts() {
    let bare = |address: &str| format!(r#"{{"addresses":["{address}"]}}"#);
    let list = read(&[
        slice("kv-1", 1, "IPv4", &[bare("10.0.0.1")]),
        slice("kv-2", 2, "IPv6", &[bare("fd00::1")]),
    ]);
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].address.as_str(), "10.0.0.1:7100");
}

#[test]
fn a_port_is_named_numbered_or_the_only_one() {
    let listed = [slice("kv-1", 1, "IPv4", &[endpoint("a", "10.0.0.1", READY)])];
    let port = |port| slices(port, &listed).records().map(|list| list[0].address.port());
    assert_eq!(port(gossip()).unwrap(), 7100);
    assert_eq!(port(Port::Number(9000)).unwrap(), 9000);
    let error = port(Port::Name("grpc".to_owned())).unwrap_err().to_string();
    assert!(error.contains("its 1 endpoints have no port \"grpc\""), "{error}");
    let error = port(Port::Only).unwrap_err().to_string();
    assert!(error.contains("have not just one port; name the one"), "{error}");
    // A headless service may have no ports at all.
    let bare = r#"{"metadata":{"name":"a"},"addressType":"IPv4","ports":null,"endpoints":[{"addresses":["10.0.0.1"]}]}"#;
    let list = slices(Port::Number(7100), &[bare.to_owned()]).records().unwrap();
    assert_eq!(list[0].address.as_str(), "10.0.0.1:7100");
}

#[test]
fn ten_thousand_endpoints_in_a_hundred_slices_are_read() {
    let one = |s: usize| {
        let endpoints: Vec<_> = (0..100)
            .map(|e| endpoint(&format!("kv-{s}-{e}"), &format!("10.1.{s}.{e}"), READY))
            .collect();
        slice(&format!("kv-{s}"), 1, "IPv4", &endpoints)
    };
    assert_eq!(read(&(0..100).map(one).collect::<Vec<_>>()).len(), 10_000);
}

fn list(version: u64, next: &str, items: &[String]) -> Reply {
    let body = format!(
        r#"{{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{{"resourceVersion":"{version}","continue":"{next}"}},"items":[{}]}}"#,
        items.join(",")
    );
    Reply::Whole(200, String::new(), body)
}

fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn status(code: u16) -> String {
    format!(r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","code":{code}}}"#)
}

fn one(name: &str, version: u64, pod: &str, address: &str) -> String {
    slice(name, version, "IPv4", &[endpoint(pod, address, READY)])
}

fn watch_kv(fake: &Fake) -> (Feed, Snapshots) {
    let server = ApiServer::new(&fake.url).unwrap();
    let feed = Feed::new(Kubernetes::new(&server, "shop", "kv", gossip()));
    let snapshots = feed.snapshots();
    (feed, snapshots)
}

async fn next(snapshots: &mut Snapshots) -> Snapshot {
    timeout(PATIENCE, snapshots.next()).await.expect("in time").unwrap().expect("a list is known")
}

fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.records().iter().map(|record| &*record.id).collect()
}

fn path(fake: &Fake, request: usize) -> String {
    fake.requests()[request].split(' ').nth(1).unwrap().to_owned()
}

const PATH: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkv";

#[tokio::test]
async fn lists_in_pages_and_then_follows_the_watch() {
    let fake = Fake::start().await;
    let (_feed, mut snapshots) = watch_kv(&fake);
    fake.reply(list(10, "more", &[one("kv-1", 5, "a", "10.0.0.1")])).await;
    fake.reply(list(10, "", &[one("kv-2", 6, "b", "10.0.0.2")])).await;
    assert_eq!(ids(&next(&mut snapshots).await), ["a", "b"]);
    assert_eq!(path(&fake, 0), format!("{PATH}&limit=500"));
    assert_eq!(path(&fake, 1), format!("{PATH}&limit=500&continue=more"));

    fake.reply(Reply::Open(event("ADDED", &one("kv-3", 11, "c", "10.0.0.3")))).await;
    assert_eq!(ids(&next(&mut snapshots).await), ["a", "b", "c"]);
    assert_eq!(
        path(&fake, 2),
        format!("{PATH}&watch=1&allowWatchBookmarks=true&timeoutSeconds=240&resourceVersion=10")
    );
    // Lines come in any pieces.
    let moved = event("MODIFIED", &one("kv-3", 12, "c", "10.0.0.33"));
    let (head, tail) = moved.split_at(40);
    fake.send(head).await;
    fake.send(tail).await;
    let list = next(&mut snapshots).await;
    assert_eq!(list.records()[2].address.as_str(), "10.0.0.33:7100");
    fake.send(&event("DELETED", &one("kv-1", 13, "a", "10.0.0.1"))).await;
    assert_eq!(ids(&next(&mut snapshots).await), ["b", "c"]);

    // The server ends the watch after its time: the next one goes on from the bookmark.
    let bookmark = r#"{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"20","creationTimestamp":null},"endpoints":null,"ports":null}"#;
    fake.send(&event("BOOKMARK", bookmark)).await;
    fake.end();
    fake.requested(4).await;
    assert!(path(&fake, 3).ends_with("&resourceVersion=20"), "{}", path(&fake, 3));
    fake.reply(Reply::Open(event("ADDED", &one("kv-4", 21, "d", "10.0.0.4")))).await;
    let list = next(&mut snapshots).await;
    assert_eq!(ids(&list), ["b", "c", "d"]);
    assert!(list.freshness().is_live());
}

#[tokio::test]
async fn a_version_that_is_too_old_is_listed_anew_without_a_failure() {
    let fake = Fake::start().await;
    let (feed, mut snapshots) = watch_kv(&fake);
    fake.reply(list(10, "", &[one("kv-1", 5, "a", "10.0.0.1")])).await;
    assert_eq!(ids(&next(&mut snapshots).await), ["a"]);
    // Within the watch, as an event.
    fake.reply(Reply::Open(event("ERROR", &status(410)))).await;
    fake.reply(list(30, "", &[one("kv-1", 25, "b", "10.0.0.2")])).await;
    assert_eq!(ids(&next(&mut snapshots).await), ["b"]);
    // And as the answer to it.
    fake.reply(Reply::Whole(410, String::new(), status(410))).await;
    fake.reply(list(40, "", &[one("kv-1", 35, "c", "10.0.0.3")])).await;
    let last = next(&mut snapshots).await;
    assert_eq!((ids(&last), last.freshness().is_live()), (vec!["c"], true));
    assert_eq!(feed.stats().failures, 0);
}

#[tokio::test]
async fn whatever_goes_wrong_leaves_the_list_and_is_over_when_it_is() {
    let fake = Fake::start().await;
    let (_feed, mut snapshots) = watch_kv(&fake);
    fake.reply(list(10, "", &[one("kv-1", 5, "a", "10.0.0.1")])).await;
    next(&mut snapshots).await;
    let mut request = 1;
    for (trouble, expected) in [
        (Reply::Close, "cannot reach the service shop/kv of Kubernetes at http://127.0.0.1:"),
        (Reply::Garbage, "cannot reach the service"),
        (Reply::Whole(403, String::new(), status(403)), "grant the service account `list` and"),
        (Reply::Whole(401, String::new(), status(401)), "mount that of a service account"),
        (Reply::Whole(503, String::new(), String::new()), "log of the API server"),
        (Reply::Open("{\"type\":\n".to_owned()), "an answer that cannot be read"),
        (Reply::Open(event("ERROR", &status(500))), "log of the API server"),
    ] {
        fake.reply(trouble.clone()).await;
        let failed = next(&mut snapshots).await;
        let Freshness::Failed { reason, .. } = failed.freshness() else { panic!("{failed:?}") };
        assert!(reason.contains(expected), "{trouble:?}: {reason}");
        assert_eq!(ids(&failed), ["a"], "nothing is emptied");
        // The request after the one that failed, and how it goes on.
        request += 2;
        fake.requested(request).await;
        let is_list = path(&fake, request - 1).contains("&limit=");
        fake.reply(if is_list {
            list(50, "", &[one("kv-1", 5, "a", "10.0.0.1")])
        } else {
            Reply::Open(String::new())
        })
        .await;
        let live = next(&mut snapshots).await;
        assert!(live.freshness().is_live(), "{live:?}");
        if !is_list {
            fake.end();
        }
    }
}

/// Down at the start, there, down, and there again with older versions, as one that was restored.
#[tokio::test]
async fn an_api_server_that_comes_and_goes_is_followed_again() {
    let address = Fake::start().await;
    address.stop().await;
    let server = ApiServer::new(&address.url).unwrap();
    let feed = Feed::new(Kubernetes::new(&server, "shop", "kv", gossip()));
    let mut snapshots = feed.snapshots();
    let error = timeout(PATIENCE, snapshots.next()).await.unwrap().unwrap().unwrap_err();
    assert!(!error.lists_nobody(), "down is not empty: {error}");
    assert!(error.to_string().contains("check its address, and that it runs"), "{error}");

    let at = address.url.strip_prefix("http://").unwrap();
    let fake = Fake::start_at(at, None).await;
    fake.reply(list(10, "", &[one("kv-1", 5, "a", "10.0.0.1")])).await;
    assert_eq!(ids(&next(&mut snapshots).await), ["a"]);
    fake.reply(Reply::Open(String::new())).await;
    fake.requested(2).await;
    fake.stop().await;
    let failed = next(&mut snapshots).await;
    assert_eq!((ids(&failed), failed.freshness().is_live()), (vec!["a"], false));

    let fake = Fake::start_at(at, None).await;
    fake.reply(Reply::Whole(410, String::new(), status(410))).await;
    fake.reply(list(3, "", &[one("kv-1", 2, "b", "10.0.0.2")])).await;
    let again = next(&mut snapshots).await;
    assert_eq!((ids(&again), again.freshness().is_live()), (vec!["b"], true));
    fake.requested(3).await;
    assert!(path(&fake, 2).ends_with("&resourceVersion=3"), "{}", path(&fake, 2));
}

#[tokio::test]
async fn a_service_without_endpoints_empties_nothing_and_is_followed() {
    let fake = Fake::start().await;
    let (_feed, mut snapshots) = watch_kv(&fake);
    fake.reply(list(10, "", &[])).await;
    let error = snapshots.next().await.unwrap().unwrap_err();
    assert!(error.lists_nobody(), "{error}");
    fake.reply(Reply::Open(event("ADDED", &one("kv-1", 11, "a", "10.0.0.1")))).await;
    assert_eq!(ids(&next(&mut snapshots).await), ["a"]);
    fake.send(&event("MODIFIED", &slice("kv-1", 12, "IPv4", &[]))).await;
    let emptied = next(&mut snapshots).await;
    assert_eq!((ids(&emptied), emptied.freshness().is_live()), (vec!["a"], false));
    fake.send(&event("MODIFIED", &one("kv-1", 13, "b", "10.0.0.2"))).await;
    let again = next(&mut snapshots).await;
    assert_eq!((ids(&again), again.freshness().is_live()), (vec!["b"], true));
}

#[tokio::test]
async fn a_silent_api_server_does_not_hold_a_reader_for_ever() {
    let fake = Fake::start().await;
    let (feed, _snapshots) = watch_kv(&fake);
    fake.reply(Reply::Silence).await;
    let error = timeout(PATIENCE, feed.peers()).await.expect("in time").unwrap_err();
    assert!(error.to_string().contains("gave no answer within"), "{error}");
}

#[tokio::test]
async fn the_token_is_sent_as_a_bearer_token_and_read_for_each_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let fake = Fake::start().await;
    let server = ApiServer::new(&fake.url).unwrap().token_file(&path);
    let mut source = Kubernetes::new(&server, "shop", "kv", gossip());
    for token in ["one", "two"] {
        // The kubelet renews it while the pod runs.
        std::fs::write(&path, format!("{token}\n")).unwrap();
        fake.reply(list(10, "", &[one("kv-1", 5, "a", "10.0.0.1")])).await;
        source.version = None;
        source.next().await.unwrap();
        let request = fake.requests().pop().unwrap();
        assert!(request.contains(&format!("authorization: bearer {token}\r\n")), "{request}");
    }
}

#[test]
fn an_api_server_outside_a_pod_is_told() {
    assert!(ApiServer::new("https://[::1]:6443").is_ok());
    let error = ApiServer::new("10.0.0.1:6443").unwrap_err().to_string();
    assert!(error.ends_with("write it as in http://127.0.0.1:8001"), "{error}");
}
