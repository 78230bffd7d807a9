//! Nodes: each a server in a runtime of its own, so killing one drops all that it has at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ringpop_forward::{
    Builder, Changed, ForwardLayer, Forwarder, ForwarderControl, Owner, Owners, Peer, Resolver,
    Routes, incoming, server,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use super::service::{CHAT, DOWNLOAD, Handler, ONCE, Seen, TestClient, TestServer, UNARY, UPLOAD};

/// The owners of keys, as one node sees them: owners by address, best first. Shared nodes agree,
/// own tables disagree.
#[derive(Clone, Default)]
pub struct Ring {
    owners: Arc<Mutex<HashMap<Vec<u8>, Vec<String>>>>,
    epoch: Arc<watch::Sender<u64>>,
}

impl Ring {
    pub fn set(&self, key: &str, owners: &[&str]) {
        let owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
        self.owners.lock().unwrap().insert(key.as_bytes().to_vec(), owners);
    }

    pub fn set_epoch(&self, epoch: u64) {
        self.epoch.send_replace(epoch);
    }
}

struct View {
    me: String,
    ring: Ring,
}

impl Resolver for View {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        let ring = self.ring.owners.lock().unwrap();
        let owners = ring.get(key).map(Vec::as_slice).unwrap_or_default();
        out.extend(owners.iter().take(n).map(|owner| {
            if *owner == self.me {
                Owner::Local
            } else {
                Owner::Remote(Arc::new(Peer::new(owner).unwrap()))
            }
        }));
    }

    fn member(&self, id: &str) -> Option<Owner> {
        // Tests listen on loopback only.
        let peer = Peer::new(id).ok().filter(|_| id.starts_with("127.0.0.1:"))?;
        Some(if id == self.me { Owner::Local } else { Owner::Remote(Arc::new(peer)) })
    }

    fn epoch(&self) -> u64 {
        *self.ring.epoch.borrow()
    }

    fn changed(&self, seen: u64) -> Changed {
        let mut epoch = self.ring.epoch.subscribe();
        Box::pin(async move {
            if epoch.wait_for(|epoch| *epoch != seen).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// The routes of the test service.
pub fn routes() -> Routes {
    Routes::new()
        .field(UNARY, &[1])
        .unary()
        .idempotent()
        .field(ONCE, &[1])
        .unary()
        .field(UPLOAD, &[1])
        .field(DOWNLOAD, &[1])
        .field(CHAT, &[1])
}

/// A forwarder as the tests want it; each test changes what it is about.
pub fn builder(me: &str, ring: &Ring) -> Builder {
    Forwarder::builder(View { me: me.to_owned(), ring: ring.clone() })
        .name(me)
        .routes(routes())
        .trust_hop_headers(|_| true)
}

/// A process of the cluster, as far as a test can tell.
pub struct Node {
    pub address: String,
    pub forwarder: Forwarder,
    pub control: ForwarderControl,
    pub handler: Handler,
    stop: Option<oneshot::Sender<()>>,
    stopped: Option<oneshot::Receiver<()>>,
    server: JoinHandle<()>,
    runtime: Option<Runtime>,
}

/// A listening socket for a node, so its address is known before it is built.
pub fn listener() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// A runtime that a test can drop, with all that runs on it.
pub fn one_worker() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// An address on which nobody listens.
pub fn dead_address() -> String {
    listener().1
}

impl Node {
    /// Starts a node that sees `ring`.
    pub fn start(ring: &Ring) -> Self {
        Self::start_with(ring, |builder| builder)
    }

    /// Starts a node with settings of its own.
    pub fn start_with(ring: &Ring, change: impl FnOnce(Builder) -> Builder) -> Self {
        let (listener, address) = listener();
        Self::start_on(listener, &address, change(builder(&address, ring)))
    }

    pub fn start_on(listener: std::net::TcpListener, address: &str, builder: Builder) -> Self {
        let (forwarder, control) = builder.build_with_control().unwrap();
        let handler = Handler::new(address);
        let runtime = one_worker();
        let (stop, stop_wanted) = oneshot::channel::<()>();
        let (has_stopped, stopped) = oneshot::channel();
        let serve = server().layer(forwarder.layer()).add_service(TestServer(handler.clone()));
        let server = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let wanted = async { drop(stop_wanted.await) };
            serve.serve_with_incoming_shutdown(incoming(listener), wanted).await.unwrap();
            let _ = has_stopped.send(());
        });
        Self {
            address: address.to_owned(),
            forwarder,
            control,
            handler,
            stop: Some(stop),
            stopped: Some(stopped),
            server,
            runtime: Some(runtime),
        }
    }

    pub fn seen(&self) -> &Seen {
        &self.handler.seen
    }

    /// A client that is connected to this node.
    pub async fn client(&self) -> TestClient<Channel> {
        let endpoint: Endpoint = format!("http://{}", self.address).parse().unwrap();
        TestClient::new(endpoint.connect().await.unwrap())
    }

    /// Stops as a server should: calls in flight are finished.
    pub async fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        super::soon("graceful stop", self.stopped.take().unwrap()).await.unwrap();
    }

    /// Drops the server and the forwarder, and gives the runtime in which they ran.
    pub fn drop_all(mut self) -> Runtime {
        self.server.abort();
        self.runtime.take().unwrap()
    }

    /// Ends everything at once: listener, connections, handlers.
    pub fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// A node with layers of its own around the services, the forwarder among them.
pub struct Layered {
    pub address: String,
    pub forwarder: Forwarder,
    pub handler: Handler,
    runtime: Option<Runtime>,
}

impl Layered {
    /// Starts `serve` with a listener, the layer of a forwarder that sees `ring`, and the test
    /// service.
    pub fn start<F>(
        ring: &Ring,
        serve: impl FnOnce(TcpListener, ForwardLayer, TestServer) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), tonic::transport::Error>> + Send,
    {
        Self::start_with(ring, |builder| builder, serve)
    }

    /// Starts `serve` with a forwarder that has settings of its own.
    pub fn start_with<F>(
        ring: &Ring,
        change: impl FnOnce(Builder) -> Builder,
        serve: impl FnOnce(TcpListener, ForwardLayer, TestServer) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), tonic::transport::Error>> + Send,
    {
        let (listener, address) = listener();
        let forwarder = change(builder(&address, ring)).build().unwrap();
        let handler = Handler::new(&address);
        let runtime = one_worker();
        let (layer, service) = (forwarder.layer(), TestServer(handler.clone()));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            serve(listener, layer, service).await.unwrap();
        });
        Self { address, forwarder, handler, runtime: Some(runtime) }
    }

    /// A client that is connected to this node.
    pub async fn client(&self) -> TestClient<Channel> {
        let endpoint: Endpoint = format!("http://{}", self.address).parse().unwrap();
        TestClient::new(endpoint.connect().await.unwrap())
    }
}

impl Drop for Layered {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
