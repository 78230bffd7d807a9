//! The API server of Kubernetes, as far as it can be had by itself: `apiextensions-apiserver` has
//! the registry, the watch cache and the storage in etcd of `kube-apiserver`, and serves endpoint
//! slices as a custom resource of the same schema.
//!
//! `RINGPOP_TEST_APISERVER` is the path of its binary, which takes minutes to build
//! (`deploy/README.md` says how); `etcd` has to be in the path. Without them the tests are skipped:
//! `src/kubernetes/recorded` has what it answered, for the tests of every run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use ringpop_discovery::kubernetes::{ApiServer as Api, Kubernetes, Port};
use ringpop_discovery::{Discovery as _, Feed, Freshness};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::support::{PATIENCE, Process, free_ports, skipped};
use super::{failure, ids, until};

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";

/// An API server with its storage, behind a proxy that shows its certificate, as `kubectl proxy`
/// does.
pub(super) struct ApiServer {
    process: Option<Process>,
    etcd: Option<Process>,
    binary: String,
    directory: TempDir,
    etcd_port: u16,
    port: u16,
    proxy_port: u16,
}

impl ApiServer {
    /// `None`: it is not installed, which is told.
    pub(super) async fn start() -> Option<Self> {
        let Ok(binary) = std::env::var("RINGPOP_TEST_APISERVER") else {
            skipped("an API server of Kubernetes: RINGPOP_TEST_APISERVER names none");
            return None;
        };
        let [etcd_port, peer_port, port, proxy_port] = free_ports();
        let directory = tempfile::tempdir().unwrap();
        let connector = certificates(directory.path());
        fs::write(directory.path().join("kubeconfig"), KUBECONFIG).unwrap();
        let mut server =
            Self { binary, directory, etcd_port, port, proxy_port, etcd: None, process: None };
        server.start_etcd(peer_port);
        server.start_server().await;
        tokio::spawn(proxy(proxy_port, port, connector));
        server.serve_slices().await;
        Some(server)
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.proxy_port)
    }

    fn start_etcd(&mut self, peer_port: u16) {
        let data = self.directory.path().join("etcd");
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{peer_port}");
        let arguments = [
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
        ];
        self.etcd = Some(Process::start("etcd", &arguments));
    }

    /// Starts it, again with the same storage.
    async fn start_server(&mut self) {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let plugins = "NamespaceLifecycle,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,\
                       ValidatingAdmissionPolicy,MutatingAdmissionPolicy";
        let arguments = [
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.port),
            format!("--tls-cert-file={}", file("server.pem")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--client-ca-file={}", file("ca.pem")),
            "--authentication-skip-lookup".to_owned(),
            format!("--authentication-kubeconfig={}", file("kubeconfig")),
            format!("--authorization-kubeconfig={}", file("kubeconfig")),
            format!("--kubeconfig={}", file("kubeconfig")),
            "--enable-priority-and-fairness=false".to_owned(),
            format!("--disable-admission-plugins={plugins}"),
        ];
        self.process = Some(Process::start(&self.binary, &arguments));
        let listens = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, listens).await.expect("the API server listens");
    }

    async fn serve_slices(&self) {
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let created = async {
            while !matches!(self.ask("POST", definitions, &definition()).await.0, 201 | 409) {
                sleep(Duration::from_millis(100)).await;
            }
            while self.ask("GET", SLICES, "").await.0 != 200 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, created).await.expect("endpoint slices are served");
    }

    fn stop(&mut self) {
        self.process = None;
    }

    /// One request; its status and its body.
    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.proxy_port)).await else {
            return (0, String::new());
        };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: api\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, body.to_owned())
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

/// Credentials of nobody, at a server that is not there: it asks nobody whom to trust.
const KUBECONFIG: &str = r#"{"apiVersion":"v1","kind":"Config","current-context":"c",
"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],
"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{}}]}"#;

fn definition() -> String {
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "endpointslices.discovery.k8s.io",
            "annotations": { "api-approved.kubernetes.io": "unapproved, for tests" },
        },
        "spec": {
            "group": "discovery.k8s.io",
            "scope": "Namespaced",
            "names": { "plural": "endpointslices", "singular": "endpointslice",
                       "kind": "EndpointSlice", "listKind": "EndpointSliceList" },
            "versions": [
                { "name": "v1", "served": true, "storage": true,
                  "schema": { "openAPIV3Schema": any } }
            ],
        },
    })
    .to_string()
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

/// Writes an authority, a certificate of the server and one of an administrator; gives what
/// connects as the latter.
fn certificates(directory: &Path) -> TlsConnector {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |params: CertificateParams| {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &authority).unwrap(), key)
    };
    let (server, key) = issue(CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap());
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        fs::write(directory.join(name), text).unwrap();
    }
    let mut admin = CertificateParams::new(Vec::new()).unwrap();
    admin.distinguished_name.push(DnType::CommonName, "admin");
    admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
    let (admin, key) = issue(admin);
    let certificate = |pem: String| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate(authority.pem())).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(admin.pem())], key)
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

/// Passes connections on to the API server.
async fn proxy(port: u16, to: u16, connector: TlsConnector) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let connector = connector.clone();
        tokio::spawn(async move {
            // Without a server the connection is closed.
            let server = TcpStream::connect(("127.0.0.1", to)).await?;
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let mut server = connector.connect(name, server).await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
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
