//! The dashboard of `ringpop dev`: its page does what the keys do, for nobody but its reader, and
//! it goes on when the member dies that it asks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use rustix::process::Signal;
use serde_json::{Value, json as object};

use crate::bad_input::{FAILED, complains};
use crate::operate::{json, text};
use crate::runs_all::runs_all;
use crate::support::eventually;
use crate::support::http::{Client, Reply};
use crate::support::ports::{Ports, is_closed};
use crate::support::process::{Process, ringpop};

struct Dashboard {
    ports: Ports,
    dev: Process,
    client: Client,
    /// Host and port.
    listener: String,
    token: String,
}

const JSON: (&str, &str) = ("content-type", "application/json");

impl Dashboard {
    async fn start() -> Self {
        let ports = Ports::claim(4);
        let base = ports.base.to_string();
        let dev = Process::start(&["dev", "--nodes", "3", "--base-port", &base, "--json"]);
        let told = dev.told("its URL", |event| event["event"] == "dashboard").await;
        let url = told["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        let (listener, token) = url.split_once("/#token=").unwrap();
        assert_eq!(token.len(), 32, "128 bits");
        let (listener, token) = (listener.to_owned(), token.to_owned());
        Self { ports, dev, client: Client::new(), listener, token }
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let path = format!("/api/v1/{path}");
        let reply = self.client.send("GET", &self.listener, &path, "".into()).await.unwrap();
        (reply.code == 200).then(|| serde_json::from_slice(&reply.body).unwrap())
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let path = format!("/api/v1/{path}");
        let body = body.to_string().into();
        self.client.send_with("POST", &self.listener, &path, headers, body).await.unwrap()
    }

    /// What a button does.
    async fn press(&self, word: &str, members: &[&str]) -> Reply {
        let token = format!("Bearer {}", self.token);
        let headers = [JSON, ("authorization", &token)];
        self.post(&format!("dev/{word}"), &headers, &object!({"members": members})).await
    }

    async fn pressed(&self, word: &str, members: &[&str]) {
        let reply = self.press(word, members).await;
        assert_eq!(reply.code, 200, "{word} {members:?}: {:?}", reply.body);
    }

    /// Waits until the cluster, as the page shows it, is as wanted.
    async fn shows(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || self.get("dev/cluster").await.filter(|cluster| wanted(cluster)))
            .await
    }

    async fn agree(&self, count: usize) {
        let wanted = |process: &Value| process["members"] == count;
        let all = |cluster: &Value| {
            let processes = cluster["processes"].as_array().unwrap();
            let seeing = processes.iter().filter(|process| wanted(process)).count();
            cluster["agreed"] == true && seeing >= count
        };
        self.shows(&format!("{count} agree"), all).await;
    }

    /// Waits until the member that the page asks sees another one so.
    async fn sees(&self, address: &str, status: &str) {
        let seen = |members: &Value| {
            let members = members["members"].as_array().unwrap();
            members.iter().any(|it| it["address"] == address && it["status"] == status)
        };
        let what = format!("{address} is {status}");
        eventually(&what, async || self.get("members").await.filter(|it| seen(it))).await;
    }

    async fn asked(&self) -> String {
        self.get("status").await.unwrap()["address"].as_str().unwrap().to_owned()
    }

