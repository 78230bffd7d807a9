//! dnsmasq as the name server of SRV records.

use std::time::Duration;

use ringpop_discovery::{Discovery as _, Feed, Freshness, Srv};
use tokio::time::sleep;

use super::support::{Process, dnsmasq, free_ports, is_installed};
use super::{failure, ids, until};

struct Server {
    port: u16,
    process: Option<Process>,
}

impl Server {
    fn new() -> Self {
        let [port] = free_ports();
        Self { port, process: None }
    }

    /// Starts anew with these records: target, port, priority, weight.
    fn start(&mut self, records: &[(&str, u16, u16, u16)]) {
        self.process = None;
        let record = |(target, port, priority, weight): &(&str, u16, u16, u16)| {
            format!("{target}.workers.test,{port},{priority},{weight}")
        };
        self.process = Some(dnsmasq(self.port, records.iter().map(record)));
    }

    fn feed(&self) -> Feed {
        let srv = Srv::new("_gossip._tcp.workers.test").unwrap();
        Feed::new(srv.server(([127, 0, 0, 1], self.port).into()))
    }
}

fn weights(list: &ringpop_discovery::Snapshot) -> Vec<u32> {
    list.records().iter().map(|record| record.weight).collect()
}

#[tokio::test]
async fn records_are_followed_through_everything_that_happens_to_their_server() {
    if !is_installed("dnsmasq") {
        return;
    }
    let mut server = Server::new();
    let feed = server.feed();
    let mut snapshots = feed.snapshots();
    let error = failure(&mut snapshots).await;
    assert!(!error.lists_nobody(), "down is not empty: {error}");

    server.start(&[("n0", 7100, 10, 20), ("n1", 7101, 10, 60), ("n2", 7102, 20, 5)]);
    let list = until(&mut snapshots, |list| list.freshness().is_live()).await;
    let names = ["n0.workers.test:7100", "n1.workers.test:7101", "n2.workers.test:7102"];
    assert_eq!((ids(&list), weights(&list)), (names.to_vec(), vec![1, 3, 0]));
    assert_eq!(list.records()[2].labels["priority"], "20");

    // Another list, at the latest when the records have lived.
    server.start(&[("n0", 7100, 10, 0), ("n3", 7103, 10, 0)]);
    let list = until(&mut snapshots, |list| list.records().len() == 2).await;
    assert_eq!((ids(&list)[1], weights(&list)), ("n3.workers.test:7103", vec![1, 1]));

    // The name is gone: nobody is.
    server.start(&[]);
    let list = until(&mut snapshots, |list| !list.freshness().is_live()).await;
    assert_eq!(list.records().len(), 2);
    server.start(&[("n4", 7104, 0, 0)]);
    until(&mut snapshots, |list| ids(list) == ["n4.workers.test:7104"]).await;

    // It hangs, for longer than a resolver waits, and goes on.
    server.process.as_ref().unwrap().signal("STOP");
    let list = until(&mut snapshots, |list| !list.freshness().is_live()).await;
    let Freshness::Failed { reason, .. } = list.freshness() else { panic!("{list:?}") };
    assert!(reason.contains("the SRV records of"), "{reason}");
    server.process.as_ref().unwrap().signal("CONT");
    until(&mut snapshots, |list| list.freshness().is_live()).await;

    server.process = None;
    until(&mut snapshots, |list| !list.freshness().is_live()).await;
    assert_eq!(feed.peers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_that_does_not_exist_lists_nobody() {
    if !is_installed("dnsmasq") {
        return;
    }
    let mut server = Server::new();
    server.start(&[]);
    let feed = server.feed();
    let mut snapshots = feed.snapshots();
    // It may not listen yet.
    loop {
        let error = failure(&mut snapshots).await;
        if error.lists_nobody() {
            assert!(error.to_string().contains("_gossip._tcp.workers.test"), "{error}");
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// More than fits into a datagram: the answer is cut off, and asked for again by TCP.
#[tokio::test]
async fn five_hundred_records_come_by_tcp() {
    if !is_installed("dnsmasq") {
        return;
    }
    let names: Vec<String> = (0..500).map(|i| format!("n{i}")).collect();
    let records: Vec<_> = names.iter().map(|name| (name.as_str(), 7100, 0, 0)).collect();
    let mut server = Server::new();
    server.start(&records);
    let feed = server.feed();
    until(&mut feed.snapshots(), |list| list.records().len() == 500).await;
}
