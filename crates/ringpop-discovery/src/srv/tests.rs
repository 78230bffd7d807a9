use tokio::net::UdpSocket;

use super::*;
use crate::{Discovery as _, Feed, Freshness};

/// What dnsmasq 2.90 answers about three records, with a time to live of seven seconds.
const RECORDED: &str = "123485800001000300000000075f676f73736970045f74637007776f726b6572730474657374000021\
    0001c00c00210001000000070017001400051bbe026e3207776f726b657273047465737400c00c0021000100000007\
    0017000a003c1bbd026e3107776f726b657273047465737400c00c00210001000000070017000a00141bbc026e3007\
    776f726b657273047465737400";

/// The code of its answer about a name that does not exist.
const NO_SUCH_NAME: u8 = 3;

/// A name server that answers every question with one message, but for its number.
async fn server(answer: fn(&[u8]) -> Vec<u8>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 4096];
        loop {
            let (length, peer) = socket.recv_from(&mut question).await.unwrap();
            let answer = answer(&question[..length]);
            socket.send_to(&answer, peer).await.unwrap();
        }
    });
    address
}

fn srv(server: SocketAddr) -> Srv {
    Srv::new("_gossip._tcp.workers.test").unwrap().server(server)
}

fn recorded(question: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = RECORDED.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let mut answer: Vec<u8> = digits.chunks(2).map(byte).collect();
    answer[..2].copy_from_slice(&question[..2]);
    answer
}

#[tokio::test]
async fn a_recorded_answer_is_read_and_lives_as_long_as_it_says() {
    let mut srv = srv(server(recorded).await);
    let asked = Instant::now();
    let mut list = srv.next().await.unwrap();
    list.sort_by(|a, b| a.id.cmp(&b.id));
    let read: Vec<_> = list.iter().map(|record| (record.address.as_str(), record.weight)).collect();
    let expected =
        [("n0.workers.test:7100", 1), ("n1.workers.test:7101", 3), ("n2.workers.test:7102", 0)];
    assert_eq!(read, expected);
    assert_eq!(list[2].labels["priority"], "20");
    let due = srv.due.unwrap();
    assert!(due - asked >= Duration::from_secs(7), "the records live for seven seconds");
    assert!(due - Instant::now() <= Duration::from_secs(7));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_nobody_and_garbage_is_not() {
    let error =
        srv(server(|question| refusal(question, NO_SUCH_NAME)).await).next().await.unwrap_err();
    assert!(error.lists_nobody(), "{error}");
    assert!(
        error.to_string().starts_with("cannot resolve \"_gossip._tcp.workers.test\""),
        "{error}"
    );

    let feed = Feed::new(srv(server(|question| [&question[..2], b"garbage"].concat()).await));
    let error = feed.peers().await.unwrap_err();
    assert!(!error.lists_nobody(), "{error}");
    let mut snapshots = feed.snapshots();
    assert!(snapshots.next().await.unwrap().is_err());
    assert!(!matches!(
        snapshots.latest().map(|list| list.freshness().clone()),
        Some(Freshness::Live)
    ));
}

/// The answer to `question` with this code (RFC 1035 section 4.1.1) and nothing else.
fn refusal(question: &[u8], code: u8) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let head = [0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0];
    [&question[..2], &head, &question[12..end]].concat()
}

/// A server that fails, or does not answer for this name, says nothing about the members.
#[tokio::test]
async fn a_server_that_fails_or_refuses_does_not_list_nobody() {
    let failure: fn(&[u8]) -> Vec<u8> = |question| refusal(question, 2);
    for answer in [failure, |question| refusal(question, 5)] {
        let error = srv(server(answer).await).next().await.unwrap_err();
        assert!(!error.lists_nobody(), "{error}");
    }
    // The name is there and has other records: nobody.
    let error = srv(server(|question| refusal(question, 0)).await).next().await.unwrap_err();
    assert!(error.lists_nobody(), "{error}");
}

fn weights(targets: &[(u16, u16)]) -> Vec<u32> {
    let targets = targets.iter().zip(1..).map(|(&(priority, weight), port)| Target {
        priority,
        weight,
        port,
        host: "a.internal.".to_owned(),
    });
    records(targets.collect()).unwrap().iter().map(|record| record.weight).collect()
}

#[test]
fn weights_are_shares_and_do_not_follow_the_number_of_equals() {
    // CoreDNS gives each endpoint of a headless service 100 / n.
    assert_eq!(weights(&[(0, 33), (0, 33), (0, 33)]), [1, 1, 1]);
    assert_eq!(weights(&[(0, 25), (0, 25), (0, 25), (0, 25)]), [1, 1, 1, 1]);
    assert_eq!(weights(&[(0, 10), (0, 20), (0, 60)]), [1, 2, 6]);
    assert_eq!(weights(&[(0, 0), (0, 0)]), [1, 1]);
    assert_eq!(weights(&[(0, 0), (0, 5)]), [0, 1], "RFC 2782: next to no chance");
    assert_eq!(weights(&[(0, 65_535), (0, 1), (0, 32_768)]), [100, 1, 50]);
    // Those that stand by get no work, and do not change how it is shared.
    assert_eq!(weights(&[(10, 2), (20, 7), (10, 4)]), [1, 0, 2]);
}

#[test]
fn a_record_is_its_target_and_tells_its_priority_only_when_it_matters() {
    let target =
        |priority, host: &str| Target { priority, weight: 1, port: 7100, host: host.to_owned() };
    let list = records(vec![target(5, "Pod-0.kv.internal.")]).unwrap();
    assert_eq!(list[0].id, "pod-0.kv.internal:7100");
    assert_eq!(list[0].address.as_str(), "pod-0.kv.internal:7100");
    assert!(list[0].labels.is_empty());
    let list = records(vec![target(5, "a."), target(6, "b.")]).unwrap();
    assert_eq!(list[1].labels["priority"], "6");
    assert!(records(vec![target(0, ".")]).unwrap().is_empty(), "the service is not there");
}

#[test]
fn a_name_is_needed() {
    assert!(Srv::new("_gossip._tcp.workers.internal").is_ok());
    for text in ["", ".", "a..b", &"x".repeat(64)] {
        let error = Srv::new(text).unwrap_err().to_string();
        assert!(error.ends_with("as in _gossip._tcp.workers.internal"), "{text}: {error}");
    }
}
