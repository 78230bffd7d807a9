//! Clusters of members of different versions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use swim_core::wire::{decode, encode};
use swim_core::{Address, Config, Labels, Message, State, Status};

use super::speak;
use crate::support::{Cluster, address, secs};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Previous,
    Present,
    Later,
}

/// The version of each member, and how many messages crossed versions.
#[derive(Default)]
struct Versions {
    of: BTreeMap<Address, Version>,
    crossed: usize,
}

impl Versions {
    /// A message as it arrives: in the words of its sender, as its receiver
    /// understands them.
    fn carry(&mut self, from: &Address, to: &Address, message: &Message) -> Option<Message> {
        let (speaker, listener) = (self.of.get(from)?, self.of.get(to)?);
        self.crossed += usize::from(speaker != listener);
        let mut bytes = encode(message);
        match speaker {
            Version::Previous => bytes = speak::previous(&bytes)?,
            Version::Present => {}
            Version::Later => bytes = speak::later(&bytes),
        }
        if *listener == Version::Previous {
            bytes = speak::previous(&bytes)?;
        }
        Some(decode(&bytes).unwrap().message)
    }
}

/// A cluster whose members have these versions.
fn cluster(config: Config, versions: &[Version]) -> (Cluster, Rc<RefCell<Versions>>) {
    let shared = Rc::new(RefCell::new(Versions::default()));
    for (i, version) in versions.iter().enumerate() {
        shared.borrow_mut().of.insert(address(i), *version);
    }
    let mut cluster = Cluster::new(config);
    let carrier = Rc::clone(&shared);
    cluster.translate(move |from, to, message| carrier.borrow_mut().carry(from, to, message));
    let n = versions.len();
    (0..n).for_each(|i| cluster.start(i, 0..n));
    cluster.until("all agree", secs(30), |c| c.agree(n));
    (cluster, shared)
}

const MIXED: [Version; 6] = [
    Version::Previous,
    Version::Present,
    Version::Later,
    Version::Previous,
    Version::Present,
    Version::Later,
];

#[test]
fn a_rolling_upgrade_keeps_one_view() {
    let (mut cluster, versions) = cluster(Config::lan(), &[Version::Previous; 6]);
    for version in [Version::Present, Version::Later, Version::Present, Version::Previous] {
        for i in 0..6 {
            cluster.command(i, |node, now| node.leave(now)).unwrap();
            cluster.until("left", secs(10), |c| c.all_say(i, Status::Leave));
            cluster.crash(i);
            versions.borrow_mut().of.insert(address(i), version);
            cluster.start(i, 0..6);
            cluster.until("one view", secs(10), |c| c.agree(6));
            cluster.run_for(secs(2));
        }
    }
    for observer in 0..6 {
        for subject in 0..6 {
            let history = cluster.history(observer, subject);
            assert!(!history.contains(&Some(Status::Faulty)), "{observer} of {subject}");
        }
    }
    assert!(versions.borrow().crossed > 1000);
}

#[test]
fn members_of_all_versions_agree_on_failures_labels_and_leaves() {
    for late_acks in [false, true] {
        let config = Config::builder().late_acks(late_acks).build().unwrap();
        let (mut cluster, versions) = cluster(config, &MIXED);
        cluster.set_loss(20);
        for i in 0..6 {
            let labels = Labels::new([("round", i.to_string())]).unwrap();
            cluster.command(i, |node, now| node.set_labels(now, &labels)).unwrap();
            let knows = |c: &Cluster, j| c.member(j, i).unwrap().labels == labels;
            cluster.until("all know the labels", secs(30), |c| (0..6).all(|j| knows(c, j)));

            cluster.crash(i);
            cluster.until("faulty", secs(60), |c| c.all_say(i, Status::Faulty));
            cluster.start(i, 0..6);
            cluster.until("back", secs(60), |c| c.agree(6));

            cluster.command(i, |node, now| node.leave(now)).unwrap();
            let left = |c: &Cluster| c.node(i).state() == State::Left;
            cluster.until("left", secs(60), |c| left(c) && c.all_say(i, Status::Leave));
            cluster.command(i, |node, now| node.join(now, (0..6).map(address).collect())).unwrap();
            cluster.until("joined", secs(60), |c| c.agree(6));
        }
        assert!(versions.borrow().crossed > 1000);
    }
}

/// What gossip missed is repaired by a full sync between any two versions.
#[test]
fn members_of_all_versions_sync() {
    for sleeper in 0..6 {
        let (mut cluster, _) = cluster(Config::lan(), &MIXED);
        cluster.run_for(secs(60));
        // The sleeper hears nothing of a change until nobody speaks of it any more.
        let others: Vec<usize> = (0..6).filter(|i| *i != sleeper).collect();
        let labels = Labels::new([("news", "yes")]).unwrap();
        let teller = others[0];
        cluster.freeze(sleeper);
        cluster.command(teller, |node, now| node.set_labels(now, &labels)).unwrap();
        let silent = |c: &Cluster| others.iter().all(|i| c.node(*i).pending_changes() == 0);
        cluster.run_for(secs(1));
        cluster.drop_if({
            let sleeper = address(sleeper);
            move |from, to, _| *from == sleeper || *to == sleeper
        });
        cluster.thaw(sleeper);
        cluster.until("silence", secs(120), silent);
        cluster.heal();
        let knows = |c: &Cluster, i| c.member(i, teller).map(|m| &m.labels) == Some(&labels);
        cluster.until("repaired", secs(120), |c| (0..6).all(|i| knows(c, i)) && c.agree(6));
    }
}
