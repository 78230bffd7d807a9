//! What a person reads in the log at level INFO: why a member does not join, and what happens to
//! others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use ringpop::admin_client::{AdminClient, ChangeLabelsRequest, GetHotKeysRequest, Label};
use ringpop::discovery::StaticList;
use ringpop::forward::{Tls, TlsFiles};
use ringpop::swim::Config;
use ringpop::{AdminAccess, BindError, BootstrapError, Problem, RingClient, Ringpop};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(60);

/// All lines so far, of all tests of this file.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The log of this process, as it is written by default: INFO and above.
    fn get() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_env_filter("info")
                .with_writer(move || writer.clone())
                .init();
            log
        })
        .clone()
    }

    /// The first line that has all of `parts`.
    fn find(&self, parts: &[&str]) -> Option<String> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
    }

    async fn line(&self, parts: &[&str]) -> String {
        let found = async {
            loop {
                if let Some(line) = self.find(parts) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no line has {parts:?}"))
    }
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, directory: &Path, name: &str, change: impl Fn(&mut CertificateParams)) -> Tls {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let file = |name| directory.join(name);
        std::fs::write(file("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(file("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(file("ca.pem"), self.0.pem()).unwrap();
        Tls::new(TlsFiles::new(file("cert.pem"), file("key.pem"), file("ca.pem"))).unwrap()
    }

    fn member(&self) -> (TempDir, Tls) {
        let directory = TempDir::new().unwrap();
        let tls = self.issue(directory.path(), "127.0.0.1", |_| {});
        (directory, tls)
    }
}

async fn serving(tls: Option<&Tls>, peers: &[&str]) -> Ringpop {
    let config = Config::local().to_builder().join_duration_max(Duration::from_millis(1500));
    let mut builder = Ringpop::builder("test").config(config.build().unwrap());
    if let Some(tls) = tls {
        builder = builder.tls(tls.clone());
    }
    if !peers.is_empty() {
        builder = builder.discovery(Arc::new(StaticList::from_addresses(peers).unwrap()));
    }
    let member = builder.bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    member
}

async fn alone(tls: Option<&Tls>) -> Ringpop {
    let member = serving(tls, &[]).await;
    member.bootstrap().await.unwrap();
    member
}

/// Fails to join and gives what the error and the log say.
async fn failure(tls: Option<&Tls>, peer: &str) -> (String, String) {
    let log = Log::get();
    let member = serving(tls, &[peer]).await;
    let error = timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap_err();
    assert!(matches!(error, BootstrapError::NoPeer { .. }), "{error:?}");
    let line = log.line(&["WARN", "no peer could be joined yet", member.whoami(), peer]).await;
    println!("{error}\n{line}");
    (error.to_string(), line)
}

/// The cause must be in the error and in the log.
async fn says(tls: Option<&Tls>, peer: &str, parts: &[&str]) {
    let (error, line) = failure(tls, peer).await;
    for text in [error, line] {
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?}: {text}");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_named_on_both_sides() {
    let log = Log::get();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (_files, tls) = ours.member();
    let seed = alone(Some(&tls)).await;
    let (_files, foreign) = theirs.member();
    says(Some(&foreign), seed.whoami(), &["certificate", "authority"]).await;
    log.line(&["WARN", "a TLS handshake failed", "peer=127.0.0.1:", "authority"]).await;

    let directory = TempDir::new().unwrap();
    let elsewhere = ours.issue(directory.path(), "elsewhere.test", |_| {});
    let wrong = alone(Some(&elsewhere)).await;
    says(Some(&tls), wrong.whoami(), &["certificate", "another name"]).await;
}

/// A process that started before its certificate ended goes on with it.
#[tokio::test]
async fn an_expired_certificate_of_a_peer_is_named() {
    let ours = Authority::new();
    let (directory, tls) = ours.member();
    let seed = alone(Some(&tls)).await;
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    ours.issue(directory.path(), "127.0.0.1", expired);
    tls.reload().unwrap();
    let (_files, member) = ours.member();
    says(Some(&member), seed.whoami(), &["expired", "renew"]).await;
}

#[tokio::test]
async fn one_side_with_tls_and_the_other_without_is_named() {
    let (_files, tls) = Authority::new().member();
    let (plain, encrypted) = (alone(None).await, alone(Some(&tls)).await);
    says(Some(&tls), plain.whoami(), &["both sides use TLS, or neither does"]).await;
    let (error, line) = failure(None, encrypted.whoami()).await;
    for text in [error, line] {
        assert!(text.contains("use TLS, or neither does"), "{text}");
    }
    Log::get().line(&["WARN", "a TLS handshake failed", "peer=127.0.0.1:"]).await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_and_a_port_of_another_server_are_named() {
    // No resolver asks the network for this (RFC 6761, section 6.4).
    let name = "nowhere.invalid:7100".to_owned();
    let (error, line) = failure(None, &name).await;
    // On a busy machine the resolver may take longer than a dial.
    let reasons = ["the name does not resolve", "the resolver is slow or silent"];
    for text in [error, line] {
        assert!(reasons.iter().any(|reason| text.contains(reason)), "{text}");
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer =
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    says(None, &web, &["no other kind of server has the port"]).await;

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    says(None, &closed, &["nothing listens there"]).await;
}

/// A client that never had a ring must not say that it uses one.
#[tokio::test]
async fn why_a_client_has_no_ring_is_named() {
    let log = Log::get();
    let (_files, tls) = Authority::new().member();
    let (plain, encrypted) = (alone(None).await, alone(Some(&tls)).await);
    for (app, name, member, cause) in [
        (
            "other",
            "client-of-another",
            &plain,
            r#"it says: this is a member of the application "test""#,
        ),
        ("test", "client-without-tls", &encrypted, "TLS"),
    ] {
        let list = StaticList::from_addresses([member.whoami()]).unwrap();
        let client = RingClient::builder(app, list).name(name).build().unwrap();
        let line = log.line(&["WARN", name, member.whoami()]).await;
        println!("{line}");
        assert!(line.contains("no member has told the ring yet"), "{line}");
        let failure = client.last_failure().unwrap();
        println!("{failure}");
        assert!(line.contains(cause) && failure.cause.contains(cause), "{line}: {failure}");
    }
}

#[tokio::test]
async fn what_happens_to_others_is_told() {
    let log = Log::get();
    let first = alone(None).await;
    let second = serving(None, &[first.whoami()]).await;
    second.bootstrap().await.unwrap();
    let third = serving(None, &[first.whoami()]).await;
    third.bootstrap().await.unwrap();
    let (two, three) = (second.whoami().to_owned(), third.whoami().to_owned());
    let local = format!("member={}", first.whoami());
    for member in [&first, &second, &third] {
        let name = format!("member={}", member.whoami());
        log.line(&["INFO", "lifecycle", "state=ready", &name]).await;
    }
    log.line(&["INFO", "member joined", &two, &local]).await;
    third.shutdown(PATIENCE).await;
    log.line(&["INFO", "member left", &three, &local]).await;
    drop(second);
    log.line(&["INFO", "member is suspected", &two, &local]).await;
    log.line(&["INFO", "member is faulty", &two, &local]).await;
    let address: SocketAddr = two.parse().unwrap();
    let list = Arc::new(StaticList::from_addresses([first.whoami()]).unwrap());
    let builder = Ringpop::builder("test").listen(address).config(Config::local()).discovery(list);
    let back = builder.bind().await.unwrap();
    back.serve(tonic::service::Routes::default()).unwrap();
    back.bootstrap().await.unwrap();
    log.line(&["INFO", "member is back", &two, &local]).await;
}

#[tokio::test]
async fn the_end_of_an_own_certificate_is_told_in_time() {
    let log = Log::get();
    let ours = Authority::new();
    let directory = TempDir::new().unwrap();
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let tls = ours.issue(directory.path(), "127.0.0.1", expired);
    let error = Ringpop::builder("test").tls(tls).bind().await.unwrap_err();
    assert!(matches!(error, BindError::CertificateExpired { .. }), "{error:?}");
    let path = directory.path().join("cert.pem").display().to_string();
    assert!(error.to_string().contains(&path), "{error}");

    // The library of certificates gives dates only; this one ends within a day or two.
    let soon = |params: &mut CertificateParams| {
        let days = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400;
        let (year, month, day) = civil(days + 3);
        params.not_after = date_time_ymd(year, month, day);
    };
    let tls = ours.issue(directory.path(), "127.0.0.1", soon);
    let member = alone(Some(&tls)).await;
    log.line(&["WARN", &path, "expires in", "renew"]).await;
    let ends = |problem: &Problem| matches!(problem, Problem::CertificateEnds { .. });
    assert!(member.problems().iter().any(ends));
}

/// Year, month and day of a number of days after 1 January 1970.
fn civil(mut days: u64) -> (i32, u8, u8) {
    let is_leap = |year: i32| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    for (month, length) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        if days < length {
            return (year, month, u8::try_from(days + 1).unwrap());
        }
        days -= length;
    }
    unreachable!("a year has twelve months")
}

/// The log names one peer of a crowd, and how many more there were.
#[tokio::test]
async fn a_crowd_of_refused_handshakes_is_one_line() {
    let log = Log::get();
    let (_files, tls) = Authority::new().member();
    let seed = alone(Some(&tls)).await;
    for _ in 0..50 {
        let mut stream = TcpStream::connect(seed.whoami()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 64]).await;
    }
    let counted = async {
        while tls.stats().handshake_failures < 50 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, counted).await.unwrap();
    let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let failed = lines.lines().filter(|line| line.contains("a TLS handshake failed")).count();
    // Other tests of this file have listeners of their own.
    assert!(failed < 20, "{failed} lines");
}

/// Each command with its caller and what was asked for, and each that was refused.
#[tokio::test]
async fn commands_of_operators_are_told_with_their_caller() {
    let log = Log::get();
    for (access, line) in [
        (AdminAccess::read_only().loopback(), "an operator gives a command"),
        (AdminAccess::read_only(), "a command was refused"),
    ] {
        let (member, mut client) = administered(access).await;
        let label = Label { key: "told".to_owned(), value: "in-the-log".to_owned() };
        let request = ChangeLabelsRequest { set: vec![label], remove: Vec::new() };
        let _ = client.change_labels(request).await;
        let name = format!("member={}", member.whoami());
        let told = log.line(&[line, "command=\"change labels\"", "127.0.0.1:", &name]).await;
        assert_eq!(told.contains("in-the-log"), line.contains("gives"), "{told}");
    }
}

/// Keys may be names of people: a caller that may give no commands may not read them, and the log
/// says that it tried. One that may reads them without a line, as a screen does every second.
#[tokio::test]
async fn a_refused_reader_of_hot_keys_is_told_and_counted() {
    let log = Log::get();
    let (member, mut client) = administered(AdminAccess::read_only()).await;
    let refused = client.get_hot_keys(GetHotKeysRequest { n: 1 }).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let name = format!("member={}", member.whoami());
    log.line(&["a command was refused", "command=\"get hot keys\"", "127.0.0.1:", &name]).await;
    assert_eq!(member.counters().await.get("admin.commands_refused"), Some(1));

    let (member, mut client) = administered(AdminAccess::read_only().loopback()).await;
    client.get_hot_keys(GetHotKeysRequest { n: 1 }).await.unwrap();
    let name = format!("member={}", member.whoami());
    assert_eq!(log.find(&["get hot keys", &name]), None);
    let counters = member.counters().await;
    assert_eq!(counters.get("admin.commands_refused"), Some(0));
    assert_eq!(counters.get("admin.commands"), Some(0));
}

/// A member with this access to its administration, and a client of that.
async fn administered(access: AdminAccess) -> (Ringpop, AdminClient<Channel>) {
    let member = Ringpop::builder("test").admin_access(access).bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    member.bootstrap().await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", member.whoami())).unwrap();
    let client = AdminClient::new(endpoint.connect_lazy());
    (member, client)
}
