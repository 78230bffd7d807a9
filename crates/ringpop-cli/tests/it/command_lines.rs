//! Command lines with the mistakes that people make. Each ends with the exit code that tells whose
//! fault it is, and with one sentence that names the cause.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::Value;

use crate::bad_input::{FAILED, USAGE, complains, complaint};
use crate::support::ports::Ports;
use crate::support::process::{Process, ringpop};

/// The start of a line for a member that could be.
const NODE: &str = "node --listen 127.0.0.1:20000 --peers 127.0.0.1:20000";

/// Lines that cannot mean anything, and words of the messages about them. `NODE` stands for a
/// member that could be, `''` for an empty text, `_` for a blank.
const WRONG: &[(&str, &[&str])] = &[
    ("", &["--help"]),
    ("nod", &["'nod'", "'node'"]),
    ("node", &["--listen"]),
    ("node --listen 127.0.0.1:20000", &["--peers", "--hosts"]),
    ("node --peers a:1", &["--listen"]),
    ("node --listen nowhere --peers a:1", &["nowhere", "host:port"]),
    ("node --listen 127.0.0.1 --peers a:1", &["no port", "host:port"]),
    ("node --listen :7100 --peers a:1", &["no host", "host:port"]),
    ("node --listen ::1:7100 --peers a:1", &["brackets", "[::1]:7100"]),
    ("node --listen [::1] --peers a:1", &["no port"]),
    ("node --listen http://127.0.0.1:7100 --peers a:1", &["scheme", "as in \"127.0.0.1:7100\""]),
    ("node --listen 127.0.0.1:0 --peers a:1", &["1 to 65535"]),
    ("node --listen 127.0.0.1:70000 --peers a:1", &["1 to 65535"]),
    ("node --listen 10.0.0.256:1 --peers a:1", &["invalid host"]),
    ("node --listen 0.0.0.0:20000 --peers a:1", &["--advertise"]),
    ("node --listen [::]:20000 --peers a:1", &["--advertise"]),
    ("node --listen a:1 --peers ''", &["no peers", "host:port"]),
    ("node --listen a:1 --peers b:1,", &["host:port"]),
    ("node --listen a:1 --peers b:1,c", &["\"c\"", "host:port"]),
    ("node --listen a:1 --peers b:1;c:1", &["b:1;c:1", "commas"]),
    ("node --listen a:1 --peers b:1_c:1", &["\"b:1 c:1\"", "commas"]),
    ("node --listen a:1 --peers b:1 --peers c:1", &["one list", "commas"]),
    ("node --listen a:1 --peers b:1,_,c:1", &["host:port"]),
    ("node --listen a:1 --peers b:1/", &["b:1/", "1 to 65535"]),
    ("node --listen a:1 --hosts", &["--hosts", "value is required"]),
    ("node 127.0.0.1:20000", &["'127.0.0.1:20000'"]),
    ("node --listen a:1 --peers b:1 --hosts f", &["cannot be used with"]),
    ("NODE --advertise nowhere", &["nowhere", "host:port"]),
    ("NODE --advertise ::1:7100", &["brackets"]),
    ("NODE --admin-name x", &["--tls-cert"]),
    ("NODE --admin-token-file", &["--admin-token-file", "value is required"]),
    ("weight 127.0.0.1:1 101", &["101", "0..=100"]),
    ("reap 127.0.0.1:1", &["MEMBER"]),
    ("reap 127.0.0.1:1 127.0.0.1:2 --all", &["cannot be used with"]),
    ("labels 127.0.0.1:1 --set zone", &["key=value"]),
    ("gossip 127.0.0.1:1 pause", &["pause", "stop"]),
    ("members 127.0.0.1:1 --status dead", &["dead", "faulty"]),
    ("events 127.0.0.1:1 --for 30", &["unit"]),
    ("events 127.0.0.1:1 -n 0", &["0", "1.."]),
    ("heal", &["HOST:PORT"]),
    ("NODE --weigth 2", &["'--weigth'", "'--weight'"]),
    ("NODE --weight 101", &["101", "0..=100"]),
    ("NODE --weight -1", &["-1", "0..=100"]),
    ("NODE --weight lots", &["lots", "--weight"]),
    ("NODE --weight 1.5", &["1.5", "--weight"]),
    ("NODE --label zone", &["key=value"]),
    ("NODE --label zone:a", &["key=value"]),
    ("NODE --label zone_=_a", &["key=value", "blanks"]),
    ("NODE --identity ''", &["identity is empty"]),
    ("NODE --identity _", &["identity is empty"]),
    ("NODE --weight 2 --weight 3", &["--weight", "multiple times"]),
    ("NODE --weight ''", &["--weight", "empty"]),
    ("NODE --label =a", &["key=value"]),
    ("NODE --label zone=a --label zone=b", &["`zone`", "more than once"]),
    ("NODE --label rack=1 --label rack=1", &["`rack`", "more than once"]),
    ("NODE --weight 2 --label weight=7", &["`weight`", "more than once"]),
    ("NODE --label weight=lots", &["\"lots\"", "0 to 100"]),
    ("NODE --label weight=5000", &["\"5000\"", "0 to 100"]),
    ("NODE --label weight=", &["\"\"", "0 to 100"]),
    ("NODE --app ''", &["application name"]),
    ("NODE --streams-per-connection 0", &["streams_per_connection is 0", "65536"]),
    ("NODE --header-list-bytes 1", &["header_list_bytes is 1"]),
    ("NODE --unread-timeout 2days", &["unread_timeout"]),
    ("NODE --max-in-flight 0", &["max_in_flight is 0"]),
    ("NODE --request-bytes 1", &["request_bytes is 1"]),
    ("NODE --first-message-timeout 2h", &["first_message_timeout", "3600s"]),
    ("dev --unread-bytes 1", &["unread_bytes is 1"]),
    ("NODE --preset lna", &["lna", "lan"]),
    ("NODE --for 0s", &["30s"]),
    ("NODE --for 5", &["unit", "30s"]),
    ("NODE --for soon", &["30s"]),
    ("NODE --join-timeout 30", &["unit", "30s"]),
    ("NODE --join-timeout 0s", &["longer than nothing"]),
    ("NODE --join-timeout 10ms", &["join_duration_max"]),
    ("NODE --alone-after soon", &["30s"]),
    ("NODE --lame-duck 5", &["unit", "30s"]),
    ("NODE --lame-duck -1s", &["-1s", "--lame-duck"]),
    ("NODE --lame-duck 1h", &["--lame-duck", "300 s"]),
    ("NODE --for -5s", &["-5s", "--for"]),
    ("NODE --attempt-timeout 0s", &["longer than nothing"]),
    ("NODE --attempt-timeout 2h", &["attempt_timeout is 7200s", "3600s"]),
    ("NODE --hedge-after 10us", &["hedge_after", "1ms"]),
    ("NODE --http 127.0.0.1:20000", &["--http and --listen are both", "a port of its own"]),
    ("NODE --admin-http 127.0.0.1:20000", &["--admin-http and --listen are both", "of its own"]),
    ("NODE --http 0.0.0.0:20000", &["--http 0.0.0.0:20000", "have one port"]),
    ("NODE --http 127.0.0.1:1 --admin-http 127.0.0.1:1", &["--admin-http and --http are both"]),
    ("NODE --label weight=3 --weight 2", &["`weight`", "more than once"]),
    ("NODE --label ring-draining=3", &["`ring-draining`", "set by the member itself"]),
    ("NODE --max-timeout 10000d", &["max_timeout"]),
    ("NODE --http 127.0.0.1", &["no port"]),
    ("NODE extra", &["'extra'"]),
    ("NODE --http 8100", &["8100", "host:port"]),
    ("NODE --tls-cert cert.pem", &["--tls-key"]),
    ("NODE --tls-key key.pem", &["--tls-cert"]),
    ("NODE --tls-name member", &["--tls-cert"]),
    ("NODE --placement ring:0", &["ring has 0 points", "8192"]),
    ("NODE --placement jump", &["\"jump\"", "rendezvous"]),
    ("dev --placement ring:many", &["many points", "8192"]),
    ("dev --nodes 0", &["0", "1..=64"]),
    ("dev --nodes 65", &["65", "1..=64"]),
    ("dev --nodes many", &["many"]),
    ("dev --base-port 0", &["--base-port"]),
    ("dev --base-port 64600", &["--base-port", "64531"]),
    ("dev --base-port 70000", &["70000"]),
    ("status", &["HOST:PORT"]),
    ("status nowhere", &["nowhere", "host:port"]),
    ("status http://127.0.0.1:7100", &["scheme", "as in \"127.0.0.1:7100\""]),
    ("status ::1:7100", &["brackets"]),
    ("lookup 127.0.0.1:7100", &["KEY"]),
    ("lookup 127.0.0.1:7100 ''", &["empty"]),
    ("lookup 127.0.0.1:7100 key -n 0", &["0", "1..=64"]),
    ("lookup 127.0.0.1:7100 key -n 65", &["65", "1..=64"]),
    ("status --json", &["HOST:PORT"]),
    ("status a:1 b:1", &["'b:1'"]),
    ("status 127.0.0.1:7100/", &["7100/", "1 to 65535"]),
    ("lookup driver-42 127.0.0.1:7100", &["driver-42", "host:port"]),
    ("lookup 127.0.0.1:7100 key -n many", &["many"]),
    ("lookup 127.0.0.1:7100 -k", &["-- -k"]),
    ("cert", &["NAME"]),
    ("cert ''", &["IP address or DNS name"]),
    ("cert 127.0.0.1:7100", &["127.0.0.1:7100", "without a port"]),
    ("cert 10.0.0.1,10.0.0.2", &["by itself"]),
    ("cert *", &["DNS name"]),
    ("cert bad_name_", &["DNS name"]),
    ("cert [::1]", &["without a port"]),
    ("cert 127.0.0.1 --days 0", &["0", "1..=3650"]),
    ("cert 127.0.0.1 --out ca", &["authority"]),
    ("ring", &["--help"]),
    ("ring ownership backends.json", &["'backends.json'"]),
    ("ring plan --target-peak 110% --backends 10", &["110%", "1.10"]),
    ("ring plan --target-peak 1.1 --backends 0", &["0", "1..=16777216"]),
    ("dev 3", &["'3'"]),
    ("dev --for 0", &["longer than nothing"]),
    ("help nod", &["'nod'"]),
];

