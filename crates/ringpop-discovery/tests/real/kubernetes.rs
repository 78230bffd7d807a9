//! The API server of Kubernetes: see `api_server`. `src/kubernetes/recorded` has what it answered,
//! for the tests of every run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ringpop_discovery::kubernetes::{ApiServer as Api, Kubernetes, Port};
use ringpop_discovery::{Discovery as _, Feed, Freshness};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::api_server::{ApiServer, Resource};
use super::support::PATIENCE;
use super::{failure, ids, until};

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";

impl ApiServer {
    /// One that serves endpoint slices. `None`: it is not installed, which is told.
    pub(super) async fn start() -> Option<Self> {
        let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let (group, kind, plural) = ("discovery.k8s.io", "EndpointSlice", "endpointslices");
        Self::start_with(&Resource { group, kind, plural, schema }).await
    }

    /// Creates or replaces a slice: pods with their addresses and whether they are ready. Gives its
    /// version.
    pub(super) async fn put(&self, name: &str, endpoints: &[(&str, &str, bool)]) -> String {
        let (_, former) = self.ask("GET", &format!("{SLICES}/{name}"), "").await;
        self.replace(name, version(&former), endpoints).await
    }

    /// As [`put`](Self::put), of which the version is known; `None`: there is none.
    pub(super) async fn replace(
        &self,
        name: &str,
        former: Option<String>,
        endpoints: &[(&str, &str, bool)],
    ) -> String {
        let slice = slice(name, former.as_deref(), endpoints);
        let (status, answer) = match former {
            None => self.ask("POST", SLICES, &slice).await,
            Some(_) => self.ask("PUT", &format!("{SLICES}/{name}"), &slice).await,
        };
        assert!(matches!(status, 200 | 201), "{status}: {answer}");
        version(&answer).expect("a slice has a version")
    }

