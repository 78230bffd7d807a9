//! Members that discovery lists under another address than they advertise: a
//! host name beside an IP address, the second family of a host, a service in
//! front of many. An answer belongs to a request by its number, and names its
//! sender.

use crate::support::{self, Cluster, address, change, message, ms, secs};
use swim_core::{
    Address, Body, Config, ConfigError, Event, Init, Instant, JoinFailure, Labels, Node, Refusal,
    State, Status,
};

fn name(text: &str) -> Address {
    Address::new(text).unwrap()
}

/// Starts a member that lists these addresses.
fn start(cluster: &mut Cluster, i: usize, peers: &[&str]) {
    cluster.start_as(i, "app", Labels::default());
    let peers = peers.iter().map(|peer| name(peer)).collect();
    cluster.command(i, |node, now| node.join(now, peers)).unwrap();
}

fn joined(cluster: &Cluster, i: usize) -> Option<Vec<Address>> {
    cluster.events(i).find_map(|event| match event {
        Event::JoinComplete { joined, .. } => Some(joined.clone()),
        _ => None,
    })
}

fn heal(cluster: &mut Cluster, i: usize, hosts: &[&str]) -> (Vec<Address>, usize) {
    support::heal(cluster, i, hosts.iter().map(|host| name(host)).collect())
}

/// Join requests sent to an address.
fn asked(cluster: &Cluster, to: &str) -> usize {
    let to = name(to);
    let is_join = |body: &Body| matches!(body, Body::Join { .. });
    cluster.sent().iter().filter(|(_, t)| t.to == to && is_join(&t.message.body)).count()
}

#[test]
fn a_peer_that_answers_under_another_name_is_joined_at_once() {
    let mut cluster = Cluster::joined(Config::lan(), 3);
    cluster.name("seed.internal:7946", 0);
    start(&mut cluster, 3, &["seed.internal:7946"]);
    cluster.until("joined", ms(100), |c| joined(c, 3).is_some());
    assert_eq!(joined(&cluster, 3).unwrap(), [address(0)]);
    cluster.until("one view", secs(5), |c| c.agree(4));
    let stranger = cluster.node(3).member(&name("seed.internal:7946"));
    assert!(stranger.is_none(), "the name is no member");
}

/// The pages of one list come from one member, whatever a name in front of
/// many leads to meanwhile.
#[test]
fn the_next_page_is_asked_of_the_member_that_sent_the_first() {
    let small = Config::lan().to_builder().message_bytes_max(512).build().unwrap();
    let mut cluster = Cluster::joined(small, 40);
    cluster.name("service:7946", 0);
    cluster.forget_traffic();
    start(&mut cluster, 40, &["service:7946"]);
    cluster.until("joined", secs(1), |c| joined(c, 40).is_some());
    assert_eq!(asked(&cluster, "service:7946"), 1);
    assert!(asked(&cluster, address(0).as_str()) > 1);
    assert_eq!(cluster.node(40).len(), 41);
}

#[test]
fn a_member_recognises_itself_under_every_name() {
    let mut cluster = Cluster::new(Config::lan());
    cluster.name("localhost:7946", 0);
    cluster.name("[fd00::1]:7946", 0);
    start(&mut cluster, 0, &["localhost:7946", "[fd00::1]:7946"]);
    cluster.until("a cluster of its own", ms(100), |c| c.node(0).state() == State::Ready);
    assert_eq!(joined(&cluster, 0).unwrap(), []);
    let stats = cluster.node(0).stats();
    assert_eq!((stats.rejected_self, stats.rejected_replies, stats.joins_failed), (0, 0, 0));
}

/// Being one of the listed does not make a member a cluster of its own while
/// others are listed.
#[test]
fn a_member_that_recognises_itself_waits_for_the_others() {
    let mut cluster = Cluster::new(Config::lan());
    cluster.name("localhost:7946", 0);
    start(&mut cluster, 0, &["localhost:7946", address(1).as_str()]);
    cluster.run_for(secs(10));
    assert_eq!(cluster.node(0).state(), State::Joining);
    cluster.start(1, [1]);
    cluster.until("one view", secs(20), |c| c.agree(2));
}

/// Two processes with one address: the joiner is told both names.
#[test]
fn a_process_with_the_same_address_under_another_name_is_named() {
    let mut cluster = Cluster::joined(Config::lan(), 2);
    cluster.start_twin(7, 1, []);
    let mut node = Node::new(
        Config::lan().to_builder().join_duration_max(secs(3)).build().unwrap(),
        Init {
            app: "app".into(),
            address: address(1),
            identity: None,
            labels: Labels::default(),
            seed: 77,
            now: cluster.now(),
            unix_ms: cluster.unix_ms,
        },
    )
    .unwrap();
    node.join(cluster.now(), vec![name("other:7946")]).unwrap();
    let request = loop {
        match node.poll_output() {
            Some(swim_core::Output::Transmit(transmit)) => break transmit.message,
            other => assert!(other.is_some(), "it asks"),
        }
    };
    cluster.inject(1, request.clone());
    let refused = Body::Refused { reason: Refusal::SelfAddress };
    assert_eq!(cluster.replies(1, &address(1), request.seq), std::slice::from_ref(&refused));
    node.handle_message(cluster.now(), message(&address(1), 1, request.seq, refused));
    let failure = std::iter::from_fn(|| node.poll_output()).find_map(|output| match output {
        swim_core::Output::Event(Event::JoinRetrying { failure, .. }) => Some(failure),
        _ => None,
    });
    let expected = JoinFailure::SameAddress { peer: name("other:7946"), local: address(1) };
    assert_eq!(failure.as_ref(), Some(&expected));
    assert_eq!(
        expected.to_string(),
        "another process at other:7946 advertises 10.0.0.1:7946, the address of this member"
    );
}