#[tokio::test]
async fn lines_that_cannot_mean_anything() {
    for (line, words) in WRONG {
        let line = line.replace("NODE", NODE);
        let words_of = line.split_whitespace().map(|word| match word {
            "''" => String::new(),
            // Options have dashes, and messages about them may have underscores.
            word => word.replace('_', " "),
        });
        let arguments: Vec<String> = words_of.collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        complains(&arguments, USAGE, words).await;
        // What a member refuses, its check refuses with the same words.
        if let ["node", rest @ ..] = &arguments[..] {
            let checked = [&["node", "--check"], rest].concat();
            assert_eq!(complaint(&checked, USAGE).await, complaint(&arguments, USAGE).await);
        }
    }
}

/// A message repeats only as much of a value that is much too long as people need to recognise it.
#[tokio::test]
async fn a_huge_argument_does_not_drown_what_is_wrong_with_it() {
    let key = "k".repeat(100_000);
    complains(&["lookup", "127.0.0.1:7100", &key], USAGE, &["100000 bytes", "at most 1024"]).await;
    let output = ringpop(&["lookup", "127.0.0.1:7100", &key]).output().await.unwrap();
    assert!(output.stderr.len() < 400, "{} bytes", output.stderr.len());
}

#[tokio::test]
async fn labels_that_are_reserved() {
    let mut line: Vec<&str> = NODE.split(' ').collect();
    line.extend(["--label", "__identity=x"]);
    complains(&line, USAGE, &["reserved"]).await;
}

