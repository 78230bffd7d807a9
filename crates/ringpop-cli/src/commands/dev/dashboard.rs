//! The page of `dev`: a member that answers is asked over gRPC, and the processes are controlled
//! here.
//!
//! `picture` is what the page shows of the processes, `request` what it asks for, and `browser`
//! opens it.

mod browser;
mod picture;
mod request;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use ringpop::forward::TcpConnector;
use ringpop::http_admin::AdminHttp;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};

pub(super) use self::browser::open;
pub(super) use self::picture::Picture;
pub(super) use self::request::{PageRequest, Wish};
use super::cluster::{Cluster, Node};
use super::event::DevEvent;
use crate::failure::Failure;
use crate::limits::{CONNECT_TIMEOUT, DEV_REQUEST_BYTES_MAX, DEV_REQUESTS_MAX, DEV_TOKEN_BYTES};
use crate::output::hex;

/// The page, which is served until the process ends.
#[derive(Debug)]
pub(super) struct Dashboard {
    address: SocketAddr,
    token: String,
    shared: Arc<Shared>,
    requests: mpsc::Receiver<PageRequest>,
    /// Whether somebody asked for anything: members may be started again then.
    is_used: bool,
}

/// What the listener reads.
#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<Asked>,
    picture: Mutex<Picture>,
}

/// The member that is asked now.
#[derive(Debug, Default)]
struct Asked {
    address: String,
    channel: Option<Channel>,
}

impl Dashboard {
    /// Serves it on this port of loopback; 0 is any that is free.
    pub(super) async fn start(port: u16) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
            Failure::failed(format!(
                "the dashboard cannot listen on port {port} of loopback ({error}): choose another one with \
                 --dashboard-port"
            ))
        })?;
        let address = listener.local_addr().map_err(Failure::failed)?;
        let token = draw_token()?;
        let shared = Arc::<Shared>::default();
        let (sender, requests) = mpsc::channel(DEV_REQUESTS_MAX);
        let control = Router::new()
            .route("/api/v1/dev/{action}", post(request::take).with_state(sender))
            .route("/api/v1/dev/cluster", get(cluster).with_state(Arc::clone(&shared)))
            .layer(DefaultBodyLimit::max(DEV_REQUEST_BYTES_MAX));
        let asked = Arc::clone(&shared);
        let admin = AdminHttp::remote(move || lock(&asked.asked).channel.clone());
        let admin = admin.controller(Routes::from(control)).token(&token);
        tokio::spawn(admin.serve(listener, std::future::pending()));
        Ok(Self { address, token, shared, requests, is_used: false })
    }

    /// The address for a browser, with the secret.
    pub(super) fn url(&self) -> String {
        format!("http://{}/#token={}", self.address, self.token)
    }

    /// The next thing that somebody asks for. Cancel safe.
    pub(super) async fn next(&mut self) -> PageRequest {
        match self.requests.recv().await {
            Some(request) => {
                self.is_used = true;
                request
            }
            // The listener has ended; its end must not end the cluster.
            None => std::future::pending().await,
        }
    }

    pub(super) const fn is_used(&self) -> bool {
        self.is_used
    }

    /// Asks this member from now on, as long as it answers.
    pub(super) fn ask(&self, address: &str) {
        *lock(&self.shared.asked) = Asked::at(address);
    }

    /// Asks the same member as long as it answers, and then the first one that does.
    pub(super) fn follow(&self, cluster: &Cluster) {
        let mut asked = lock(&self.shared.asked);
        let answers = |node: &&Node| node.seen().is_some() && !node.is_suspended();
        let mut live = cluster.nodes().iter().filter(answers);
        if live.clone().all(|node| node.address() != asked.address) {
            *asked = live.next().map_or_else(Asked::default, |node| Asked::at(node.address()));
        }
    }

    /// What the page shows from now on.
    pub(super) fn show(&self, cluster: &Cluster, load: u32, is_partitioned: bool) {
        let asked = lock(&self.shared.asked).address.clone();
        lock(&self.shared.picture).draw(cluster, &asked, load, is_partitioned);
    }

    /// Shows what happened, too.
    pub(super) fn note(&self, event: &DevEvent) {
        lock(&self.shared.picture).note(event);
    }
}

impl Asked {
    fn at(address: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok();
        let connector = TcpConnector::within(CONNECT_TIMEOUT);
        let channel = endpoint.map(|it| it.connect_with_connector_lazy(connector));
        Self { address: address.to_owned(), channel }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw_token() -> Result<String, Failure> {
    let mut bytes = [0; DEV_TOKEN_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("no random numbers can be drawn: {error}")))?;
    Ok(hex(&bytes))
}

async fn cluster(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let picture = lock(&shared.picture).clone();
    let body = serde_json::to_string(&picture).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], body)
}