/// Case: a name with both families in front of four members. Each alias is
/// asked once; afterwards it is known, and costs no attempt and no failure.
#[test]
fn aliases_of_members_and_of_oneself_are_not_healed_again_and_again() {
    let never = Config::lan().to_builder().heal_probability_base(0).build().unwrap();
    let mut cluster = Cluster::joined(never, 4);
    let families: Vec<String> = (0..4).map(|i| format!("[fd00::{}]:7946", i + 1)).collect();
    families.iter().enumerate().for_each(|(i, family)| cluster.name(family, i));
    let hosts: Vec<&str> = families.iter().map(String::as_str).collect();
    cluster.forget_traffic();
    let (contacted, failures) = heal(&mut cluster, 0, &hosts);
    assert_eq!((contacted.len(), failures), (0, 0), "all are here");
    let attempts = cluster.node(0).stats().heal_attempts;
    for _ in 0..10 {
        assert_eq!(heal(&mut cluster, 0, &hosts).1, 0);
    }
    let stats = cluster.node(0).stats();
    assert_eq!(stats.heal_attempts, attempts, "an IP address stays what it is");
    assert_eq!((stats.rejected_self, stats.rejected_replies), (0, 0));
    assert_eq!(cluster.node(0).len(), 4);
}

/// A name in front of all members is asked at each healing, since it may lead
/// elsewhere; of many names only one is.
#[test]
fn one_name_is_asked_again_at_each_healing() {
    let never = Config::lan().to_builder().heal_probability_base(0).build().unwrap();
    let mut cluster = Cluster::joined(never, 5);
    let names: Vec<String> = (0..5).map(|i| format!("pod-{i}:7946")).collect();
    names.iter().enumerate().for_each(|(i, name)| cluster.name(name, i));
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(heal(&mut cluster, 0, &hosts), (vec![], 0));
    let attempts = cluster.node(0).stats().heal_attempts;
    for _ in 0..10 {
        heal(&mut cluster, 0, &hosts);
    }
    assert_eq!(cluster.node(0).stats().heal_attempts - attempts, 10);
}

/// The only thing that discovery lists is a name, which leads to this side
/// first and to the other one later.
#[test]
fn a_partition_heals_by_a_name_that_leads_elsewhere() {
    let never = Config::lan().to_builder().heal_probability_base(0).build().unwrap();
    let mut cluster = Cluster::joined(never, 4);
    cluster.name("service:7946", 1);
    cluster.cut(&[0, 1], &[2, 3]);
    cluster.until("apart", secs(200), |c| {
        (0..2).all(|i| (2..4).all(|j| c.status(i, j) == Some(Status::Faulty)))
            && (2..4).all(|i| (0..2).all(|j| c.status(i, j) == Some(Status::Faulty)))
    });
    cluster.run_for(secs(60));
    cluster.heal();
    assert_eq!(heal(&mut cluster, 0, &["service:7946"]), (vec![], 0), "it leads to this side");
    cluster.name("service:7946", 2);
    let (contacted, failures) = heal(&mut cluster, 0, &["service:7946"]);
    assert_eq!((contacted, failures), (vec![address(2)], 0));
    cluster.run_for(secs(5));
    heal(&mut cluster, 0, &["service:7946"]);
    cluster.until("one view", secs(10), |c| c.agree(4));
}

#[test]
fn a_member_cannot_be_made_with_an_address_that_nobody_can_dial() {
    for text in ["0.0.0.0:7946", "[fe80::1%2]:7946", "a..b:7946", "10.0.0.1:0"] {
        let init = Init {
            app: "app".into(),
            address: name(text),
            identity: None,
            labels: Labels::default(),
            seed: 1,
            now: Instant::ZERO,
            unix_ms: 1_700_000_000_000,
        };
        let error = Node::new(Config::lan(), init).unwrap_err();
        assert!(matches!(error, ConfigError::Address(_)), "{text}: {error}");
    }
}

/// A process that talks in another spelling is the member it means.
#[cfg(feature = "wire")]
#[test]
fn a_change_in_another_spelling_is_about_the_same_member() {
    let mut cluster = Cluster::joined(Config::lan(), 3);
    let known = cluster.member(0, 1).unwrap().clone();
    let spelt = Address::new("[::ffff:10.0.0.1]:7946").unwrap();
    assert_eq!(spelt, known.address);
    let mut ping = swim_core::wire::to_proto(message(
        &spelt,
        1,
        9,
        Body::Ping { checksum: 0, changes: vec![change(2, Status::Suspect, known.incarnation)] },
    ));
    ping.from = "[::FFFF:10.0.0.1]:07946".into();
    if let Some(swim_core::wire::pb::message::Body::Ping(ping)) = &mut ping.body {
        ping.changes[0].address = "[::FFFF:a00:2]:7946".into();
    }
    let bytes = prost::Message::encode_to_vec(&ping);
    cluster.command(0, |node, now| node.handle_packet(now, &bytes)).unwrap();
    assert_eq!((cluster.node(0).len(), cluster.status(0, 2)), (3, Some(Status::Suspect)));
}
