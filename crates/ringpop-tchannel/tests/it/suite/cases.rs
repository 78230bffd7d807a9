//! The cases, by the files of the suite.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use ringpop_tchannel::fingerprint32;
use serde_json::{Value, json};

use super::{
    DEADLINE, Fakes, INCARNATION, JOIN, PING, PING_REQ, SIZES, Suite, checksum, member, said,
};
use crate::runs_all::runs_all;
use crate::support::{hosts_file, seen, until};

static ALL_SIZES: LazyLock<bool> =
    LazyLock::new(|| runs_all("clusters of sizes between least and most"));

/// The numbers of members that a case is tried with: the least and the most, or all of them.
fn sizes(least: usize) -> impl Iterator<Item = usize> {
    let most = SIZES.into_iter().max();
    SIZES.into_iter().filter(move |n| *n == least || *n > least && (*ALL_SIZES || Some(*n) == most))
}

/// Resident memory of a member may take so much.
const RSS_MAX: u64 = 14 << 20;

#[tokio::test]
async fn a_joiner_gets_the_list_and_is_not_added() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n).await;
        suite.assert_counts(&[("alive", n + 1)]).await;
        let joiner = "127.0.0.1:9";
        let request = json!({ "app": "ringpop", "source": joiner, "incarnationNumber": 1 });
        let answer = suite.call(JOIN, &request).await;
        assert_eq!(answer["membership"].as_array().unwrap().len(), n + 1);
        let stats = suite.stats().await;
        assert_eq!(answer["membershipChecksum"], json!(checksum(&stats)));
        assert_eq!(seen(&stats, joiner), None);
        let memory = stats["process"]["memory"]["rss"].as_u64().unwrap();
        assert!(memory <= RSS_MAX, "{memory} bytes");
        suite.finish();
    }
}

/// The machine exchanges lists in pages, Ringpop whole ones.
#[tokio::test]
async fn a_list_that_is_longer_than_a_message_comes_and_goes_whole() {
    const MANY: usize = 9000;
    let fakes = Fakes::start(2).await;
    let address = |i: usize| format!("192.0.2.{}:{}", i % 250, 1000 + i / 250);
    fakes.behave(|behaviour| {
        let many = (0..MANY).map(|i| member(&address(i), "leave", INCARNATION));
        behaviour.membership.extend(many);
    });
    let mut suite = Suite::prepare_with(fakes, &[]).await;
    suite.assert_counts(&[("alive", 3), ("leave", MANY)]).await;
    let request = json!({ "app": "ringpop", "source": "127.0.0.1:9", "incarnationNumber": 1 });
    let answer = suite.call(JOIN, &request).await;
    let membership = answer["membership"].as_array().unwrap();
    let listed: BTreeSet<&str> =
        membership.iter().map(|member| member["address"].as_str().unwrap()).collect();
    assert_eq!((membership.len(), listed.len()), (MANY + 3, MANY + 3));
    suite.finish();
}

/// `incNoDelta` of the suite: the known status, the change, the result.
#[tokio::test]
async fn changes_override_by_incarnation_and_status() {
    let mut suite = Suite::prepare(2).await;
    let order = ["alive", "suspect", "faulty", "leave", "tombstone"];
    let mut incarnation = INCARNATION;
    for known in 0..order.len() {
        for told in 0..order.len() {
            for delta in [-1, 0, 1] {
                // Far above all that was said before.
                incarnation += 10;
                suite.tell(0, 1, order[known], incarnation).await;
                assert_eq!(suite.status(1).await.as_deref(), Some(order[known]));
                let at = incarnation.checked_add_signed(delta).unwrap();
                suite.tell(0, 1, order[told], at).await;
                let overrides = delta > 0 || (delta == 0 && told > known);
                let expected = order[if overrides { told } else { known }];
                let case = format!("{} then {} at {delta}", order[known], order[told]);
                assert_eq!(suite.status(1).await.as_deref(), Some(expected), "{case}");
            }
        }
    }
    // Its checksum was not what these pings said, hence full syncs are in the journal, too.
    let asked = suite.fakes.take();
    asked.iter().for_each(super::schema::check_request);
}

