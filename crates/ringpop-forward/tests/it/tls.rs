//! Encrypted connections: who is let in, who is believed, and what happens when certificates
//! change.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};

use crate::common::cluster::{Ring, builder, listener};
use crate::common::service::{Ask, Handler, ONCE, TestClient, TestServer};
use crate::common::{eventually, soon};
use ringpop_forward::{
    Forwarder, H2Config, H2Transport, Tls, TlsError, TlsFiles, is_verified, server,
};

/// An authority, and the directory of one member's files.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for `names`, its key and the authority.
    fn issue(&self, directory: &Path, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(directory.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(directory.join("ca.pem"), self.0.pem()).unwrap();
    }

    fn member(&self) -> TempDir {
        let directory = TempDir::new().unwrap();
        self.issue(directory.path(), &["127.0.0.1"]);
        directory
    }
}

fn files(directory: &TempDir) -> TlsFiles {
    let file = |name| directory.path().join(name);
    TlsFiles::new(file("cert.pem"), file("key.pem"), file("ca.pem"))
}

fn tls(directory: &TempDir) -> Tls {
    Tls::new(files(directory)).unwrap()
}

/// A member whose every connection is encrypted.
struct Node {
    address: String,
    tls: Tls,
    forwarder: Forwarder,
    handler: Handler,
    /// The schemes of the requests as they come in.
    schemes: Arc<Mutex<Vec<Option<String>>>>,
    _runtime: Option<Runtime>,
}

impl Node {
    fn start(ring: &Ring, tls: Tls) -> Self {
        let (listener, address) = listener();
        let transport = H2Transport::with_connector(H2Config::default(), tls.connector()).unwrap();
        let forwarder = builder(&address, ring)
            .trust_hop_headers(|head| is_verified(&head.extensions))
            .transport(transport)
            .build()
            .unwrap();
        let handler = Handler::new(&address);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let schemes: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let log = Arc::clone(&schemes);
        let note = tower::util::MapRequestLayer::new(move |request: http::Request<Body>| {
            log.lock().unwrap().push(request.uri().scheme_str().map(str::to_owned));
            request
        });
        let serve =
            server().layer(note).layer(forwarder.layer()).add_service(TestServer(handler.clone()));
        let incoming = {
            let _entered = runtime.enter();
            tls.incoming(TcpListener::from_std(listener).unwrap())
        };
        runtime.spawn(async move { serve.serve_with_incoming(incoming).await.unwrap() });
        Self { address, tls, forwarder, handler, schemes, _runtime: Some(runtime) }
    }

    fn client(&self, tls: &Tls) -> TestClient<Channel> {
        TestClient::new(tls.channel(&self.endpoint()))
    }

