//! The HTTP server of a member, from its port to its graceful end.

use std::io;

use axum::Router;
use futures_util::StreamExt as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ringpop::discovery::Address;
use ringpop::forward::{LimitLayer, Limited, incoming};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::transport::server::Connected;
use tower_layer::Layer as _;
use tower_service::Service as _;

use crate::failure::Failure;
use crate::limits::{HTTP_BUFFER_BYTES, HTTP_DRAIN_TIMEOUT, HTTP_HEADER_TIMEOUT};

/// A running HTTP server.
#[derive(Debug)]
pub(super) struct HttpServer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Takes the port.
pub(super) async fn bind(address: &Address, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address.as_str()).await.map_err(|error| cannot(&error, address, option))
}

/// Fails as [`bind`] does when the host has no such address. It takes a free port for a moment
/// instead of that one.
pub(super) async fn try_host(address: &Address, option: &str) -> Result<(), Failure> {
    let bound = TcpListener::bind((address.host(), 0)).await;
    bound.map(drop).map_err(|error| cannot(&error, address, option))
}

fn cannot(error: &io::Error, address: &Address, option: &str) -> Failure {
    let (reason, advice) = match error.kind() {
        io::ErrorKind::AddrInUse => {
            ("the port is in use".to_owned(), "stop what listens there or choose another address")
        }
        io::ErrorKind::AddrNotAvailable => {
            ("this host has no such address".to_owned(), "choose one of this host's addresses")
        }
        _ => (error.to_string(), "choose another address"),
    };
    Failure::Failed(format!("cannot serve HTTP on {address} ({reason}): {advice} with {option}"))
}

impl HttpServer {
    /// Serves HTTP for the application.
    pub(super) fn start(listener: TcpListener, router: Router) -> Self {
        Self::run(|stopped| serve(listener, LimitLayer::default().layer(router), stopped))
    }

    /// Runs a server that ends, when it is told to, after the requests under way.
    pub(super) fn run<F>(server: impl FnOnce(oneshot::Receiver<()>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(server(stopped)) }
    }

    /// Takes no more requests and waits, within a bound, for those under way.
    pub(super) async fn stop(self) {
        // The server is gone already when nobody listens.
        let _ = self.stop.send(());
        let task = self.task.abort_handle();
        if timeout(HTTP_DRAIN_TIMEOUT, self.task).await.is_err() {
            task.abort();
        }
    }
}

/// Serves until `stopped` resolves, then finishes the requests under way.
///
/// Connections, unread answers and silent callers are bounded as on the port of the member.
async fn serve(listener: TcpListener, service: Limited<Router>, stopped: oneshot::Receiver<()>) {
    let mut connections = incoming(listener);
    let (stop, stopping) = watch::channel(());
    let mut tasks = JoinSet::new();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = tasks.join_next() => {}
            connection = connections.next() => match connection {
                Some(Ok(io)) => {
                    tasks.spawn(serve_connection(io, service.clone(), stopping.clone()));
                }
                // The stream goes on by itself as far as that makes sense.
                Some(Err(_)) => {}
                None => break,
            }
        }
    }
    drop(connections);
    let _ = stop.send(());
    while tasks.join_next().await.is_some() {}
}

async fn serve_connection<S>(io: S, service: Limited<Router>, mut stopping: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let info = io.connect_info();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(info.clone());
        service.clone().call(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEADER_TIMEOUT)
        .max_buf_size(HTTP_BUFFER_BYTES)
        .serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    // How a connection ends concerns its client, which knows.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