#[tokio::test]
async fn a_member_that_does_not_answer_is_suspect_after_three_helpers_were_asked() {
    for n in sizes(2) {
        let suite = Suite::prepare(n).await;
        suite.fakes.behave(|behaviour| behaviour.silent = vec![1]);
        suite.fakes.shut_down(1);
        let target = json!(suite.fake(1));
        let helpers = 3.min(n - 1);
        let mut asked = BTreeSet::new();
        while asked.len() < helpers {
            let wanted =
                |asked: &super::Asked| asked.is(PING_REQ) && asked.body["target"] == target;
            asked.insert(suite.fakes.next("a ping-req", wanted).await.fake);
        }
        assert!(!asked.contains(&1), "nobody is asked to ping itself");
        let at = suite.address.clone();
        let target = suite.fake(1).to_owned();
        until("it is suspect", DEADLINE, || async {
            let stats = crate::support::stats(&at).await;
            stats.and_then(|stats| seen(&stats, &target)).is_some_and(|seen| seen.0 == "suspect")
        })
        .await;
        suite.finish();
    }
}

#[tokio::test]
async fn a_helper_says_whether_it_reached_the_target() {
    let mut suite = Suite::prepare(3).await;
    let request = |suite: &Suite, checksum: u64| {
        json!({
            "source": suite.fake(0),
            "sourceIncarnationNumber": INCARNATION,
            "checksum": checksum,
            "changes": [said(suite.fake(0), member(suite.fake(2), "suspect", INCARNATION))],
            "target": suite.fake(1),
        })
    };
    let checksum = checksum(&suite.stats().await);
    let answer = suite.call(PING_REQ, &request(&suite, checksum)).await;
    assert_eq!((&answer["pingStatus"], &answer["target"]), (&json!(true), &json!(suite.fake(1))));
    assert_eq!(suite.status(2).await.as_deref(), Some("suspect"), "changes count");
    suite.fakes.behave(|behaviour| behaviour.silent = vec![1]);
    let answer = suite.call(PING_REQ, &request(&suite, checksum)).await;
    assert_eq!(answer["pingStatus"], json!(false));
    suite.finish();
}

#[tokio::test]
async fn a_member_refutes_with_itself_as_the_source() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n).await;
        suite.drain().await;
        let own = |suite: &Suite, incarnation| {
            said(suite.fake(0), member(&suite.address, "suspect", incarnation))
        };
        let older = own(&suite, suite.incarnation - 1);
        assert!(suite.ping(0, vec![older]).await.is_empty(), "what is older needs no answer");
        let now = own(&suite, suite.incarnation);
        let answer = suite.ping(0, vec![now]).await;
        let [change] = &answer[..] else { panic!("{answer:?}") };
        assert_eq!(
            (&change["status"], &change["source"]),
            (&json!("alive"), &json!(suite.address))
        );
        assert_eq!(change["incarnationNumber"], change["sourceIncarnationNumber"]);
        assert!(change["incarnationNumber"].as_u64().unwrap() > suite.incarnation);
        suite.finish();
    }
}

#[tokio::test]
async fn a_change_rides_on_requests_and_answers_with_its_source() {
    // Among many it takes long until a change is told often enough.
    for n in sizes(3).filter(|n| *n < 10 || *ALL_SIZES) {
        let mut suite = Suite::prepare(n).await;
        suite.drain().await;
        let change = said(suite.fake(0), member(suite.fake(1), "suspect", INCARNATION));
        suite.fakes.take();
        suite.ping(0, vec![change.clone()]).await;
        assert_eq!(suite.ping(2, Vec::new()).await, std::slice::from_ref(&change));
        let carries = |asked: &super::Asked| asked.is(PING) && asked.changes() == [change.clone()];
        suite.fakes.next("a ping with the change", carries).await;
        suite.drain().await;
        suite.finish();
    }
}

