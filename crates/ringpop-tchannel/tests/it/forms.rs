//! Clusters that write their views down in one form or the other: recognised, or
//! refused with a sentence, and never joined silently in the wrong one.

use std::time::Duration;

use crate::support::{Answer, Client, until};
use ringpop_tchannel::discovery::StaticList;
use ringpop_tchannel::{BootstrapError, Bridge, BridgeBuilder, ChecksumForm};

const PATIENCE: Duration = Duration::from_secs(60);

fn builder(peers: &[&str]) -> BridgeBuilder {
    let builder = Bridge::builder("ringpop");
    if peers.is_empty() {
        return builder;
    }
    builder.discovery(StaticList::from_addresses(peers).unwrap())
}

async fn cluster(form: ChecksumForm) -> Bridge {
    let first = builder(&[]).checksum_form(form).bind().await.unwrap();
    first.bootstrap().await.unwrap();
    first
}

#[tokio::test]
async fn the_form_of_the_cluster_is_recognised() {
    for form in [ChecksumForm::Go, ChecksumForm::Node] {
        let first = cluster(form).await;
        let joiner = builder(&[first.whoami()]).bind().await.unwrap();
        joiner.bootstrap().await.unwrap();
        let agree = || async {
            let (one, two) = (first.view(), joiner.view());
            one.members.len() == 2 && one.membership_checksum == two.membership_checksum
        };
        until("one checksum", PATIENCE, agree).await;
    }
}

#[tokio::test]
async fn a_cluster_of_another_form_than_the_chosen_one_is_not_joined() {
    for (theirs, ours) in
        [(ChecksumForm::Go, ChecksumForm::Node), (ChecksumForm::Node, ChecksumForm::Go)]
    {
        let first = cluster(theirs).await;
        let peers = [first.whoami()];
        let joiner = builder(&peers).checksum_form(ours).bind().await.unwrap();
        let error = joiner.bootstrap().await.unwrap_err();
        assert!(matches!(error, BootstrapError::OtherForm { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("set the form of {theirs}")), "{text}");
        assert_eq!(joiner.view().members.len(), 1, "nothing of the list was taken");
    }
}

#[tokio::test]
async fn a_member_is_not_well_before_it_has_joined() {
    let bridge = builder(&[]).bind().await.unwrap();
    let mut client = Client::connect(bridge.whoami()).await.unwrap();
    let before = client.call("/health", "").await.unwrap();
    assert!(!matches!(before, Answer::Ok(_)), "{before:?}");
    bridge.bootstrap().await.unwrap();
    assert_eq!(client.call("/health", "").await.unwrap(), Answer::Ok("\"ok\"".into()));
}
