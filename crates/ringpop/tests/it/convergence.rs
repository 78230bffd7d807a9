//! Whether members have one view, and how long news takes.

use std::time::Duration;

use ringpop::admin_client::{
    CompareChecksumsRequest, GetPropagationRequest, GetPropagationResponse,
};
use ringpop::swim::Config;
use ringpop::{Address, Problem, Ringpop};
use tokio::time::{sleep, timeout};

use crate::admin::connect;
use crate::cluster::{PATIENCE, cluster_with, until};

async fn propagation(member: &Ringpop) -> GetPropagationResponse {
    let mut admin = connect(member.whoami()).await;
    admin.get_propagation(GetPropagationRequest {}).await.unwrap().into_inner()
}

/// Views that differ, as everybody sees them, and the end of that.
#[tokio::test]
async fn members_that_do_not_hear_of_a_change_are_a_split_until_they_do() {
    if std::env::var_os("RINGPOP_TEST_ALL").is_none() {
        println!("SKIPPED: a split takes seconds to be one; RINGPOP_TEST_ALL=1 runs this");
        return;
    }
    let members = cluster_with(3, |builder| builder).await;
    for member in &members {
        member.stop_gossip().await.unwrap();
    }
    members[0].set_label("role", "api").await.unwrap();
    let split = |member: &Ringpop| {
        member.problems().iter().find_map(|problem| match problem {
            Problem::ViewsDiffer { address } => Some(address.clone()),
            _ => None,
        })
    };
    until(&members, "all see it", |members| members.iter().all(|it| split(it).is_some())).await;
    for member in &members[1..] {
        assert_eq!(split(member).as_ref().map(Address::as_str), Some(members[0].whoami()));
    }

    let mut admin = connect(members[1].whoami()).await;
    let compared = admin.compare_checksums(CompareChecksumsRequest {}).await.unwrap().into_inner();
    let sizes: Vec<_> = compared.groups.iter().map(|group| group.addresses.len()).collect();
    assert_eq!((sizes, compared.unreached.len()), (vec![2, 1], 0));
    assert_eq!(compared.groups[1].addresses, [members[0].whoami()]);
    assert_eq!(compared.groups[1].membership_checksum, members[0].membership_checksum());

    for member in &members {
        member.start_gossip().await.unwrap();
    }
    until(&members, "it is over", |members| members.iter().all(|it| split(it).is_none())).await;
}

#[tokio::test]
async fn a_member_that_does_not_answer_is_told_as_such() {
    let mut members = cluster_with(3, |builder| builder).await;
    let gone = members.pop().unwrap();
    let address = gone.whoami().to_owned();
    let mut admin = connect(&address).await;
    let compare = CompareChecksumsRequest {};
    let compared = admin.compare_checksums(compare).await.unwrap().into_inner();
    assert_eq!((compared.groups.len(), compared.unreached.len()), (1, 0));
    // Its process ends without a word, and the others have not noticed yet.
    for member in &members {
        member.stop_gossip().await.unwrap();
    }
    let task = tokio::spawn(async move { gone.shutdown(Duration::ZERO).await });
    timeout(PATIENCE, task).await.unwrap().unwrap();
    let mut admin = connect(members[0].whoami()).await;
    let told = async {
        loop {
            let compared = admin.compare_checksums(compare).await.unwrap().into_inner();
            let asked: usize = compared.groups.iter().map(|group| group.addresses.len()).sum();
            if asked == 2 {
                return compared.unreached;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let unreached = timeout(PATIENCE, told).await.unwrap();
    // Where it could still tell the others that it leaves, nobody asks it any more.
    assert!(unreached.iter().all(|member| member.address == address && !member.reason.is_empty()));
}

#[tokio::test]
async fn beacons_of_others_are_measured_and_compared_with_the_prediction() {
    let interval = Duration::from_millis(100);
    let members = cluster_with(3, move |builder| builder.beacons(interval)).await;
    let measured = async {
        loop {
            let told = propagation(&members[0]).await;
            if told.samples >= 3 && told.sent > 0 {
                return told;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let told = timeout(PATIENCE, measured).await.unwrap();
    assert!(told.p50_us <= told.p99_us && told.received >= u64::from(told.samples));
    assert_eq!(told.implausible, 0, "one clock");
    // Half a period and somewhat more than one, as the simulator says for three members.
    let period = u64::try_from(Config::local().protocol_period().as_micros()).unwrap();
    assert!((period / 4..period).contains(&told.predicted_p50_us), "{told:?}");
    assert!((period..3 * period).contains(&told.predicted_p99_us), "{told:?}");
    // It is no label of the application.
    assert!(members[0].labels().await.is_empty());
    members[0].set_label("propagation-beacon", "1").await.unwrap_err();
}