#[tokio::test]
async fn operators_stop_and_start_gossip() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n).await;
        suite.call("/admin/gossip/stop", &Value::Null).await;
        let quiet = |suite: &Suite| !suite.fakes.take().iter().any(|asked| asked.is(PING));
        until("pings that were on their way", DEADLINE, || async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            quiet(&suite)
        })
        .await;
        suite.call("/admin/gossip/tick", &Value::Null).await;
        suite.fakes.next("the ping of the tick", |asked| asked.is(PING)).await;
        // Two periods without another one.
        tokio::time::sleep(Duration::from_millis(450)).await;
        assert!(quiet(&suite), "a tick is one ping");
        suite.call("/admin/gossip/start", &Value::Null).await;
        suite.fakes.next("a ping", |asked| asked.is(PING)).await;
        suite.finish();
    }
}

#[tokio::test]
async fn operators_take_a_member_out_and_in() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n).await;
        suite.drain().await;
        for (endpoint, word, status) in
            [("/admin/member/leave", "ok", "leave"), ("/admin/member/join", "rejoined", "alive")]
        {
            assert_eq!(suite.call(endpoint, &Value::Null).await, json!({ "status": word }));
            let answer = suite.ping(0, Vec::new()).await;
            let [change] = &answer[..] else { panic!("exactly one change: {answer:?}") };
            assert_eq!(change["address"], json!(suite.address));
            assert_eq!(change["status"], json!(status));
        }
        suite.finish();
    }
}

#[tokio::test]
async fn tombstones_are_sent_as_faulty_with_a_mark() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n).await;
        suite.tell(0, 1, "faulty", INCARNATION).await;
        let reaped = suite.call("/admin/reap", &Value::Null).await;
        assert_eq!(reaped, json!({ "status": "ok", "reaped": 1 }));
        assert_eq!(suite.status(1).await.as_deref(), Some("tombstone"));
        let request = json!({ "app": "ringpop", "source": "127.0.0.1:9", "incarnationNumber": 1 });
        let answer = suite.call(JOIN, &request).await;
        let marked = |change: &&Value| change["status"] == "faulty" && change["tombstone"] == true;
        assert_eq!(answer["membership"].as_array().unwrap().iter().filter(marked).count(), 1);
        // Of somebody unknown it says nothing.
        let mut unknown = member("192.0.2.100:1234", "faulty", INCARNATION);
        unknown["tombstone"] = json!(true);
        let unknown = said(suite.fake(0), unknown);
        suite.ping(0, vec![unknown]).await;
        let stats = suite.stats().await;
        assert_eq!(seen(&stats, "192.0.2.100:1234"), None);
        suite.finish();
    }
}

#[tokio::test]
async fn a_ping_with_another_checksum_is_answered_with_the_list_and_asks_for_one() {
    for n in sizes(3) {
        let mut suite = Suite::prepare(n).await;
        suite.drain().await;
        suite.fakes.behave(|behaviour| {
            for member in &mut behaviour.membership[..2] {
                member["status"] = json!("faulty");
            }
        });
        assert_eq!(suite.ping_with(0, 1, Vec::new()).await.len(), n + 1, "the whole list");
        let join = suite.fakes.next("a join to who pinged", |asked| asked.is(JOIN)).await;
        assert_eq!(join.fake, 0);
        until("the list is applied", DEADLINE, || {
            let at = suite.address.clone();
            async move {
                let stats = crate::support::stats(&at).await.unwrap();
                let members = stats["membership"]["members"].as_array().unwrap();
                members.iter().filter(|member| member["status"] == "faulty").count() == 2
            }
        })
        .await;
        suite.assert_counts(&[("alive", n - 1), ("faulty", 2)]).await;
        suite.finish();
    }
}

#[tokio::test]
async fn five_lists_are_asked_for_at_once_at_most() {
    for n in sizes(3) {
        let mut suite = Suite::prepare(n).await;
        suite.drain().await;
        suite.fakes.behave(|behaviour| behaviour.holds_joins = true);
        for i in 0..6.max(2 * n) {
            suite.ping_with(i % n, 1, Vec::new()).await;
        }
        let mut joins = 0;
        until("joins", DEADLINE, || {
            joins += suite.fakes.take().iter().filter(|asked| asked.is(JOIN)).count();
            async move { joins >= 5 }
        })
        .await;
        suite.fakes.behave(|behaviour| behaviour.holds_joins = false);
        suite.assert_counts(&[("alive", n + 1)]).await;
        assert_eq!(joins, 5);
        suite.finish();
    }
}

