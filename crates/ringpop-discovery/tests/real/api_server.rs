//! The API server of Kubernetes, as far as it can be had by itself: `apiextensions-apiserver` has
//! the registry, the watch cache and the storage in etcd of `kube-apiserver`, and serves custom
//! resources of the schemas that built-in ones have. The tests of other crates include this file.
//!
//! `RINGPOP_TEST_APISERVER` is the path of its binary, which takes minutes to build
//! (`deploy/README.md` says how); `etcd` has to be in the path. Without them the tests are skipped.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
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

/// A kind of object in namespaces, which the server is told to serve.
pub(crate) struct Resource {
    pub(crate) group: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) schema: Value,
}

impl Resource {
    /// Where its objects of the namespace `shop` are.
    pub(crate) fn path(&self) -> String {
        format!("/apis/{}/v1/namespaces/shop/{}", self.group, self.plural)
    }

    fn definition(&self) -> String {
        let Self { group, kind, plural, schema } = self;
        let singular = kind.to_lowercase();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{group}"),
                "annotations": { "api-approved.kubernetes.io": "unapproved, for tests" },
            },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": { "plural": plural, "singular": singular,
                           "kind": kind, "listKind": format!("{kind}List") },
                "versions": [
                    { "name": "v1", "served": true, "storage": true,
                      "schema": { "openAPIV3Schema": schema } }
                ],
            },
        })
        .to_string()
    }
}

/// An API server with its storage, behind a proxy that shows its certificate, as `kubectl proxy`
/// does.
pub(crate) struct ApiServer {
    pub(crate) process: Option<Process>,
    etcd: Option<Process>,
    binary: String,
    directory: TempDir,
    pub(crate) etcd_port: u16,
    port: u16,
    proxy_port: u16,
}

impl ApiServer {
    /// One that serves this resource. `None`: it is not installed, which is told.
    pub(crate) async fn start_with(resource: &Resource) -> Option<Self> {
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
        server.serve(resource).await;
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
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
    pub(crate) async fn start_server(&mut self) {
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

    async fn serve(&self, resource: &Resource) {
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let (definition, path) = (resource.definition(), resource.path());
        let created = async {
            while !matches!(self.ask("POST", definitions, &definition).await.0, 201 | 409) {
                sleep(Duration::from_millis(100)).await;
            }
            while self.ask("GET", &path, "").await.0 != 200 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, created).await.expect("the resource is served");
    }

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// One request; its status and its body.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
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
}

/// Credentials of nobody, at a server that is not there: it asks nobody whom to trust.
const KUBECONFIG: &str = r#"{"apiVersion":"v1","kind":"Config","current-context":"c",
"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],
"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{}}]}"#;

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
