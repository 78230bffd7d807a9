//! Members whose settings differ, as during any roll that changes them, agree.
//!
//! A limit of one member binds what it says of itself. What others say is
//! bounded by the protocol, the same for all; otherwise one side drops what the
//! other keeps, and the two never have one view.

use crate::support::{Cluster, address, secs};
use swim_core::limits::{LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, PUBLIC_LABELS_MAX};
use swim_core::{Config, ConfigError, Init, LabelError, LabelLimits, Labels, Node};

const WIDE: LabelLimits = LabelLimits {
    count: PUBLIC_LABELS_MAX,
    key_bytes: LABEL_KEY_BYTES_MAX,
    value_bytes: LABEL_VALUE_BYTES_MAX,
};

fn with_limits(limits: LabelLimits) -> Config {
    Config::lan().to_builder().label_limits(limits).build().unwrap()
}

fn init(cluster: &Cluster, i: usize, labels: Labels) -> Init {
    Init {
        app: "app".into(),
        address: address(i),
        identity: Some(format!("worker-{i}")),
        labels,
        seed: 99,
        now: cluster.now(),
        unix_ms: cluster.wall_ms(),
    }
}

/// Five members with the default limits, and a sixth with others.
fn joined_by(limits: LabelLimits, labels: &Labels) -> Cluster {
    let mut cluster = Cluster::joined(Config::lan(), 5);
    let node = Node::new(with_limits(limits), init(&cluster, 5, labels.clone())).unwrap();
    cluster.insert(5, node);
    cluster.command(5, |node, now| node.join(now, (0..5).map(address).collect())).unwrap();
    cluster
}

fn syncs(cluster: &Cluster, n: usize) -> u64 {
    (0..n).map(|i| cluster.node(i).stats().syncs_started).sum()
}

/// One view, the labels as they were set, and no more full syncs than members
/// do anyway in a minute: one in each period of 30 s.
fn assert_one_view(cluster: &mut Cluster, labels: &Labels) {
    cluster.until("one view", secs(10), |c| c.agree(6));
    for i in 0..6 {
        let member = cluster.member(i, 5).unwrap();
        assert_eq!(member.identity(), "worker-5", "at {i}");
        for (key, value) in labels.iter() {
            assert_eq!(member.labels.get(key), Some(value), "at {i}");
        }
        assert_eq!(cluster.node(i).stats().rejected_labels, 0, "at {i}");
    }
    let before = syncs(cluster, 6);
    cluster.run_for(secs(60));
    assert!(cluster.agree(6));
    let after = syncs(cluster, 6) - before;
    assert!(after <= 6 * 3, "{after} full syncs in a minute");
}

#[test]
fn more_labels_than_others_may_set_are_kept_by_all() {
    let labels = (0..6).map(|i| (format!("k{i}"), "v".to_owned()));
    let labels = Labels::new(labels.chain([("weight".into(), "3".into())])).unwrap();
    let mut cluster = joined_by(LabelLimits { count: 10, ..LabelLimits::default() }, &labels);
    assert_one_view(&mut cluster, &labels);
}

#[test]
fn longer_labels_than_others_may_set_are_kept_by_all() {
    let long = Labels::new([("k".repeat(LABEL_KEY_BYTES_MAX), "v".repeat(LABEL_VALUE_BYTES_MAX))]);
    let labels = long.unwrap().with("weight", "3").unwrap();
    let mut cluster = joined_by(WIDE, &labels);
    assert_one_view(&mut cluster, &labels);
}

/// A member that is changed to allow itself more while it runs, and a newcomer
/// that learns of it from members with the default limits only.
#[test]
fn members_with_narrow_limits_pass_on_what_they_would_not_say() {
    let mut cluster = joined_by(LabelLimits::default(), &Labels::default());
    cluster.until("one view", secs(10), |c| c.agree(6));
    cluster.command(5, |node, now| node.reconfigure(now, with_limits(WIDE))).unwrap();
    let labels = (0..PUBLIC_LABELS_MAX).map(|i| (format!("k{i}"), "v".repeat(500)));
    let labels = Labels::new(labels).unwrap();
    cluster.command(5, |node, now| node.set_labels(now, &labels)).unwrap();
    assert_one_view(&mut cluster, &labels);
    let node = Node::new(Config::lan(), init(&cluster, 6, Labels::default())).unwrap();
    cluster.insert(6, node);
    cluster.cut(&[6], &[5]);
    cluster.command(6, |node, now| node.join(now, vec![address(0)])).unwrap();
    cluster.until("the newcomer knows", secs(5), |c| c.member(6, 5).is_some());
    assert_eq!(cluster.member(6, 5).unwrap().labels, cluster.node(5).local().labels);
    cluster.heal();
    cluster.until("one view of seven", secs(30), |c| c.agree(7));
}

/// The message is about the setting, not about the label that carries it.
#[test]
fn an_identity_that_is_too_long_is_refused_by_its_name() {
    let cluster = Cluster::joined(Config::lan(), 2);
    let identity = Some("x".repeat(10_000));
    let init = Init { identity, ..init(&cluster, 2, Labels::default()) };
    let error = Node::new(Config::lan(), init).unwrap_err().to_string();
    let expected = "identity has 10000 bytes, it must have at most 1024; choose a shorter name";
    assert_eq!(error, expected);
}

/// The other side of the rule: a member's own limits are an error, not a
/// silence.
#[test]
fn own_limits_bind_what_a_member_says_of_itself() {
    let labels = Labels::new((0..6).map(|i| (format!("k{i}"), "v"))).unwrap();
    let too_many = LabelError::TooMany { keys: (0..6).map(|i| format!("k{i}")).collect(), max: 5 };
    let mut cluster = Cluster::joined(Config::lan(), 2);
    let made = Node::new(Config::lan(), init(&cluster, 2, labels.clone()));
    assert_eq!(made.unwrap_err(), ConfigError::Labels(too_many.clone()));
    let set = cluster.command(0, |node, now| node.set_labels(now, &labels));
    assert_eq!(set.unwrap_err(), too_many.into());
}