#[tokio::test]
async fn healing_tells_the_other_side_whom_it_would_lose() {
    let mut suite = Suite::prepare(3).await;
    // Here 1 and 2 are faulty; there all are alive but this member and 0.
    for i in [1, 2] {
        suite.tell(0, i, "faulty", INCARNATION).await;
    }
    suite.drain().await;
    let (address, incarnation) = (suite.address.clone(), suite.incarnation);
    let faulty =
        [member(suite.fake(0), "faulty", INCARNATION), member(&address, "faulty", incarnation)];
    suite.fakes.behave(|behaviour| {
        behaviour.membership.remove(0);
        behaviour.membership.extend(faulty);
    });
    suite.fakes.take();
    let answer = suite.call("/admin/healpartition/disco", &json!({})).await;
    let targets = answer["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "one speaks for its side: {answer}");
    assert!(targets[0] == suite.fake(1) || targets[0] == suite.fake(2));
    let asked = suite.fakes.take();
    assert_eq!(asked.iter().filter(|asked| asked.is(JOIN)).count(), 1);
    let told = asked.iter().find(|asked| asked.is(PING) && asked.fake != 0).expect("it is told");
    let told: BTreeSet<&str> = told
        .changes()
        .iter()
        .map(|change| {
            assert_eq!((&change["status"], change.get("source")), (&json!("suspect"), None));
            change["address"].as_str().unwrap()
        })
        .collect();
    assert_eq!(told, [suite.fake(1), suite.fake(2)].into());
    suite.finish();
}

/// The list of hosts is read anew.
#[tokio::test]
async fn healing_finds_hosts_that_were_not_there_before() {
    let mut suite = Suite::prepare(1).await;
    let more = Fakes::start(1).await;
    let mut hosts = suite.fakes.addresses.clone();
    hosts.extend([suite.address.clone(), more.addresses[0].clone()]);
    hosts_file(suite.directory.path(), &hosts);
    let answer = suite.call("/admin/healpartition/disco", &json!({})).await;
    assert_eq!(answer, json!({ "targets": [more.addresses[0]] }));
    let stats = suite.stats().await;
    assert_eq!(seen(&stats, &more.addresses[0]), Some(("alive".to_owned(), INCARNATION)));
    suite.finish();
}

/// The key of every point belongs to who has the point.
async fn assert_owners(suite: &mut Suite, address: &str, identity: &str) {
    let separator = if identity == address { "" } else { "#" };
    for i in 0..100 {
        let key = format!("{identity}{separator}{i}");
        let answer = suite.call("/admin/lookup", &json!({ "key": key })).await;
        assert_eq!(answer, json!({ "dest": address }), "{key}");
    }
}

#[tokio::test]
async fn every_point_belongs_to_its_member() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n).await;
        let mut addresses = suite.fakes.addresses.clone();
        addresses.push(suite.address.clone());
        // Two addresses may have ten names in common: `:3000` + `10` and `:30001` + `0`.
        let hashes = |address: &String| -> BTreeSet<u32> {
            (0..100).map(|i| fingerprint32(format!("{address}{i}").as_bytes())).collect()
        };
        let apart = addresses
            .iter()
            .enumerate()
            .all(|(i, a)| addresses[..i].iter().all(|b| hashes(a).is_disjoint(&hashes(b))));
        for address in addresses.iter().filter(|_| apart) {
            assert_owners(&mut suite, address, address).await;
        }
        if n > 1 && apart {
            let key = json!({ "key": format!("{}0", suite.fake(1)) });
            for (status, owns) in
                [("suspect", true), ("faulty", false), ("leave", false), ("tombstone", false)]
            {
                suite.tell(0, 1, status, INCARNATION).await;
                let answer = suite.call("/admin/lookup", &key).await;
                assert_eq!(answer["dest"] == suite.fake(1), owns, "{status}");
            }
        }
        suite.finish();
    }
}

