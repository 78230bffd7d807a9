//! Administration over HTTP: the answers are those that the description in OpenAPI has, and no page
//! of another site gets through.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Mutex;

use ringpop::http_admin::{AdminHttp, OPENAPI};
use ringpop::swim::{Config, Status};
use ringpop::{AdminAccess, LogControl, LogControlError, Ringpop};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::cluster::{PATIENCE, cluster_with, until};

mod schema;

use self::schema::Description;

/// A listener for administration, until it is dropped.
struct Served {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

async fn serve(member: &Ringpop, access: AdminAccess) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let admin = AdminHttp::new(member, access);
    tokio::spawn(admin.serve(listener, async { drop(stopped.await) }));
    Served { address, _stop: stop }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Served {
    /// A request as it is written, without its first line.
    async fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut text = format!("{line} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            text.push_str(&format!("host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Answer { status, head: head.to_owned(), body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[], "").await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.send(&format!("POST {path}"), &json, &body.to_string()).await
    }
}

fn unchunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.push_str(&rest[..length]);
        text = &rest[length + 2..];
        if length == 0 {
            break;
        }
    }
    whole
}

/// A log that knows two words.
#[derive(Default)]
struct Log(Mutex<Option<String>>);

impl LogControl for Log {
    fn directives(&self) -> Result<String, LogControlError> {
        Ok(self.0.lock().unwrap().clone().unwrap_or_else(|| "info".to_owned()))
    }

    fn set_directives(&self, directives: &str) -> Result<(), LogControlError> {
        if !["info", "debug"].contains(&directives) {
            return Err(LogControlError::invalid("it is no level"));
        }
        *self.0.lock().unwrap() = Some(directives.to_owned());
        Ok(())
    }
}

/// Two members, the first of which takes commands, and one that has failed.
async fn cluster() -> (Vec<Ringpop>, Served) {
    let started = Cell::new(0);
    let mut members = cluster_with(3, |builder| {
        let i = started.replace(started.get() + 1);
        let builder = builder.log_control(Log::default()).hot_keys(NonZeroU32::MIN);
        builder.label("version", format!("1.{i}")).zone(["a", "b", "a"][i % 3])
    })
    .await;
    let served = serve(&members[0], AdminAccess::read_only().loopback()).await;
    let gone = members.pop().unwrap();
    let address = gone.whoami().to_owned();
    gone.shutdown(PATIENCE).await;
    until(&members, "both know it", |members| {
        members.iter().all(|member| {
            let view = member.view();
            view.member(&address).is_some_and(|member| !member.status.is_reachable())
        })
    })
    .await;
    (members, served)
}

