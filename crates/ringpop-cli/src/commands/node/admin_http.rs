//! The listener with the page and its JSON.

use ringpop::Ringpop;
use ringpop::http_admin::AdminHttp;
use tokio::net::TcpListener;

use super::http::{self, HttpServer};
use crate::args::AdminArgs;
use crate::failure::Failure;

/// Takes the port, if one is wanted.
pub(super) async fn bind(args: &AdminArgs) -> Result<Option<TcpListener>, Failure> {
    match &args.admin_http {
        Some(address) => http::bind(address, "--admin-http").await.map(Some),
        None => Ok(None),
    }
}

/// Fails when the host has no such address, and takes no port of it.
pub(super) async fn try_host(args: &AdminArgs) -> Result<(), Failure> {
    match &args.admin_http {
        Some(address) => http::try_host(address, "--admin-http").await,
        None => Ok(()),
    }
}

/// Serves it until it is told to stop.
pub(super) fn start(listener: TcpListener, node: &Ringpop, args: &AdminArgs) -> HttpServer {
    let admin = AdminHttp::new(node, args.access());
    let admin = args.admin_http_host.iter().fold(admin, AdminHttp::host);
    HttpServer::run(|stopped| {
        let serving = admin.serve(listener, async { drop(stopped.await) });
        async {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the listener of --admin-http has ended");
            }
        }
    })
}