#[tokio::test]
async fn an_identity_places_a_member() {
    let fakes = Fakes::start(2).await;
    fakes.behave(|behaviour| {
        behaviour.membership[0]["labels"] = json!({ "__identity": "fake-node" });
    });
    let mut suite = Suite::prepare_with(fakes, &["--identity=sut"]).await;
    let stats = suite.stats().await;
    let members = stats["membership"]["members"].as_array().unwrap();
    let own = members.iter().find(|member| member["address"] == suite.address).unwrap();
    assert_eq!(own["labels"], json!({ "__identity": "sut" }));
    let (address, fake) = (suite.address.clone(), suite.fake(0).to_owned());
    assert_owners(&mut suite, &address, "sut").await;
    assert_owners(&mut suite, &fake, "fake-node").await;
    // Another one, and none.
    for (delta, identity) in [(1, Some("other")), (2, None)] {
        let mut change = member(&fake, "alive", INCARNATION + delta);
        if let Some(identity) = identity {
            change["labels"] = json!({ "__identity": identity });
        }
        let change = said(&fake, change);
        suite.ping(0, vec![change]).await;
        assert_owners(&mut suite, &fake, identity.unwrap_or(&fake)).await;
    }
    suite.finish();
}

/// The checksums of the two sets are 975109414 and -1625122257; that of none is 0.
#[tokio::test]
async fn labels_prevail_by_their_signed_checksum() {
    let hello = json!({ "hello": "world" });
    let both = json!({ "hello": "world", "foo": "baz" });
    let mut suite = Suite::prepare(2).await;
    let labelled = |suite: &Suite, incarnation: u64, labels: &Value| {
        let mut change = member(suite.fake(1), "alive", incarnation);
        change["labels"] = labels.clone();
        said(suite.fake(0), change)
    };
    for (incarnation, first, second) in [(2000, &hello, &both), (3000, &both, &hello)] {
        for labels in [first, second] {
            let change = labelled(&suite, incarnation, labels);
            suite.ping(0, vec![change]).await;
        }
        let stats = suite.stats().await;
        let members = stats["membership"]["members"].as_array().unwrap();
        let known = members.iter().find(|member| member["address"] == suite.fake(1)).unwrap();
        assert_eq!(known["labels"], hello, "in either order");
    }
    // About this member itself: changes that are not preferred are ignored, the rest refuted.
    for (labels, refutes) in [(&both, false), (&hello, true)] {
        let mut change = member(&suite.address, "alive", suite.incarnation);
        change["labels"] = labels.clone();
        let change = said(suite.fake(0), change);
        suite.ping(0, vec![change]).await;
        let stats = suite.stats().await;
        let now = seen(&stats, &suite.address).unwrap().1;
        assert_eq!(now > suite.incarnation, refutes, "{labels}");
    }
    suite.finish();
}

#[tokio::test]
async fn a_process_that_is_told_to_end_evicts_itself() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n).await;
        suite.call("/admin/gossip/stop", &Value::Null).await;
        let all = (0..n).collect();
        suite.fakes.behave(|behaviour| behaviour.silent = all);
        until("pings that were on their way", DEADLINE, || async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            suite.fakes.take().is_empty()
        })
        .await;
        suite.sut.signal("TERM");
        assert_eq!(suite.sut.exit(DEADLINE).await, Some(0));
        let pings = suite.fakes.take();
        let receivers: BTreeSet<usize> = pings.iter().map(|ping| ping.fake).collect();
        assert_eq!(receivers.len(), pings.len(), "each is told once");
        assert!((1..=(4 * n).div_ceil(10)).contains(&pings.len()), "{} of {n}", pings.len());
        for ping in &pings {
            let [change] = ping.changes() else { panic!("exactly one change: {ping:?}") };
            assert_eq!(change["status"], json!("faulty"));
            assert_eq!(change["source"], json!(suite.address));
        }
        assert!(pings.iter().all(|ping| ping.is(PING)));
    }
}
