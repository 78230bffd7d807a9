//! Three members: whichever is asked, one of them keeps a user's session.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::Duration;

use prost::Message;
use ringpop::forward::RoutingKey;
use ringpop_example::sessions::sessions_client::SessionsClient;
use ringpop_example::sessions::{CountRequest, DESCRIPTORS, VisitRequest};
use ringpop_example::start;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_one_session_whoever_is_asked() {
    // Ports that were free a moment ago.
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> =
        listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
    drop(listeners);
    let mut members = Vec::new();
    for address in &addresses {
        members.push(start(address, &addresses.join(",")).await.unwrap());
    }
    let joins = members.iter().map(|member| member.bootstrap());
    for join in joins.collect::<Vec<_>>() {
        join.await.unwrap();
    }
    for member in &members {
        while member.view().ring.len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let mut clients = Vec::new();
    for address in &addresses {
        clients.push(SessionsClient::connect(format!("http://{address}")).await.unwrap());
    }
    let mut handlers = HashSet::new();
    for user in (0..30).map(|i| format!("user-{i}")) {
        let key = VisitRequest { user: user.clone() }.routing_key().unwrap();
        let owner = members[0].lookup(key.as_bytes()).unwrap();
        for (client, visits) in clients.iter_mut().zip(1..) {
            let request = VisitRequest { user: user.clone() };
            let response = client.visit(request).await.unwrap().into_inner();
            assert_eq!((response.visits, &response.handled_by), (visits, &owner));
        }
        let counted = clients[0].count(CountRequest { user }).await.unwrap().into_inner();
        assert_eq!((counted.visits, &counted.handled_by), (3, &owner));
        handlers.insert(owner);
    }
    assert_eq!(handlers.len(), 3, "each member has users");
    for member in &members {
        member.shutdown(Duration::from_secs(10)).await;
    }
}

#[test]
fn the_schema_is_there_for_reflection() {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let names: Vec<_> = set.file.iter().map(|file| file.name()).collect();
    assert!(names.contains(&"sessions.proto"), "{names:?}");
    assert!(names.contains(&"ringpop/options.proto"), "what is imported is there too: {names:?}");
}