    async fn said(&self, text: &str) {
        let says = |cluster: &Value| {
            let messages = cluster["messages"].as_array().unwrap();
            messages.iter().any(|message| message["text"].as_str().unwrap().contains(text))
        };
        self.shows(text, says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_survives_the_member_that_it_asks() {
    let mut page = Dashboard::start().await;
    page.agree(3).await;
    nobody_else_may(&page).await;
    let reply = page.client.send("GET", &page.listener, "/", "".into()).await.unwrap();
    assert!(String::from_utf8_lossy(&reply.body).contains("id=\"processes\""));

    hot_keys_are_told_to_those_who_may_give_commands(&page).await;
    let asked = page.asked().await;
    page.pressed("kill", &[&asked]).await;
    page.said(&format!("{asked} killed (signal 9)")).await;
    page.sees(&asked, "faulty").await;
    assert_ne!(page.asked().await, asked, "another one is asked");
    assert_eq!(page.press("kill", &[&asked]).await.code, 409, "it does not run any more");
    page.pressed("revive", &[&asked]).await;
    page.agree(3).await;
    page.dev.signal(Signal::INT);
    assert_eq!(page.dev.ended().await.code(), Some(0));
    assert!(is_closed(&page.listener), "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_buttons_do_what_the_keys_do() {
    if !runs_all("all buttons of the dashboard but kill and revive") {
        return;
    }
    let mut page = Dashboard::start().await;
    page.agree(3).await;
    // The view of the other side is shown when somebody wants to see it.
    let [one, two, three, four] = [0, 1, 2, 3].map(|i| page.ports.grpc(i));
    page.pressed("partition", &[&one]).await;
    page.pressed("ask", &[&one]).await;
    page.sees(&two, "faulty").await;
    assert_eq!(page.get("dev/cluster").await.unwrap()["is_partitioned"], true);
    page.pressed("ask", &[&two]).await;
    page.sees(&one, "faulty").await;
    page.pressed("restore", &[]).await;
    let token = format!("Bearer {}", page.token);
    let heal = page.post("heal", &[JSON, ("authorization", &token)], &object!({})).await;
    assert_eq!(heal.code, 200, "{:?}", heal.body);
    page.agree(3).await;

    // A member that stands still is asked no more.
    page.pressed("suspend", &[&two]).await;
    let elsewhere = async || page.get("status").await.filter(|status| status["address"] != *two);
    eventually("another one is asked", elsewhere).await;
    page.pressed("revive", &[&two]).await;
    page.pressed("add", &[]).await;
    page.agree(4).await;
    page.pressed("leave", &[&four]).await;
    page.said(&format!("{four} has left")).await;
    page.sees(&four, "leave").await;
    page.pressed("join", &[&four]).await;
    page.agree(4).await;
    page.pressed("evict", &[&three]).await;
    page.said(&format!("{three} owns no keys for 60 s")).await;
    page.pressed("undo-evict", &[&three]).await;
    page.said(&format!("{three} owns keys again")).await;

    // When all are dead the page can start them again.
    let all = [&*one, &*two, &*three, &*four];
    page.pressed("kill", &all).await;
    page.shows("nobody runs", |cluster| {
        cluster["processes"].as_array().unwrap().iter().all(|process| process["pid"].is_null())
    })
    .await;
    eventually("nobody answers", async || page.get("status").await.is_none().then_some(())).await;
    let access = ("authorization", &*token);
    let path = "/api/v1/access";
    let access = page.client.send_with("GET", &page.listener, path, &[access], "".into()).await;
    let access: Value = serde_json::from_slice(&access.unwrap().body).unwrap();
    assert_eq!(access["controller"], true, "{access}");
    page.pressed("revive-all", &[]).await;
    page.agree(4).await;
    page.dev.signal(Signal::INT);
    assert_eq!(page.dev.ended().await.code(), Some(0));
    assert!(is_closed(&page.listener), "nothing is left");
}

/// Other sites, other users without the URL, forms, and words that mean nothing.
async fn nobody_else_may(page: &Dashboard) {
    let victim = page.ports.grpc(0);
    let token = format!("Bearer {}", page.token);
    let token = ("authorization", &*token);
    let kill = object!({"members": [victim]});
    for (headers, code) in [
        (&[JSON][..], 401),
        (&[JSON, ("authorization", "Bearer 00000000000000000000000000000000")], 401),
        (&[JSON, token, ("origin", "https://evil.example")], 403),
        (&[JSON, token, ("sec-fetch-site", "cross-site")], 403),
        (&[JSON, token, ("host", "evil.example")], 421),
        (&[("content-type", "text/plain"), token], 415),
        (&[token], 415),
    ] {
        let reply = page.post("dev/kill", headers, &kill).await;
        assert_eq!(reply.code, code, "{headers:?}: {:?}", reply.body);
    }
    // Commands to the member are guarded as well.
    assert_eq!(page.post("leave", &[JSON], &object!({})).await.code, 401);
    assert_eq!(page.get("access").await.unwrap()["controller"], false);
    assert_eq!(page.press("explode", &[]).await.code, 409);
    assert_eq!(page.press("kill", &["127.0.0.1:1"]).await.code, 409);
    let reply = page.post("dev/kill", &[JSON, token], &object!({"member": victim})).await;
    assert_eq!(reply.code, 400, "{:?}", reply.body);
    let cluster = page.get("dev/cluster").await.unwrap();
    let runs = |process: &Value| process["pid"].is_number();
    assert!(cluster["processes"].as_array().unwrap().iter().all(runs), "{cluster}");
    assert!(!cluster.to_string().contains(&page.token), "questions do not give it away");
}

/// Keys may be names of people: only those see them who may give commands.
async fn hot_keys_are_told_to_those_who_may_give_commands(page: &Dashboard) {
    let hot = "driver\u{202e}-42";
    for i in 0..60 {
        // Of ten keys one has half of the calls.
        let key =
            if i % 2 == 0 { "driver%E2%80%AE-42".to_owned() } else { format!("rider-{}", i % 18) };
        let put = page.client.put(&page.ports.http(i % 3), &key, "x").await.unwrap();
        assert_eq!(put.code, 204);
    }
    let top = json(&["top", &page.ports.grpc(0)]).await;
    let first = &top["hot_keys"][0];
    assert_eq!(first["key"], hot, "{top}");
    assert!(first["calls"].as_f64().unwrap() > 0.0, "{top}");
    let shown = text(&["top", &page.ports.grpc(0)]).await;
    assert!(shown.contains("driver\\u{202e}-42"), "{shown}");

    let owner = first["address"].as_str().unwrap();
    page.pressed("ask", &[owner]).await;
    let path = "/api/v1/hot-keys";
    let refused = page.client.send("GET", &page.listener, path, "".into()).await.unwrap();
    assert_eq!(refused.code, 401);
    let token = format!("Bearer {}", page.token);
    let headers = [("authorization", &*token)];
    let told = page.client.send_with("GET", &page.listener, path, &headers, "".into()).await;
    let told: Value = serde_json::from_slice(&told.unwrap().body).unwrap();
    assert_eq!((&told["keys"][0]["key"], &told["keys"][0]["calls"]), (&hot.into(), &30.into()));
}

/// The desktop of this machine is a script that a test wrote.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_opened_or_the_reason_is_told() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let (program, opened) = (directory.path().join("xdg-open"), directory.path().join("opened"));
    let write = |text: &str| {
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let start = |ports: &Ports| {
        let base = ports.base.to_string();
        let line = ["dev", "--nodes", "1", "--base-port", &base, "--json", "--open"];
        let mut command = ringpop(&line);
        command.env("PATH", directory.path());
        Process::run(command)
    };
    let why = async |ports: &Ports, reason: &str| {
        let dev = start(ports);
        let told = |event: &Value| {
            let text = event["text"].as_str().unwrap_or_default();
            text.contains("no browser was opened") && text.contains("open the URL above yourself")
        };
        let told = dev.told("why not", told).await;
        assert!(told["text"].as_str().unwrap().contains(reason), "{told}");
    };
    let ports = [0; 3].map(|_| Ports::claim(1));
    why(&ports[0], "xdg-open cannot be started").await;
    write("#!/bin/sh\nexit 3\n");
    why(&ports[1], "xdg-open ended with exit status: 3").await;
    write(&format!("#!/bin/sh\necho \"$1\" > {}\n", opened.display()));
    let dev = start(&ports[2]);
    let told = dev.told("its URL", |event| event["event"] == "dashboard").await;
    let read = async || std::fs::read_to_string(&opened).ok().filter(|text| text.ends_with('\n'));
    let url = eventually("a browser is opened", read).await;
    assert_eq!(url.trim(), told["url"]);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let ports = Ports::claim(2);
    let taken = std::net::TcpListener::bind(ports.grpc(1)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let base = ports.base.to_string();
    let line = ["dev", "--nodes", "1", "--base-port", &base, "--dashboard-port", &port];
    complains(&line, FAILED, &["the dashboard cannot listen", &port, "--dashboard-port"]).await;
}