    async fn delete(&self, name: &str) {
        let (status, answer) = self.ask("DELETE", &format!("{SLICES}/{name}"), "").await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Has the storage forget all versions but the last.
    fn compact(&self) {
        let endpoint = format!("--endpoints=http://127.0.0.1:{}", self.etcd_port);
        let etcdctl = |arguments: &[&str]| {
            let mut command = Command::new("etcdctl");
            command.arg(&endpoint).args(arguments).stderr(Stdio::null());
            command.output().unwrap()
        };
        let status = etcdctl(&["endpoint", "status", "-w", "json"]).stdout;
        let status: Value = serde_json::from_slice(&status).unwrap();
        let revision = status[0]["Status"]["header"]["revision"].as_u64().unwrap();
        assert!(etcdctl(&["compact", &revision.to_string()]).status.success());
    }

    fn feed(&self) -> Feed {
        let api = Api::new(&self.url()).unwrap();
        Feed::new(Kubernetes::new(&api, "shop", "kv", Port::Name("gossip".to_owned())))
    }
}

fn version(slice: &str) -> Option<String> {
    let slice: Value = serde_json::from_str(slice).unwrap_or_default();
    slice["metadata"]["resourceVersion"].as_str().map(str::to_owned)
}

fn slice(name: &str, version: Option<&str>, endpoints: &[(&str, &str, bool)]) -> String {
    let endpoint = |(pod, address, ready): &(&str, &str, bool)| {
        json!({
            "addresses": [address],
            "conditions": { "ready": ready, "serving": ready, "terminating": false },
            "targetRef": { "kind": "Pod", "namespace": "shop", "name": pod },
            "nodeName": "node-1",
            "zone": "eu-1a",
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": { "name": name, "namespace": "shop", "resourceVersion": version,
                      "labels": { "kubernetes.io/service-name": "kv" } },
        "addressType": "IPv4",
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": [{ "name": "gossip", "protocol": "TCP", "port": 7100 }],
    })
    .to_string()
}

#[tokio::test]
async fn slices_are_followed_through_everything_that_happens_to_their_server() {
    let Some(mut server) = ApiServer::start().await else { return };
    let feed = server.feed();
    let mut snapshots = feed.snapshots();
    // The service has no endpoint yet.
    assert!(failure(&mut snapshots).await.lists_nobody());
    server.put("kv-1", &[("a", "10.0.0.1", true), ("b", "10.0.0.2", false)]).await;
    let list = until(&mut snapshots, |list| list.freshness().is_live()).await;
    let read: Vec<_> = list.records().iter().map(|r| (r.address.as_str(), r.healthy)).collect();
    assert_eq!(
        (ids(&list), read),
        (vec!["a", "b"], vec![("10.0.0.1:7100", true), ("10.0.0.2:7100", false)])
    );
    server.put("kv-1", &[("a", "10.0.0.1", true), ("b", "10.0.0.22", true)]).await;
    until(&mut snapshots, |list| list.records()[1].address.as_str() == "10.0.0.22:7100").await;
    server.put("kv-2", &[("c", "10.0.0.3", true)]).await;
    until(&mut snapshots, |list| ids(list) == ["a", "b", "c"]).await;
    server.delete("kv-1").await;
    until(&mut snapshots, |list| ids(list) == ["c"]).await;

    // It is killed, comes back with its storage, and the watch goes on.
    let failures = feed.stats().failures;
    server.stop();
    let failed = until(&mut snapshots, |list| !list.freshness().is_live()).await;
    assert_eq!(ids(&failed), ["c"]);
    server.start_server().await;
    until(&mut snapshots, |list| list.freshness().is_live()).await;
    server.put("kv-3", &[("d", "10.0.0.4", true)]).await;
    until(&mut snapshots, |list| ids(list) == ["c", "d"]).await;
    assert!(feed.stats().failures > failures);

    // The version that the source knows is too old when the server is back: it lists everything
    // anew.
    server.stop();
    until(&mut snapshots, |list| !list.freshness().is_live()).await;
    server.start_server().await;
    let changed = async {
        while server.ask("GET", SLICES, "").await.0 != 200 {
            sleep(Duration::from_millis(20)).await;
        }
        server.put("kv-3", &[("e", "10.0.0.5", true)]).await;
        server.compact();
    };
    timeout(PATIENCE, changed).await.unwrap();
    server.stop();
    server.start_server().await;
    until(&mut snapshots, |list| list.freshness().is_live() && ids(list) == ["c", "e"]).await;

    // A service that is emptied empties nothing.
    server.delete("kv-2").await;
    server.delete("kv-3").await;
    let emptied = until(&mut snapshots, |list| !list.freshness().is_live()).await;
    let Freshness::Failed { reason, .. } = emptied.freshness() else { panic!("{emptied:?}") };
    assert!(reason.contains("lists no peers"), "{reason}");
    assert_eq!(feed.peers().await.unwrap().len(), emptied.records().len());
}

#[tokio::test]
async fn a_version_that_was_compacted_away_is_gone() {
    let Some(server) = ApiServer::start().await else { return };
    server.put("kv-1", &[("a", "10.0.0.1", true)]).await;
    let (status, body) = server
        .ask("GET", &format!("{SLICES}?watch=1&timeoutSeconds=5&resourceVersion=1"), "")
        .await;
    // An old version is refused by the answer or by the first event; both lead to a new list.
    assert!(status == 410 || body.contains("\"code\":410"), "{status}: {body}");
}

#[tokio::test]
async fn an_api_server_that_hangs_is_waited_for() {
    let Some(server) = ApiServer::start().await else { return };
    server.put("kv-1", &[("a", "10.0.0.1", true)]).await;
    let feed = server.feed();
    let mut snapshots = feed.snapshots();
    until(&mut snapshots, |list| ids(list) == ["a"]).await;
    server.process.as_ref().unwrap().signal("STOP");
    sleep(Duration::from_secs(2)).await;
    assert!(snapshots.latest().unwrap().freshness().is_live(), "a watch may be silent");
    server.process.as_ref().unwrap().signal("CONT");
    server.put("kv-1", &[("a", "10.0.0.1", true), ("b", "10.0.0.2", true)]).await;
    assert!(until(&mut snapshots, |list| ids(list).len() == 2).await.freshness().is_live());
}

#[tokio::test]
async fn ten_thousand_endpoints_arrive_in_pages() {
    let Some(server) = ApiServer::start().await else { return };
    // More slices than a page has, of which most have few endpoints, as after a scale-down.
    for s in 0..520 {
        let count = if s < 100 { 100 } else { 1 };
        let endpoints: Vec<_> = (0..count)
            .map(|e| (format!("kv-{s}-{e}"), format!("10.{}.{}.{e}", s / 250, s % 250)))
            .collect();
        let endpoints: Vec<_> =
            endpoints.iter().map(|(pod, address)| (pod.as_str(), address.as_str(), true)).collect();
        server.put(&format!("kv-{s}"), &endpoints).await;
    }
    let begun = std::time::Instant::now();
    let feed = server.feed();
    let list = until(&mut feed.snapshots(), |list| list.records().len() == 10_420).await;
    assert!(list.freshness().is_live());
    println!("the first list of 10,420 endpoints took {:?}", begun.elapsed());
}

/// Writes down what it answers, for `src/kubernetes/tests/recorded.rs`.
#[tokio::test]
#[ignore = "writes src/kubernetes/recorded anew"]
async fn its_answers_are_written_down() {
    let server = ApiServer::start().await.expect("RINGPOP_TEST_APISERVER names an API server");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kubernetes/recorded");
    fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    let slices = format!("{SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Dkv");
    server.put("kv-1", &[("a", "10.0.0.1", true), ("b", "10.0.0.2", false)]).await;
    server.put("kv-2", &[("c", "10.0.0.3", true)]).await;
    let (_, first) = server.ask("GET", &format!("{slices}&limit=1"), "").await;
    write("page-1.json", &first);
    let metadata = &serde_json::from_str::<Value>(&first).unwrap()["metadata"];
    let (next, version) = (metadata["continue"].as_str().unwrap(), &metadata["resourceVersion"]);
    let next = format!("{slices}&limit=1&continue={next}");
    let (_, second) = server.ask("GET", &next, "").await;
    write("page-2.json", &second);
    let version = version.as_str().unwrap();
    let watch = format!(
        "{slices}&watch=1&allowWatchBookmarks=true&timeoutSeconds=8&resourceVersion={version}"
    );
    let changes = async {
        sleep(Duration::from_secs(1)).await;
        server.put("kv-1", &[("a", "10.0.0.1", true), ("b", "10.0.0.22", true)]).await;
        server.put("kv-3", &[("d", "10.0.0.4", true)]).await;
        server.delete("kv-2").await;
    };
    let ((_, events), ()) = tokio::join!(server.ask("GET", &watch, ""), changes);
    write("watch.jsonl", &events);
    let (status, gone) = server
        .ask("GET", &format!("{slices}&watch=1&timeoutSeconds=2&resourceVersion=1"), "")
        .await;
    write("gone.txt", &format!("{status}\n{gone}"));
}
