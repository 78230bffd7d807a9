//! Members that speak over encrypted connections only.

use std::path::Path;
use std::process::Stdio;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use crate::support::http::Client;
use crate::support::ports::Ports;
use crate::support::process::{Process, ringpop};

fn is_ready(event: &Value) -> bool {
    event["event"] == "state" && event["state"] == "ready"
}

/// Writes an authority, and a certificate for members on this machine. Gives the flags that name
/// them.
pub(crate) fn certificates(directory: &Path) -> Vec<String> {
    let mut params = CertificateParams::new(Vec::new()).expect("certificates can be made");
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(
        params,
        KeyPair::generate().expect("certificates can be made"),
    )
    .expect("certificates can be made");
    let key = KeyPair::generate().expect("certificates can be made");
    let params =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("certificates can be made");
    let certificate = params.signed_by(&key, &authority).expect("certificates can be made");
    let files = [
        ("--tls-cert", "member.pem", certificate.pem()),
        ("--tls-key", "member.key", key.serialize_pem()),
        ("--tls-ca", "ca.pem", authority.pem()),
    ];
    let mut flags = Vec::new();
    for (flag, name, text) in files {
        let path = directory.join(name);
        std::fs::write(&path, text).expect("scratch files can be written");
        flags.extend([flag.to_owned(), path.to_str().expect("scratch paths are text").to_owned()]);
    }
    flags
}

async fn output(arguments: &[&str]) -> std::process::Output {
    let command = ringpop(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output().await;
    command.expect("the command starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn members_with_certificates_share_keys_and_strangers_are_told_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let flags = certificates(directory.path());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let ports = Ports::claim(2);
    let (one, two) = (ports.grpc(0), ports.grpc(1));
    let peers = format!("{one},{two}");
    let nodes: Vec<_> = [0, 1]
        .map(|i| {
            let (listen, http) = (ports.grpc(i), ports.http(i));
            let node = ["node", "--listen", &listen, "--http", &http, "--peers", &peers, "--json"];
            Process::start(&[&node[..], &flags].concat())
        })
        .into_iter()
        .collect();
    for node in &nodes {
        node.told("the node is ready", is_ready).await;
    }
    // So many keys include some of each member: requests are forwarded both ways.
    let client = Client::new();
    for key in 0..20 {
        let key = key.to_string();
        assert_eq!(client.put(&ports.http(0), &key, "value").await.unwrap().code, 204);
        assert_eq!(client.get(&ports.http(1), &key).await.unwrap().body, "value");
    }
    let seen = output(&[&["status", &one, "--json"][..], &flags].concat()).await;
    assert!(seen.status.success(), "{seen:?}");
    let seen: Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_eq!(seen["members"].as_array().unwrap().len(), 2);
    assert!(!output(&["status", &one]).await.status.success(), "without a certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_cannot_be_used_are_named() {
    let ports = Ports::claim(1);
    let listen = ports.grpc(0);
    let node = ["node", "--listen", &listen, "--peers", &listen];
    let half = output(&[&node[..], &["--tls-cert", "cert.pem"]].concat()).await;
    assert_eq!(half.status.code(), Some(2), "{half:?}");
    let missing = ["--tls-cert", "none.pem", "--tls-key", "none.key", "--tls-ca", "none-ca.pem"];
    let missing = output(&[&node[..], &missing].concat()).await;
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("none.pem"), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_taken_from_holders_of_an_authorised_name() {
    let directory = tempfile::tempdir().unwrap();
    let flags = certificates(directory.path());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let ports = Ports::claim(2);
    let (ours, theirs) = (ports.grpc(0), ports.grpc(1));
    for (address, name, code) in [(&ours, "127.0.*", 0), (&theirs, "*.ops.example.com", 1)] {
        let node =
            ["node", "--listen", address, "--peers", address, "--json", "--admin-name", name];
        let node = Process::start(&[&node[..], &flags].concat());
        node.told("the node is ready", is_ready).await;
        let weight = output(&[&["weight", address, "3"][..], &flags].concat()).await;
        assert_eq!(weight.status.code(), Some(code), "{name}: {weight:?}");
        let refusal = String::from_utf8_lossy(&weight.stderr);
        assert_eq!(refusal.contains("one of the names in its settings"), code == 1, "{refusal}");
    }
}
