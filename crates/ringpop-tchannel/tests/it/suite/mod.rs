//! `testpop` among fake members, case by case as in Ringpop's cross-language
//! suite: what of its rules can be seen on the wire. The rules themselves are
//! tested where they are, in `swim-core`.

mod cases;
mod fakes;
mod schema;

use std::time::Duration;

use self::fakes::{Asked, Fakes, INCARNATION, checksum, member, said};
use crate::support::{Answer, Client, Process, free_addresses, hosts_file, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Numbers of fakes.
const SIZES: [usize; 5] = [1, 2, 3, 5, 10];

/// How long a step may take; the deadline of the suite.
const DEADLINE: Duration = Duration::from_secs(20);

const JOIN: &str = "/protocol/join";
const PING: &str = "/protocol/ping";
const PING_REQ: &str = "/protocol/ping-req";

/// One real member among fakes.
struct Suite {
    fakes: Fakes,
    sut: Process,
    address: String,
    /// Its incarnation at the start.
    incarnation: u64,
    /// Speaks for all fakes: who says something is in the body.
    client: Client,
    directory: TempDir,
}

impl Suite {
    /// The start of every case: exactly as many joins as there should be, then
    /// pings, and all fakes known.
    async fn prepare(n: usize) -> Self {
        Self::prepare_with(Fakes::start(n).await, &[]).await
    }

    async fn prepare_with(fakes: Fakes, options: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let address = free_addresses(1).remove(0);
        let mut hosts = fakes.addresses.clone();
        hosts.push(address.clone());
        let hosts = hosts_file(directory.path(), &hosts);
        let periods =
            ["suspect", "faulty", "tombstone"].map(|name| format!("--{name}-period=5000"));
        let options: Vec<&str> =
            periods.iter().map(String::as_str).chain(options.iter().copied()).collect();
        let sut = Process::testpop(&address, &hosts, &options);

        let mut before = Vec::new();
        until("the first ping", DEADLINE, || {
            before.extend(fakes.take());
            let pinged = before.iter().any(|asked: &Asked| asked.is(PING));
            async move { pinged }
        })
        .await;
        let (joins, rest): (Vec<_>, Vec<_>) = before.iter().partition(|asked| asked.is(JOIN));
        assert_eq!(joins.len(), 6.min(fakes.addresses.len()), "joins before the first ping");
        assert!(rest.iter().all(|asked| asked.is(PING)), "{rest:?}");
        before.iter().for_each(schema::check_request);
        let incarnation = joins[0].body["incarnationNumber"].as_u64().unwrap();
        assert_eq!(joins[0].body["source"], json!(address));
        for ping in rest {
            // The list of a join is not spread, the member itself is.
            let [change] = ping.changes() else { panic!("exactly one change: {ping:?}") };
            assert_eq!(change["address"], json!(address));
            assert_eq!((&change["status"], &change["source"]), (&json!("alive"), &json!(address)));
        }
        let client = Client::connect(&address).await.unwrap();
        Self { fakes, sut, address, incarnation, client, directory }
    }

    /// The end of every case: no other requests than probes, and all of them
    /// as the schemas want them.
    fn finish(self) {
        for asked in self.fakes.take() {
            schema::check_request(&asked);
            assert!(asked.is(PING) || asked.is(PING_REQ), "{asked:?}");
        }
    }

    fn fake(&self, i: usize) -> &str {
        &self.fakes.addresses[i]
    }

    async fn call(&mut self, endpoint: &str, body: &Value) -> Value {
        let answer = self.client.call(endpoint, &body.to_string()).await.unwrap();
        let Answer::Ok(_) = answer else { panic!("{endpoint}: {answer:?}") };
        schema::check_answer(endpoint, &answer.json());
        answer.json()
    }

    /// A fake pings with a change; gives the changes of the answer.
    async fn ping(&mut self, from: usize, changes: Vec<Value>) -> Vec<Value> {
        // What it would be after the changes is not worth computing: the answer
        // is a full sync only when there is nothing else to say.
        let checksum = checksum(&self.stats().await);
        self.ping_with(from, checksum, changes).await
    }

    async fn ping_with(&mut self, from: usize, checksum: u64, changes: Vec<Value>) -> Vec<Value> {
        let body = json!({
            "source": self.fake(from),
            "sourceIncarnationNumber": INCARNATION,
            "checksum": checksum,
            "changes": changes,
        });
        let answer = self.call(PING, &body).await;
        answer["changes"].as_array().unwrap().clone()
    }

    /// A fake says something of another one.
    async fn tell(&mut self, by: usize, about: usize, status: &str, incarnation: u64) {
        let change = said(self.fake(by), member(self.fake(about), status, incarnation));
        self.ping(by, vec![change]).await;
    }

    /// Pings until there is nothing left to spread.
    async fn drain(&mut self) {
        let checksum = checksum(&self.stats().await);
        for _ in 0..30 {
            self.ping_with(0, checksum, Vec::new()).await;
        }
        self.fakes
            .next("a ping without changes", |asked| asked.is(PING) && asked.changes().is_empty())
            .await;
    }

    async fn stats(&mut self) -> Value {
        self.call("/admin/stats", &Value::Null).await
    }

    async fn status(&mut self, i: usize) -> Option<String> {
        let stats = self.stats().await;
        crate::support::seen(&stats, self.fake(i)).map(|(status, _)| status)
    }

    /// Checks how many members have each status, that the real one did not
    /// reincarnate, and its checksum.
    async fn assert_counts(&mut self, expected: &[(&str, usize)]) {
        let stats = self.stats().await;
        let members = stats["membership"]["members"].as_array().unwrap();
        for status in ["alive", "suspect", "faulty", "leave", "tombstone"] {
            let count = members.iter().filter(|member| member["status"] == status).count();
            let wanted = expected.iter().find(|(name, _)| *name == status).map_or(0, |(_, n)| *n);
            assert_eq!(count, wanted, "{status} in {members:?}");
        }
        let own = crate::support::seen(&stats, &self.address).unwrap().1;
        assert_eq!(own, self.incarnation);
        assert_eq!(stats["membership"]["checksum"], json!(checksum(&stats)));
    }
}
