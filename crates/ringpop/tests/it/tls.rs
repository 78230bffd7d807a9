//! Members that talk over encrypted connections only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringpop::Ringpop;
use ringpop::admin_client::{AdminClient, GetStatusRequest};
use ringpop::discovery::StaticList;
use ringpop::forward::Tls;
use ringpop::swim::Config;
use tokio::time::timeout;
use tonic::transport::Endpoint;

use crate::certificates::{authority, certificates};

/// Only a failure waits this long: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(120);

/// Binds and serves members that all know of each other.
async fn members(tls: &[Tls]) -> Vec<Ringpop> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for _ in tls {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
    }
    let text = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let config = Config::local().to_builder().join_duration_max(Duration::from_secs(2));
    let config = config.build().unwrap();
    let mut members = Vec::new();
    for (address, tls) in addresses.into_iter().zip(tls) {
        let member = Ringpop::builder("test")
            .listen(address)
            .discovery(Arc::new(StaticList::parse(&text).unwrap()))
            .config(config.clone())
            .tls(tls.clone())
            .bind()
            .await
            .unwrap();
        member.serve(tonic::service::Routes::default()).unwrap();
        members.push(member);
    }
    members
}

#[tokio::test]
async fn members_find_each_other_over_tls_and_strangers_are_told_nothing() {
    let (ours, directory) = (authority(), tempfile::tempdir().unwrap());
    let tls = Tls::new(certificates(&ours, directory.path())).unwrap();
    let members = members(&[tls.clone(), tls.clone()]).await;
    for member in &members {
        timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    }
    let whole = async {
        while members.iter().any(|member| member.view().members.len() < 2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, whole).await.unwrap();

    let address = members[0].whoami().to_string();
    let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
    let mut member = AdminClient::new(tls.channel(&endpoint));
    assert_eq!(member.get_status(GetStatusRequest {}).await.unwrap().into_inner().address, address);
    let mut plain = AdminClient::new(endpoint.connect_lazy());
    plain.get_status(GetStatusRequest {}).await.unwrap_err();
}

#[tokio::test]
async fn a_process_with_a_foreign_certificate_does_not_join() {
    let (ours, theirs) = (authority(), authority());
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let tls = [
        Tls::new(certificates(&ours, directories[0].path())).unwrap(),
        Tls::new(certificates(&theirs, directories[1].path())).unwrap(),
    ];
    let members = members(&tls).await;
    let joins = members.iter().map(|member| timeout(PATIENCE, member.bootstrap()));
    for joined in futures_util::future::join_all(joins).await {
        assert!(joined.unwrap_or_else(|_| panic!("joining does not end")).is_err());
    }
}

/// It serves gossip and nothing else, to callers with certificates.
#[tokio::test]
async fn a_gossip_port_is_encrypted_as_the_main_one_is() {
    let (ours, directory) = (authority(), tempfile::tempdir().unwrap());
    let tls = Tls::new(certificates(&ours, directory.path())).unwrap();
    let first = members(std::slice::from_ref(&tls)).await.remove(0);
    timeout(PATIENCE, first.bootstrap()).await.unwrap().unwrap();
    let second = Ringpop::builder("test")
        .gossip_listen("127.0.0.1:0".parse().unwrap())
        .discovery(Arc::new(StaticList::parse(first.whoami()).unwrap()))
        .config(Config::local())
        .tls(tls.clone())
        .bind()
        .await
        .unwrap();
    second.serve(tonic::service::Routes::default()).unwrap();
    timeout(PATIENCE, second.bootstrap()).await.unwrap().unwrap();
    let label = || {
        let view = first.view();
        let member = view.member(second.whoami())?;
        member.labels.get("gossip-port").map(str::to_owned)
    };
    let told = async {
        loop {
            match label() {
                Some(port) => return port,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let port = timeout(PATIENCE, told).await.unwrap();
    let endpoint: Endpoint = format!("http://127.0.0.1:{port}").parse().unwrap();
    let asked = AdminClient::new(tls.channel(&endpoint)).get_status(GetStatusRequest {}).await;
    assert_eq!(asked.unwrap_err().code(), tonic::Code::Unimplemented);
    let plain = AdminClient::new(endpoint.connect_lazy()).get_status(GetStatusRequest {}).await;
    assert_ne!(plain.unwrap_err().code(), tonic::Code::Unimplemented);
}
