//! A Consul agent as the registry.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ringpop_discovery::consul::{Agent, Consul, Registration, Service};
use ringpop_discovery::{Discovery as _, Feed, Freshness};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::support::{ConsulAgent, PATIENCE, free_ports, is_installed};
use super::{failure, ids, until};

fn agent(server: &ConsulAgent) -> Agent {
    Agent::new(&server.url()).unwrap()
}

fn feed(server: &ConsulAgent) -> Feed {
    Feed::new(Consul::new(&agent(server), "kv"))
}

#[tokio::test]
async fn an_agent_that_starts_late_and_ends_and_comes_back_empty_empties_nothing() {
    if !is_installed("consul") {
        return;
    }
    let mut server = ConsulAgent::new();
    let feed = feed(&server);
    let mut snapshots = feed.snapshots();
    let error = failure(&mut snapshots).await;
    assert!(!error.lists_nobody(), "down is not empty: {error}");
    server.start().await;
    server.register("a", "10.0.0.1", "passing").await;
    let list = until(&mut snapshots, |list| list.freshness().is_live()).await;
    assert_eq!(ids(&list), ["node-a/a"]);

    server.stop();
    let failed = until(&mut snapshots, |list| !list.freshness().is_live()).await;
    assert_eq!(ids(&failed), ["node-a/a"]);
    server.start().await;
    // It answers, and knows no such service.
    let failures = feed.stats().failures;
    let again = async {
        while feed.stats().failures == failures {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("the agent is asked again");
    assert_eq!(feed.peers().await.unwrap().len(), 1, "nothing is emptied");
    server.register("b", "10.0.0.2", "passing").await;
    let list = until(&mut snapshots, |list| list.freshness().is_live()).await;
    assert_eq!(ids(&list), ["node-a/b"]);
}

#[tokio::test]
async fn an_agent_that_hangs_is_waited_for() {
    if !is_installed("consul") {
        return;
    }
    let server = ConsulAgent::started().await;
    server.register("a", "10.0.0.1", "passing").await;
    let feed = feed(&server);
    let mut snapshots = feed.snapshots();
    until(&mut snapshots, |list| ids(list).len() == 1).await;
    server.process.as_ref().unwrap().signal("STOP");
    sleep(Duration::from_secs(2)).await;
    assert!(snapshots.latest().unwrap().freshness().is_live(), "a question may take its time");
    server.process.as_ref().unwrap().signal("CONT");
    server.register("b", "10.0.0.2", "passing").await;
    let list = until(&mut snapshots, |list| ids(list).len() == 2).await;
    assert!(list.freshness().is_live());
}

#[tokio::test]
async fn a_token_that_is_not_known_is_refused_with_advice() {
    if !is_installed("consul") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let path_text = |path: &Path| path.to_str().unwrap().to_owned();
    let configuration = r#"{"acl":{"enabled":true,"default_policy":"deny","tokens":{"master":"b1a7e1a5-0000-4000-8000-000000000001"}}}"#;
    let mut server = ConsulAgent::new();
    server.configuration = Some(path_text(&file("acl.json", configuration)));
    server.start().await;
    let wrong = file("wrong", "b1a7e1a5-0000-4000-8000-00000000ffff");
    let right = file("right", "b1a7e1a5-0000-4000-8000-000000000001\n");
    let service = || Service::new("kv", "a", "10.0.0.1:7100".parse().unwrap());
    let (_ready, is_ready) = watch::channel(true);
    let registration = Registration::new(&agent(&server).token_file(&right), service()).unwrap();
    let registering = tokio::spawn(registration.run(is_ready));

    let refused = Feed::new(Consul::new(&agent(&server).token_file(&wrong), "kv"));
    let error = refused.peers().await.unwrap_err();
    assert!(!error.lists_nobody(), "{error}");
    assert!(error.to_string().contains("service:read"), "{error}");
    let allowed = Feed::new(Consul::new(&agent(&server).token_file(&right), "kv"));
    let list = until(&mut allowed.snapshots(), |list| list.records()[0].healthy).await;
    assert_eq!(ids(&list), ["node-a/a"]);
    registering.abort();
}

#[tokio::test]
async fn an_agent_is_reached_over_tls_with_its_authority_and_a_token() {
    if !is_installed("consul") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let ca = file("ca.pem", authority.pem());
    let [https] = free_ports();
    let token = "b1a7e1a5-0000-4000-8000-000000000001";
    let configuration = json!({
        "ports": { "https": https },
        "cert_file": file("cert.pem", certificate.pem()),
        "key_file": file("key.pem", key.serialize_pem()),
        "acl": { "enabled": true, "default_policy": "deny", "tokens": { "master": token } },
    });
    let mut server = ConsulAgent::new();
    let configuration = file("consul.json", configuration.to_string());
    server.configuration = Some(configuration.to_str().unwrap().to_owned());
    server.start().await;

    let token = file("token", token.to_owned());
    let agent = Agent::new(&format!("https://127.0.0.1:{https}")).unwrap().token_file(token);
    let service = Service::new("kv", "a", "10.0.0.1:7100".parse().unwrap());
    let (_ready, is_ready) = watch::channel(true);
    let registration = Registration::new(&agent.clone().ca_file(&ca), service).unwrap();
    let registering = tokio::spawn(registration.run(is_ready));
    let feed = Feed::new(Consul::new(&agent.clone().ca_file(&ca), "kv"));
    let list = until(&mut feed.snapshots(), |list| list.records()[0].healthy).await;
    assert_eq!(ids(&list), ["node-a/a"]);

    let params = CertificateParams::new(Vec::new()).unwrap();
    let other = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let other = agent.ca_file(file("other.pem", other.pem()));
    let error = Feed::new(Consul::new(&other, "kv")).peers().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    registering.abort();
}

#[tokio::test]
async fn a_registration_follows_readiness_and_survives_its_agent() {
    if !is_installed("consul") {
        return;
    }
    let mut server = ConsulAgent::started().await;
    let feed = feed(&server);
    let mut snapshots = feed.snapshots();
    let mut service = Service::new("kv", "a", "10.0.0.1:7100".parse().unwrap());
    service.weight = 3;
    service.meta.insert("zone".to_owned(), "eu-1a".to_owned());
    let (ready, is_ready) = watch::channel(false);
    let registration = Registration::new(&agent(&server), service).unwrap();
    let registering = tokio::spawn(registration.run(is_ready));
    let list = until(&mut snapshots, |list| !list.records()[0].healthy).await;
    assert_eq!((list.records()[0].weight, list.records()[0].zone.as_deref()), (3, Some("eu-1a")));
    ready.send_replace(true);
    until(&mut snapshots, |list| list.records()[0].healthy).await;

    server.stop();
    until(&mut snapshots, |list| !list.freshness().is_live()).await;
    server.start().await;
    until(&mut snapshots, |list| list.freshness().is_live() && list.records()[0].healthy).await;
    drop(ready);
    timeout(PATIENCE, registering).await.expect("it ends in time").unwrap();
    let answer = server.ask("GET", "/v1/agent/services", "").await;
    assert!(answer.trim_end().ends_with("{}"), "{answer}");
    let list = until(&mut snapshots, |list| !list.freshness().is_live()).await;
    let Freshness::Failed { reason, .. } = list.freshness() else { panic!("{list:?}") };
    assert!(reason.contains("lists no peers"), "{reason}");
}

#[tokio::test]
async fn ten_thousand_instances_arrive() {
    if !is_installed("consul") {
        return;
    }
    let server = ConsulAgent::started().await;
    let node = r#"{"Node":"node-b","Address":"10.9.9.9"}"#;
    assert!(server.ask("PUT", "/v1/catalog/register", node).await.starts_with("HTTP/1.0 200"));
    for batch in 0..200 {
        let operations: Vec<String> = (0..50)
            .map(|i| {
                let (id, low) = (batch * 50 + i, i);
                format!(
                    r#"{{"Service":{{"Verb":"set","Node":"node-b","Service":{{"ID":"kv-{id}","Service":"kv","Address":"10.1.{batch}.{low}","Port":7100}}}}}}"#
                )
            })
            .collect();
        let body = format!("[{}]", operations.join(","));
        let answer = server.ask("PUT", "/v1/txn", &body).await;
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
    let start = Instant::now();
    let feed = feed(&server);
    let mut snapshots = feed.snapshots();
    let list = until(&mut snapshots, |list| list.records().len() == 10_000).await;
    assert!(list.freshness().is_live());
    println!("the first list of 10,000 instances took {:?}", start.elapsed());
}