/// `--check` fails as the member would also where the fault is in the host and its files.
#[tokio::test]
async fn a_check_fails_as_its_member_would() {
    let ports = Ports::claim(2);
    let (listen, other) = (ports.grpc(0), ports.grpc(1));
    let node = ["--listen", &listen, "--peers", &listen];
    for (more, words) in [
        (&["--admin-token-file", "/nope"][..], &["/nope"][..]),
        (&["--tls-cert", "/nope", "--tls-key", "/nope", "--tls-ca", "/nope"], &["/nope"]),
        (&["--http", "192.0.2.1:20000"], &["no such address", "--http"]),
        (&["--admin-http", "192.0.2.1:20000"], &["no such address", "--admin-http"]),
        (&["--advertise", "0.0.0.0:1"], &["0.0.0.0"]),
    ] {
        let member = [&["node"], &node[..], more].concat();
        let checked = [&["node", "--check"], &node[..], more].concat();
        complains(&member, FAILED, words).await;
        assert_eq!(complaint(&checked, FAILED).await, complaint(&member, FAILED).await);
    }
    let foreign = ["node", "--listen", "192.0.2.1:20000", "--peers", "a:1"];
    let checked = [&foreign[..], &["--check"]].concat();
    assert_eq!(complaint(&checked, FAILED).await, complaint(&foreign, FAILED).await);

    // It takes none of the ports: the member may run meanwhile.
    let taken = [TcpListener::bind(&listen).unwrap(), TcpListener::bind(&other).unwrap()];
    let checked = [&["node", "--check", "--http", &other], &node[..]].concat();
    let output = ringpop(&checked).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    drop(taken);
}