#[tokio::test]
async fn every_answer_is_as_described_and_every_path_is_served() {
    let (members, served) = cluster().await;
    let described = Description::new(OPENAPI);
    let mut asked = BTreeSet::new();
    for path in [
        "/api/v1/status",
        "/api/v1/members",
        "/api/v1/members?status=leave,faulty",
        "/api/v1/ring",
        "/api/v1/lookup?key=driver-42&n=3",
        "/api/v1/checksums",
        "/api/v1/destinations",
        "/api/v1/stats",
        "/api/v1/stats?prefix=forward.",
        "/api/v1/propagation",
        "/api/v1/hot-keys",
        "/api/v1/hot-keys?n=100",
        "/api/v1/access",
        "/api/v1/config",
        "/api/v1/log-level",
        "/api/v1/openapi.json",
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let path = path.split('?').next().unwrap();
        described.check("get", path, "200", &answer.json());
        asked.insert(("get", path));
    }
    let heal = served.post("/api/v1/heal", &json!({})).await;
    let other = members[1].whoami();
    for (path, body) in [
        ("/api/v1/evict", json!({"address": other, "time_ms": 60_000})),
        ("/api/v1/undo-evict", json!({"address": other})),
        ("/api/v1/drain", json!({})),
        ("/api/v1/undrain", json!({})),
        ("/api/v1/log-level", json!({"directives": "debug"})),
        ("/api/v1/gossip", json!({"action": "tick"})),
        ("/api/v1/labels", json!({"set": {"role": "api"}, "remove": ["version"]})),
        ("/api/v1/config", json!({"settings": [{"name": "buddy", "flag": true}]})),
        ("/api/v1/reap", json!({})),
        ("/api/v1/leave", json!({})),
        ("/api/v1/join", json!({})),
    ] {
        let answer = served.post(path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        described.check("post", path, "200", &answer.json());
        described.check_request(path, &body);
        asked.insert(("post", path));
    }
    described.check("post", "/api/v1/heal", "200", &heal.json());
    asked.insert(("post", "/api/v1/heal"));
    // Streamed; another test reads it.
    asked.insert(("get", "/api/v1/events"));
    let paths: BTreeSet<_> = described.paths().collect();
    assert_eq!(asked, paths, "the description and this test name the same paths");
    let sources = [
        include_str!("../../src/http_admin/api.rs"),
        include_str!("../../src/http_admin/commands.rs"),
        include_str!("../../src/http_admin/page.rs"),
    ];
    let literals = sources.iter().flat_map(|source| source.split('"'));
    let served: BTreeSet<_> = literals.filter(|text| text.starts_with("/api/v1/")).collect();
    let described: BTreeSet<_> = paths.iter().map(|(_, path)| *path).collect();
    assert_eq!(served, described, "the sources and the description name the same paths");
    assert_eq!(members[0].labels().await.get("role"), Some("api"));
}

#[tokio::test]
async fn answers_say_what_the_member_knows() {
    let (members, served) = cluster().await;
    let member = &members[0];
    let view = member.view();
    let told = served.get("/api/v1/members").await.json();
    for known in view.members.iter() {
        let all = told["members"].as_array().unwrap();
        let told = all.iter().find(|told| told["address"] == known.address.as_str()).unwrap();
        assert_eq!(told["status"], known.status.as_str());
        assert_eq!(told["incarnation"], known.incarnation);
        assert_eq!(told["labels"]["version"], known.labels.get("version").unwrap());
        assert_eq!(told["zone"], known.labels.get("zone").unwrap());
        assert_eq!(told["off_ring"].is_null(), known.status.is_reachable());
    }
    let ring = served.get("/api/v1/ring").await.json();
    assert_eq!(ring["ring_checksum"], format!("{:016x}", member.ring_checksum()));
    assert_eq!(ring["placement"], "rendezvous");
    assert_eq!(ring["zones"].as_array().unwrap().len(), 2);
    for key in (0..100).map(|i| format!("driver {i}/ü&")) {
        let owners: Vec<_> = member.lookup_n(key.as_bytes(), 2);
        let owners: Vec<_> = owners.iter().map(|owner| owner.address().to_owned()).collect();
        let query = key.replace(' ', "%20").replace('ü', "%C3%BC").replace('&', "%26");
        let told = served.get(&format!("/api/v1/lookup?key={query}&n=2")).await.json();
        assert_eq!(told["owners"], json!(owners), "{key}");
        assert_eq!(told["key"], key);
    }
    let gone = view.members.iter().find(|member| member.status == Status::Leave);
    assert!(gone.is_some(), "the third one has left, and is not asked");
    let checksums = async || served.get("/api/v1/checksums").await.json();
    let compared = checksums().await;
    assert_eq!(compared["unreached"], json!([]));
    let count = |compared: &Value| -> usize {
        let groups = compared["groups"].as_array().unwrap();
        groups.iter().map(|group| group["members"].as_array().unwrap().len()).sum()
    };
    assert_eq!(count(&compared), 2);
}

#[tokio::test]
async fn only_json_of_authorised_callers_of_this_origin_gives_commands() {
    let (members, served) = cluster().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (&form[..], 415),
        (&[], 415),
        (&[("content-type", "text/plain")], 415),
        (&[json, ("origin", "https://evil.example")], 403),
        (&[json, ("sec-fetch-site", "cross-site")], 403),
        (&[json, ("host", "evil.example")], 421),
    ] {
        let answer = served.send("POST /api/v1/leave", headers, "{}").await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
        Description::new(OPENAPI).check("post", "/api/v1/leave", "default", &answer.json());
    }
    assert!(members[0].view().ring.len() == 2, "nothing has left");
    let origin = format!("http://{}", served.address);
    let headers = [json, ("origin", origin.as_str())];
    let answer = served.send("POST /api/v1/gossip", &headers, r#"{"action":"tick"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    // The same callers as by gRPC.
    let read_only = serve(&members[1], AdminAccess::read_only()).await;
    let member = members[0].whoami();
    for (path, body) in [
        ("leave", json!({})),
        ("evict", json!({"address": member, "time_ms": 60_000})),
        ("undo-evict", json!({"address": member})),
        ("drain", json!({})),
        ("undrain", json!({})),
        ("log-level", json!({"directives": "debug"})),
    ] {
        let refused = read_only.post(&format!("/api/v1/{path}"), &body).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.body);
    }
    let keys = read_only.get("/api/v1/hot-keys").await;
    assert_eq!(keys.status, 403, "keys may be names of people: {}", keys.body);
    let access = read_only.get("/api/v1/access").await.json();
    assert_eq!(access["commands"], false);
    assert!(access["reason"].as_str().unwrap().contains("--admin-loopback"), "{access}");
    assert_eq!(
        served.get("/api/v1/access").await.json(),
        json!({"commands": true, "reason": null, "controller": false})
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "0123456789abcdefghij").unwrap();
    let with_token = serve(&members[1], AdminAccess::read_only().token_file(path)).await;
    let tick = r#"{"action":"tick"}"#;
    for (token, status) in
        [("Bearer 0123456789abcdefghij", 200), ("Bearer 0123456789abcdefghix", 403)]
    {
        let headers = [json, ("authorization", token)];
        let answer = with_token.send("POST /api/v1/gossip", &headers, tick).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    assert_eq!(members[1].counters().await.get("admin.commands_refused"), Some(8));
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let member = Ringpop::builder("test").config(Config::local()).bind().await.unwrap();
    let served = serve(&member, AdminAccess::read_only().loopback()).await;
    for (path, status) in [
        ("/api/v1/lookup", 400),
        ("/api/v1/lookup?key=a&n=0", 400),
        ("/api/v1/lookup?key=a&n=65", 400),
        ("/api/v1/lookup?key=a&m=1", 400),
        ("/api/v1/hot-keys?n=0", 400),
        ("/api/v1/hot-keys?n=101", 400),
        ("/api/v1/members?status=dead", 400),
        ("/api/v1/status?x=1", 400),
        ("/api/v1/nothing", 404),
        ("/nothing", 404),
        ("/api/v1/leave", 405),
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.json()["error"]["message"].as_str().unwrap().len() > 20, "{}", answer.body);
    }
    for (path, body) in [
        ("/api/v1/gossip", json!({})),
        ("/api/v1/gossip", json!({"action": "jump"})),
        ("/api/v1/leave", json!({"now": true})),
        ("/api/v1/labels", json!({"set": {"weight": "900"}})),
        ("/api/v1/config", json!({"settings": [{"name": "buddy"}]})),
        ("/api/v1/config", json!({"settings": [{"name": "buddy", "flag": true, "number": 1}]})),
        ("/api/v1/config", json!({"settings": [{"name": "none", "flag": true}]})),
        ("/api/v1/labels", json!([1])),
        ("/api/v1/evict", json!({"address": "10.0.0.1:1"})),
        ("/api/v1/evict", json!({"address": member.whoami(), "time_ms": 1})),
        ("/api/v1/log-level", json!({"directives": 1})),
    ] {
        let answer = served.post(path, &body).await;
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
    }
    let large = json!({"set": {"x": "y".repeat(200 * 1024)}});
    assert_eq!(served.post("/api/v1/labels", &large).await.status, 413);
    assert_eq!(served.post("/api/v1/reap", &json!({"address": "10.0.0.1:1"})).await.status, 404);
    assert_eq!(served.post("/api/v1/join", &json!({})).await.status, 409);
    let unknown = json!({"address": "10.0.0.1:1", "time_ms": 60_000});
    assert_eq!(served.post("/api/v1/evict", &unknown).await.status, 404);
    assert_eq!(served.get("/api/v1/log-level").await.status, 409, "there is no way to control it");
    let page = served.get("/").await;
    for header in ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff"]
    {
        assert!(page.head.contains(header), "{}", page.head);
    }
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn events_are_streamed_as_described() {
    let mut members = cluster_with(2, |builder| builder).await;
    let served = serve(&members[0], AdminAccess::read_only().loopback()).await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (read, mut write) = stream.into_split();
    let request = format!("GET /api/v1/events HTTP/1.1\r\nhost: {}\r\n\r\n", served.address);
    write.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(read).lines();
    while !timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap().is_empty() {}
    members[0].set_label("role", "api").await.unwrap();
    members.pop().unwrap().shutdown(std::time::Duration::ZERO).await;
    let described = Description::new(OPENAPI);
    let mut wanted = BTreeSet::from(["member", "ring", "membership"]);
    while !wanted.is_empty() {
        let line = timeout(PATIENCE, lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{wanted:?} did not come")).unwrap().unwrap();
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let event: Value = serde_json::from_str(data).unwrap();
        described.check_named("Event", &event);
        wanted.remove(event["type"].as_str().unwrap());
    }
    // It ends when the member begins to stop, which a reader must not hold up.
    members.pop().unwrap().shutdown(PATIENCE).await;
    let mut last = None;
    while let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap() {
        last = line.strip_prefix("data: ").map(str::to_owned).or(last);
        if line == "0" {
            break;
        }
    }
    let last: Value = serde_json::from_str(&last.unwrap()).unwrap();
    assert_eq!((&last["type"], &last["state"]), (&json!("state"), &json!("draining")));
}
