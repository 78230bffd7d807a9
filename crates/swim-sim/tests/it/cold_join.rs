//! A whole cluster starts at once and every member knows the same one seed. That a member
//! owns keys only after it was reached must not make it late.

use std::time::Duration;

use swim_core::Config;
use swim_sim::{MILLISECOND, Machine as _, Nanos, SECOND, Setup, Start, Swim, World};

/// What a cluster of so many takes until every pair knows each other, in seconds.
fn cold_join(config: Config, mtu: Option<usize>, members: u32) -> f64 {
    let setup = Setup { hosts: members, config, seed: 6 };
    let mut world: World<Swim, ()> = World::new(setup, ());
    world.network.mtu = mtu;
    world.start(0, Start { peers: Some(Vec::new()), ..Start::default() });
    world.discovery = vec![0];
    for host in 1..members {
        world.run_until(SECOND * Nanos::from(host) / Nanos::from(members));
        world.start(host, Start::default());
    }
    let all = |world: &World<Swim>| {
        world.running().all(|(_, machine)| machine.reachable() == members as usize)
    };
    world.run_while(100 * MILLISECOND, 60 * SECOND, all);
    world.now() as f64 / 1e9
}

/// Periods of a second and packets of 1,400 bytes, as other libraries are set by default.
#[test]
fn a_thousand_members_that_probe_once_a_second_know_each_other_in_ten_seconds() {
    if !crate::runs_all("the cold join of a thousand members") {
        return;
    }
    let config = Config::builder()
        .protocol_period(Duration::from_secs(1))
        .late_acks(true)
        .message_bytes_max(1_180)
        .build()
        .expect("every value is in its range");
    let took = cold_join(config, Some(1_400), 1_000);
    println!("{took:.1} s");
    assert!(took <= 10.0, "{took:.1} s");
}

#[test]
fn members_of_a_data_centre_know_each_other_in_ten_seconds() {
    for members in [10, 100, 300] {
        let took = cold_join(Config::lan(), None, members);
        println!("{members}: {took:.1} s");
        assert!(took <= 10.0, "{members} members: {took:.1} s");
    }
}

/// How long it takes where every sender is believed.
#[test]
#[ignore = "prints figures"]
fn figures_without_checks() {
    for members in [100, 300] {
        let config = Config::builder().verify_claims(false).build().expect("it may be off");
        println!("{members}: {:.1} s", cold_join(config, None, members));
    }
}