#[tokio::test]
async fn addresses_that_are_not_of_this_machine() {
    // For documentation only (RFC 5737).
    let foreign = ["node", "--listen", "192.0.2.1:20000", "--peers", "a:1"];
    complains(&foreign, FAILED, &["192.0.2.1:20000", "no such address"]).await;
    let name = "nowhere.invalid:20000".to_owned();
    complains(&["node", "--listen", &name, "--peers", "a:1"], FAILED, &["resolve", "--listen"])
        .await;
    complains(&["status", &name], FAILED, &["the name does not resolve"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_cannot_be_joined_are_named_with_the_cause() {
    let ports = Ports::claim(2);
    let (listen, peer) = (ports.grpc(0), ports.grpc(1));
    let node = |peers: &str| {
        ["node", "--listen", &listen, "--join-timeout", "2s", "--peers", peers].map(str::to_owned)
    };
    let fails = |peers: String, words: &'static [&'static str]| async move {
        let arguments = node(&peers);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        complains(&arguments, FAILED, words).await;
    };
    fails(peer.clone(), &["refused", "nothing listens there"]).await;
    let name = "nowhere.invalid:20000".to_owned();
    let arguments = node(&name);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let message = complaint(&arguments, FAILED).await;
    // On a busy machine the resolver may take longer than a dial.
    let reasons = ["the name does not resolve", "the resolver is slow or silent"];
    assert!(reasons.iter().any(|reason| message.contains(reason)), "{message}");
    {
        let silent = TcpListener::bind(&peer).unwrap();
        fails(peer.clone(), &["did not answer in time"]).await;
        drop(silent);
    }
    let web = TcpListener::bind(&peer).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = web.accept() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    fails(peer, &["no other kind of server has the port"]).await;
}

#[tokio::test]
async fn a_time_that_is_over_before_the_member_has_joined() {
    let ports = Ports::claim(2);
    let (listen, dead) = (ports.grpc(0), ports.grpc(1));
    let node = ["node", "--listen", &listen, "--peers", &dead, "--for", "1s"];
    complains(&node, FAILED, &["--for", "before the member had joined"]).await;
    let unheard = "nowhere.invalid:20000".to_owned();
    let node = [&node[..], &["--advertise", &unheard]].concat();
    complains(&node, FAILED, &["--for"]).await;
}

fn is_ready(event: &Value) -> bool {
    event["event"] == "state" && event["state"] == "ready"
}

/// A hosts file may list the others later: the member waits, and then says that it is alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_others_is_waited_for_and_then_told() {
    let ports = Ports::claim(1);
    let (listen, directory) = (ports.grpc(0), tempfile::tempdir().unwrap());
    let path = directory.path().join("hosts.json");
    let hosts = path.to_str().unwrap();
    for text in ["[]".to_owned(), format!("[{listen:?}]")] {
        std::fs::write(&path, &text).unwrap();
        let node =
            ["node", "--listen", &listen, "--hosts", hosts, "--alone-after", "300ms", "--json"];
        let node = Process::start(&node);
        node.told("it is ready", is_ready).await;
        let problem = node.told("why it is alone", |event| event["event"] == "problem").await;
        let text = problem["text"].as_str().unwrap();
        assert!(text.contains("cluster of its own") && text.contains("hosts.json"), "{text}");
        let status = crate::support::status(&listen).await.expect("it answers");
        assert_eq!(status["problems"].as_array().unwrap().len(), 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_another_member_has() {
    let ports = Ports::claim(2);
    let (one, two) = (ports.grpc(0), ports.grpc(1));
    let first = Process::start(&["node", "--listen", &one, "--peers", &one, "--json"]);
    first.told("the first is ready", is_ready).await;
    let second = ["node", "--listen", &two, "--peers", &one, "--advertise", &one];
    complains(&second, FAILED, &[&one, "another process"]).await;
}

/// Certificates of one authority.
struct Certificates(CertifiedIssuer<'static, KeyPair>);

#[allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes files for one member, and gives the flags that name them.
    fn issue(&self, directory: &Path, name: &str, is_expired: bool) -> Vec<String> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let files = [
            ("--tls-cert", certificate.pem()),
            ("--tls-key", key.serialize_pem()),
            ("--tls-ca", self.0.pem()),
        ];
        let write = |(flag, text): (&str, String)| {
            let path = directory.join(flag.trim_start_matches('-'));
            std::fs::write(&path, text).unwrap();
            [flag.to_owned(), path.to_str().unwrap().to_owned()]
        };
        files.into_iter().flat_map(write).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_fit() {
    let ports = Ports::claim(3);
    let (listen, encrypted, plain) = (ports.grpc(0), ports.grpc(1), ports.grpc(2));
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let directories: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let path = |i: usize| directories[i].path();
    let good = ours.issue(path(0), "127.0.0.1", false);
    let foreign = theirs.issue(path(1), "127.0.0.1", false);
    let expired = ours.issue(path(2), "127.0.0.1", true);
    let start = |address: &str, flags: &[String]| {
        let node = ["node", "--listen", address, "--peers", address, "--json"].map(str::to_owned);
        let arguments = [&node[..], flags].concat();
        Process::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (one, two) = (start(&encrypted, &good), start(&plain, &[]));
    one.told("one with certificates is ready", is_ready).await;
    two.told("one without is ready", is_ready).await;

    let joining = |peer: &str| {
        let node = ["node", "--listen", &listen, "--join-timeout", "2s", "--peers", peer];
        node.map(str::to_owned).to_vec()
    };
    let asking = |address: &str| vec!["status".to_owned(), address.to_owned()];
    let missing = path(3).join("none").to_str().unwrap().to_owned();
    let mixed = [&good[..2], &foreign[2..]].concat();
    let swapped = [&good[..1], &good[3..4], &good[2..3], &good[1..2], &good[4..]].concat();
    let absent = [&good[..1], &[missing][..], &good[2..]].concat();
    for (line, flags, words) in [
        (joining(&encrypted), &foreign[..], &["certificate", "authority"][..]),
        (joining(&encrypted), &expired, &["expired", "renew"]),
        (joining(&encrypted), &[], &["use TLS, or neither does"]),
        (joining(&plain), &good, &["use TLS, or neither does"]),
        (joining(&encrypted), &mixed, &["cannot be used with the key"]),
        (joining(&encrypted), &swapped, &["does not hold"]),
        (joining(&encrypted), &absent, &["cannot read", "none"]),
        (asking(&encrypted), &foreign, &["certificate", "authority"]),
        (asking(&encrypted), &[], &[&encrypted]),
        (asking(&plain), &good, &["use TLS, or neither does"]),
    ] {
        let arguments = [&line[..], flags].concat();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        complains(&arguments, FAILED, words).await;
    }
}
