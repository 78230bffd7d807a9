//! Layers of the application around everything that a member serves.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringpop::Ringpop;
use ringpop::forward::ConnectionEnds;
use tokio::time::timeout;
use tonic::Code;
use tonic::body::Body;
use tonic::service::Routes as Services;
use tower::util::MapRequestLayer;

use crate::echo::{Echo, METHOD, builder, call, channel, peers};

const PATIENCE: Duration = Duration::from_secs(60);

/// Paths of the requests that one member saw.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn of(&self, prefix: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|path| path.starts_with(prefix)).count()
    }

    fn serve(&self, member: &Ringpop) {
        let seen = self.clone();
        let layer = MapRequestLayer::new(move |request: http::Request<Body>| {
            seen.0.lock().unwrap().push(request.uri().path().to_owned());
            request
        });
        member.serve_with(Services::new(Echo), layer).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_sees_requests_on_the_entry_and_on_the_owner_and_gossip_too() {
    let (seen_by_entry, seen_by_owner) = (Seen::default(), Seen::default());
    let entry = builder().bind().await.unwrap();
    seen_by_entry.serve(&entry);
    entry.bootstrap().await.unwrap();
    let owner = builder().discovery(peers(&[&entry])).bind().await.unwrap();
    seen_by_owner.serve(&owner);
    owner.bootstrap().await.unwrap();
    let mut events = entry.events();
    let both_on_the_ring = async {
        while entry.view().ring.nodes().len() < 2 {
            events.next().await.unwrap();
        }
    };
    timeout(PATIENCE, both_on_the_ring).await.unwrap();
    let key = (0..).map(|i| format!("key-{i}")).find(|key| !entry.owns(key.as_bytes())).unwrap();

    call(&mut channel(&entry).await, &key).await.unwrap();
    assert_eq!((seen_by_entry.of(METHOD), seen_by_owner.of(METHOD)), (1, 1));
    assert!(seen_by_entry.of("/ringpop.v1.Membership/") > 0, "the join passed the layer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_answers_keeps_requests_from_the_forwarder() {
    let member = builder().bind().await.unwrap();
    let refuse = tower_layer::layer_fn(|_| {
        tower::service_fn(|_: http::Request<Body>| async {
            let status = tonic::Status::unauthenticated("who are you?");
            Ok::<_, std::convert::Infallible>(status.into_http::<Body>())
        })
    });
    member.serve_with(Services::new(Echo), refuse).unwrap();
    member.bootstrap().await.unwrap();
    let refused = call(&mut channel(&member).await, "key").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(member.forward_stats().local, 0);
}

/// A cluster of a hundred has ten thousand connections by gossip alone: the comparison of views
/// must not have as many again.
#[tokio::test(flavor = "multi_thread")]
async fn members_compare_their_views_over_the_connections_of_gossip() {
    let asked = builder().bind().await.unwrap();
    let requests = Arc::<Mutex<Vec<(SocketAddr, bool)>>>::default();
    let noted = Arc::clone(&requests);
    let layer = MapRequestLayer::new(move |request: http::Request<Body>| {
        let compares = request.uri().path().ends_with("/GetChecksums");
        let from = ConnectionEnds::of(request.extensions()).remote.unwrap();
        noted.lock().unwrap().push((from, compares));
        request
    });
    asked.serve_with(Services::new(Echo), layer).unwrap();
    asked.bootstrap().await.unwrap();
    let asker = builder().discovery(peers(&[&asked])).bind().await.unwrap();
    asker.serve(Services::new(Echo)).unwrap();
    asker.bootstrap().await.unwrap();
    let of = |compares: bool| -> HashSet<SocketAddr> {
        let requests = requests.lock().unwrap();
        requests.iter().filter(|(_, is)| *is == compares).map(|(from, _)| *from).collect()
    };
    let compared = async {
        while of(true).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, compared).await.unwrap();
    assert!(of(true).is_subset(&of(false)), "{:?} of {:?}", of(true), of(false));
}
