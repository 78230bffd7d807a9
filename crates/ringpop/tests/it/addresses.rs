//! One canonical form of addresses, one member whatever it is called.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringpop::discovery::{self, StaticList};
use ringpop::swim::{self, Config};
use ringpop::{BindError, BootstrapError, Ringpop};
use tokio::time::timeout;

const VECTORS: &str = include_str!("vectors/addresses.txt");
const PATIENCE: Duration = Duration::from_secs(60);

/// Spelling, canonical form, use.
fn vectors() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    VECTORS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut fields = line.split_whitespace();
        let mut next = || fields.next().unwrap();
        (next(), next(), next())
    })
}

#[test]
fn both_leaves_have_one_canonical_form() {
    for (spelling, canonical, good_for) in vectors() {
        let member = swim::Address::new(spelling).unwrap();
        assert_eq!(member.as_str(), canonical, "swim-core, {spelling}");
        assert_eq!(member.check_diallable().is_ok(), good_for == "member", "{spelling}");
        let listed = spelling.parse::<discovery::Address>();
        let listed = listed.ok().map(|address| address.as_str().to_owned());
        let expected = (good_for != "nothing").then(|| canonical.to_owned());
        assert_eq!(listed, expected, "ringpop-discovery, {spelling}");
    }
}

#[tokio::test]
async fn an_address_that_nobody_can_dial_cannot_be_advertised() {
    for (spelling, _, good_for) in vectors() {
        let bound = Ringpop::builder("test").advertise(spelling).bind().await;
        match bound {
            Ok(member) => {
                assert_eq!(good_for, "member", "{spelling}");
                assert!(!member.whoami().contains(char::is_uppercase));
            }
            Err(error) => {
                assert_ne!(good_for, "member", "{spelling}: {error}");
                assert!(matches!(error, BindError::Advertise(_)), "{spelling}: {error}");
            }
        }
    }
}

/// A member on a free port of loopback, which advertises `host` and lists
/// `peers`; `PORT` stands for its port in both.
async fn member(host: &str, peers: &str) -> Ringpop {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let peers = peers.replace("PORT", &listen.port().to_string());
    // A join that waits for a timeout of one request fails as a whole.
    let config = Config::local().to_builder();
    let config = config.join_timeout(Duration::from_secs(20)).build().unwrap();
    let member = Ringpop::builder("test")
        .listen(listen)
        .advertise(format!("{host}:{}", listen.port()))
        .discovery(Arc::new(StaticList::parse(&peers).unwrap()))
        .config(config)
        .bind()
        .await
        .unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    member
}

async fn bootstrap(member: &Ringpop) -> Result<Vec<String>, BootstrapError> {
    let joined = timeout(PATIENCE, member.bootstrap()).await.unwrap()?.joined;
    Ok(joined.iter().map(ToString::to_string).collect())
}

/// The answer names the right address, and belongs to the request by its
/// number.
#[tokio::test]
async fn a_peer_by_another_name_is_joined() {
    for (advertised, listed) in [
        ("127.0.0.1", "localhost"),
        ("localhost", "127.0.0.1"),
        ("localhost", "LOCALHOST."),
        ("127.0.0.1", "[::ffff:127.0.0.1]"),
    ] {
        let seed = member(advertised, &format!("{advertised}:PORT")).await;
        assert_eq!(bootstrap(&seed).await.unwrap(), [""; 0]);
        let port = seed.whoami().rsplit_once(':').unwrap().1.to_owned();
        let joiner = member("127.0.0.1", &format!("{listed}:{port}")).await;
        assert_eq!(bootstrap(&joiner).await.unwrap(), [seed.whoami()], "{listed}");
    }
}

#[tokio::test]
async fn one_member_by_two_names_is_joined_once() {
    let seed = member("127.0.0.1", "127.0.0.1:PORT").await;
    bootstrap(&seed).await.unwrap();
    let port = seed.whoami().rsplit_once(':').unwrap().1.to_owned();
    let peers = format!("localhost:{port},127.0.0.1:{port},127.0.0.1:PORT,localhost:PORT");
    let joiner = member("127.0.0.1", &peers).await;
    assert_eq!(bootstrap(&joiner).await.unwrap(), [seed.whoami()]);
}

/// A headless name gives IP addresses, the member advertises its name.
#[tokio::test]
async fn a_first_member_that_lists_itself_by_another_name_is_a_cluster_of_its_own() {
    for (advertised, listed) in [("localhost", "127.0.0.1"), ("127.0.0.1", "localhost")] {
        let first = member(advertised, &format!("{listed}:PORT")).await;
        assert_eq!(bootstrap(&first).await.unwrap(), [""; 0], "{listed}");
        assert_eq!(first.view().ring.len(), 1);
        let stats = first.membership_stats().await;
        assert_eq!((stats.rejected_self, stats.rejected_replies), (0, 0));
    }
}

/// Another process advertises the address of this one, and is listed by a
/// second name.
#[tokio::test]
async fn a_joiner_is_told_that_its_address_is_taken() {
    let seed = member("127.0.0.1", "127.0.0.1:PORT").await;
    bootstrap(&seed).await.unwrap();
    let port = seed.whoami().rsplit_once(':').unwrap().1.to_owned();
    let config = Config::local().to_builder().join_duration_max(Duration::from_secs(2));
    let twin = Ringpop::builder("test")
        .advertise(seed.whoami())
        .discovery(Arc::new(StaticList::parse(&format!("localhost:{port}")).unwrap()))
        .config(config.build().unwrap())
        .bind()
        .await
        .unwrap();
    twin.serve(tonic::service::Routes::default()).unwrap();
    let error = bootstrap(&twin).await.unwrap_err().to_string();
    assert!(error.contains(seed.whoami()), "{error}");
    assert!(error.contains("the address that this member advertises"), "{error}");
}