    fn endpoint(&self) -> Endpoint {
        format!("http://{}", self.address).parse().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self._runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test]
async fn requests_have_the_scheme_of_their_connection() {
    let (authority, ring) = (Authority::new(), Ring::default());
    let (a, b) = (authority.member(), authority.member());
    let (asked, owner) = (Node::start(&ring, tls(&a)), Node::start(&ring, tls(&b)));
    ring.set("k", &[&owner.address]);
    let mut client = asked.client(&tls(&a));
    client.unary_at(ONCE, Ask::new("k", "")).await.unwrap();
    client.upload(tokio_stream::iter([Ask::new("k", "")])).await.unwrap();
    for node in [&asked, &owner] {
        let schemes = node.schemes.lock().unwrap();
        assert_eq!(schemes.len(), 2);
        assert!(schemes.iter().all(|scheme| scheme.as_deref() == Some("https")), "{schemes:?}");
    }
}

#[tokio::test]
async fn members_forward_to_each_other_and_are_believed() {
    let (authority, ring) = (Authority::new(), Ring::default());
    let (a, b) = (authority.member(), authority.member());
    let (asked, owner) = (Node::start(&ring, tls(&a)), Node::start(&ring, tls(&b)));
    ring.set("k", &[&owner.address]);
    let mut client = asked.client(&tls(&a));
    let tell = client.unary_at(ONCE, Ask::new("k", "hello")).await.unwrap().into_inner();
    assert_eq!(tell.node, owner.address);
    assert_eq!(owner.forwarder.stats().bad_hop_headers, 0, "the sender is a member");
    let asks = (0..10).map(|_| Ask::new("k", "").with(vec![0; 100_000]));
    let tell = client.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
    assert_eq!(tell.text, "10 messages, 1000000 bytes");
}

#[tokio::test]
async fn strangers_are_not_let_in_and_members_do_not_talk_to_them() {
    let (authority, foreign, ring) = (Authority::new(), Authority::new(), Ring::default());
    let (ours, theirs) = (authority.member(), foreign.member());
    let asked = Node::start(&ring, tls(&ours));
    let stranger = Node::start(&ring, tls(&theirs));
    ring.set("mine", &[&asked.address]);
    ring.set("k", &[&stranger.address]);

    // Neither without TLS, nor with the certificate of another authority.
    let plain = TestClient::new(asked.endpoint().connect_lazy());
    for mut client in [plain, asked.client(&tls(&theirs))] {
        // How it is told depends on whether the refusal overtakes the request.
        client.unary(Ask::new("mine", "")).await.unwrap_err();
    }
    assert_eq!(asked.handler.seen.begun.load(Ordering::Acquire), 0);
    eventually("failed handshakes are counted", || asked.tls.stats().handshake_failures >= 1).await;
    let status = asked.client(&tls(&ours)).unary(Ask::new("k", "")).await.unwrap_err();
    assert!(status.message().contains("certificate"), "{status:?}");
    assert_eq!(stranger.handler.seen.begun.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_served_where_that_is_allowed_and_never_believed() {
    let (authority, ring) = (Authority::new(), Ring::default());
    let (a, b) = (authority.member(), authority.member());
    let asked = Node::start(&ring, Tls::new(files(&a).anonymous_clients(true)).unwrap());
    let owner = Node::start(&ring, tls(&b));
    ring.set("k", &[&owner.address]);
    let certificates =
        tokio_rustls_client(&a.path().join("ca.pem"), asked.address.parse().unwrap()).await;
    let (mut sender, connection) = h2::client::handshake(certificates).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("https://{}{ONCE}", asked.address))
        .header("content-type", "application/grpc")
        .header("ringpop-key", "k")
        .header("ringpop-fwd", "1;h=7;e=0;f=forged")
        .body(())
        .unwrap();
    let (response, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(bytes::Bytes::from_static(&[0; 5]), true).unwrap();
    let response = soon("response", response).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(crate::common::raw::status(response).await.code(), Code::Ok);
    assert_eq!(asked.forwarder.stats().bad_hop_headers, 1);
    assert_eq!(
        owner.handler.seen.begun.load(Ordering::Acquire),
        1,
        "it was forwarded all the same"
    );
}

/// A caller that knows the authority and has no certificate.
async fn tokio_rustls_client(
    authority: &Path,
    address: SocketAddr,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::from(address.ip());
    connector.connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn a_name_that_all_members_bear_stands_for_their_addresses() {
    let (authority, ring) = (Authority::new(), Ring::default());
    let named = TempDir::new().unwrap();
    authority.issue(named.path(), &["member.cluster.internal"]);
    let with_name = files(&named).server_name("member.cluster.internal");
    let asked = Node::start(&ring, Tls::new(with_name.clone()).unwrap());
    let owner = Node::start(&ring, Tls::new(with_name.clone()).unwrap());
    ring.set("k", &[&owner.address]);
    let mut client = asked.client(&Tls::new(with_name).unwrap());
    assert_eq!(client.unary(Ask::new("k", "")).await.unwrap().into_inner().node, owner.address);
    // Without it, the address must be in the certificate, and is not.
    let status = asked.client(&tls(&named)).unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn changed_files_are_used_by_new_connections_and_bad_ones_are_not() {
    let (old, new, ring) = (Authority::new(), Authority::new(), Ring::default());
    let (node, caller) = (old.member(), old.member());
    let asked = Node::start(&ring, tls(&node));
    ring.set("mine", &[&asked.address]);
    let mut before = asked.client(&tls(&caller));
    before.unary(Ask::new("mine", "")).await.unwrap();
    assert!(!asked.tls.reload().unwrap(), "nothing has changed");

    // Half of a replacement: the new certificate with the old key.
    let next = new.member();
    fs::copy(next.path().join("cert.pem"), node.path().join("cert.pem")).unwrap();
    assert!(matches!(asked.tls.reload(), Err(TlsError::Pair { .. })));
    asked.client(&tls(&caller)).unary(Ask::new("mine", "")).await.unwrap();
    fs::write(node.path().join("key.pem"), "no key").unwrap();
    assert!(matches!(asked.tls.reload(), Err(TlsError::Pem { .. })));
    assert_eq!((asked.tls.stats().reloads, asked.tls.stats().reload_failures), (0, 2));
    asked.client(&tls(&caller)).unary(Ask::new("mine", "")).await.unwrap();

    for file in ["key.pem", "ca.pem"] {
        fs::copy(next.path().join(file), node.path().join(file)).unwrap();
    }
    assert!(asked.tls.reload().unwrap());
    asked.client(&tls(&next)).unary(Ask::new("mine", "")).await.unwrap();
    asked.client(&tls(&caller)).unary(Ask::new("mine", "")).await.unwrap_err();
    before.unary(Ask::new("mine", "")).await.unwrap();
    assert_eq!((asked.tls.stats().reloads, asked.tls.stats().reload_failures), (1, 2));
}

#[tokio::test]
async fn the_watch_notices_changed_files() {
    let (old, new) = (Authority::new(), Authority::new());
    let directory = old.member();
    let tls = Tls::new(files(&directory).reload_interval(std::time::Duration::ZERO)).unwrap();
    new.issue(directory.path(), &["127.0.0.1"]);
    tokio::select! {
        () = tls.watch() => unreachable!("it never ends"),
        () = eventually("the new files are used", || tls.stats().reloads == 1) => {}
    }
}

#[tokio::test]
async fn a_caller_that_says_nothing_holds_nobody_up() {
    let (authority, ring) = (Authority::new(), Ring::default());
    let member = authority.member();
    let asked = Node::start(&ring, tls(&member));
    ring.set("mine", &[&asked.address]);
    let mut silent = TcpStream::connect(&asked.address).await.unwrap();
    asked.client(&tls(&member)).unary(Ask::new("mine", "")).await.unwrap();
    // In the end it is let go.
    let mut byte = [0];
    let end = soon("the silent caller is cut off", silent.read(&mut byte)).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    // Its end is seen here before it is counted there.
    eventually("it is counted", || asked.tls.stats().handshake_failures == 1).await;
}

/// All are from one address, so a share of the places for each address would not help.
#[tokio::test]
async fn a_crowd_that_says_nothing_does_not_keep_members_out() {
    let (authority, ring) = (Authority::new(), Ring::default());
    let member = authority.member();
    let asked = Node::start(&ring, tls(&member));
    ring.set("mine", &[&asked.address]);
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(soon("a connection", TcpStream::connect(&asked.address)).await.unwrap());
    }
    let end = asked.tls.stats().handshakes_ended;
    asked.client(&tls(&member)).unary(Ask::new("mine", "")).await.unwrap();
    let stats = asked.tls.stats();
    assert!(end + stats.handshakes_ended >= 44, "{stats:?}");
    assert_eq!(stats.handshake_failures, 0, "nobody waited for the end of a silent one: {stats:?}");
    // The oldest ones had to go.
    let mut byte = [0];
    let first = soon("the oldest is cut off", silent[0].read(&mut byte)).await;
    assert!(matches!(first, Ok(0) | Err(_)), "{first:?}");
}

#[test]
fn the_end_of_a_certificate_is_known() {
    let directory = Authority::new().member();
    let validity = tls(&directory).validity().unwrap();
    let now = std::time::SystemTime::now();
    assert!(validity.not_before < now && validity.remaining(now).is_some());
    assert_eq!(validity.remaining(validity.not_after + std::time::Duration::from_secs(1)), None);
}

#[test]
fn what_is_wrong_with_files_is_named() {
    let authority = Authority::new();
    let member = authority.member();
    let error = |files: TlsFiles| Tls::new(files).unwrap_err().to_string();
    let path = |name: &str| member.path().join(name);
    let missing = TlsFiles::new(path("cert.pem"), path("none.pem"), path("ca.pem"));
    assert!(error(missing).contains("none.pem"));
    let swapped = TlsFiles::new(path("key.pem"), path("cert.pem"), path("ca.pem"));
    assert!(error(swapped).contains("key.pem does not hold certificates"));
    assert!(error(files(&member).server_name("no name")).contains("no name"));
    fs::write(path("large.pem"), vec![b'-'; (1 << 20) + 1]).unwrap();
    let large = TlsFiles::new(path("cert.pem"), path("key.pem"), path("large.pem"));
    assert!(error(large).contains("large.pem has more than"));
    let shown = format!("{:?}", tls(&member));
    assert!(shown.contains("key.pem") && !shown.contains("PRIVATE"), "{shown}");
}
