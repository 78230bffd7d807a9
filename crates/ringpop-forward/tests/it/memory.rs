//! However much streams through a node, it holds little of it, and a caller that does not read
//! stops the sender.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;

use crate::common::cluster::{Node, Ring, builder, listener};
use crate::common::service::{Ask, Handler, Seen, TestClient, TestServer, next};
use crate::common::{settled, soon};
use ringpop_forward::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES, incoming, server};

const PIECE: usize = 64 << 10;

/// What flows each way: many times what may be held.
const PIECES: usize = (256 << 20) / PIECE;

/// What a node may hold at once, for streams in both directions, connections and everything else
/// that it has.
const HELD_MAX: u64 = 8 << 20;

/// A node in a thread of its own, of which every allocation is counted.
struct Measured {
    address: String,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<AllocationInfo>,
}

impl Measured {
    fn start(ring: &Ring) -> Self {
        let (socket, address) = listener();
        let (stop, stopped) = oneshot::channel();
        let (name, ring) = (address.clone(), ring.clone());
        let thread = std::thread::spawn(move || {
            allocation_counter::measure(|| {
                let forwarder = builder(&name, &ring).build().unwrap();
                let service = TestServer(Handler::new(&name));
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async move {
                    let socket = TcpListener::from_std(socket).unwrap();
                    let serving = server()
                        .layer(forwarder.layer())
                        .add_service(service)
                        .serve_with_incoming_shutdown(incoming(socket), async {
                            drop(stopped.await);
                        });
                    serving.await.unwrap();
                });
            })
        });
        Self { address, stop, thread }
    }

    async fn client(&self) -> TestClient<tonic::transport::Channel> {
        let endpoint: Endpoint = format!("http://{}", self.address).parse().unwrap();
        // As between members, so the caller's own windows are not what bounds the flow.
        let endpoint = endpoint
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        TestClient::new(endpoint.connect().await.unwrap())
    }

    /// The most that was allocated at any time.
    async fn held_max(self) -> u64 {
        self.stop.send(()).unwrap();
        let thread = tokio::task::spawn_blocking(|| self.thread.join().unwrap());
        soon("stop", thread).await.unwrap().bytes_max
    }
}

fn setup() -> (Measured, Node) {
    let ring = Ring::default();
    let (asked, owner) = (Measured::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    (asked, owner)
}

#[tokio::test]
async fn a_node_holds_little_of_what_streams_through_it() {
    let (asked, _owner) = setup();
    let payload = Bytes::from(vec![7; PIECE]);
    let mut client = asked.client().await;
    let ask = Ask::new("k", &PIECES.to_string()).with(payload.clone());
    let mut tells = client.download(ask).await.unwrap().into_inner();
    let mut received = 0;
    while let Some(tell) = next(&mut tells).await {
        received += tell.unwrap().payload.len();
    }
    assert_eq!(received, PIECES * PIECE);
    let asks = (0..PIECES).map(move |_| Ask::new("k", "").with(payload.clone()));
    let tell = client.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
    assert_eq!(tell.text, format!("{PIECES} messages, {} bytes", PIECES * PIECE));
    drop((client, tells));
    let held = asked.held_max().await;
    assert!(held <= HELD_MAX, "{held} bytes were held at once");
}

#[tokio::test]
async fn whoever_does_not_read_stops_whoever_sends() {
    let (asked, owner) = setup();
    let payload = Bytes::from(vec![7; PIECE]);
    let mut client = asked.client().await;
    let ask = Ask::new("k", "endless").with(payload.clone());
    let mut tells = client.download(ask).await.unwrap().into_inner();
    assert!(next(&mut tells).await.unwrap().is_ok());
    let sent = settled(|| Seen::get(&owner.seen().sent)).await;

    // The other way round: the owner's handler does not read.
    let offered = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&offered);
    let first = tokio_stream::once(Ask::new("k", "stall"));
    let endless = tokio_stream::iter(std::iter::repeat_with(move || {
        count.fetch_add(1, Ordering::AcqRel);
        Ask::new("k", "").with(payload.clone())
    }));
    let mut uploading = asked.client().await;
    let upload = tokio::spawn(async move { drop(uploading.upload(first.chain(endless)).await) });
    let taken = settled(|| offered.load(Ordering::Acquire)).await;

    // Windows of 1 MiB and the buffers of two sockets lie between the two ends, each way.
    for pieces in [sent, taken] {
        assert!((1..(32 << 20) / PIECE as u64).contains(&pieces), "{pieces} pieces are under way");
    }
    upload.abort();
    let _ = upload.await;
    drop((client, tells));
    let held = asked.held_max().await;
    assert!(held <= HELD_MAX, "{held} bytes were held at once");
}
