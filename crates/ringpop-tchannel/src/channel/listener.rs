//! Accepting connections.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use super::connection::{accept, refuse};
use crate::counters::count;
use crate::limits::{ACCEPT_PAUSE, ACCEPTED_MAX};

/// Refusals that are being told. Further connections are closed without a word.
const REFUSALS_MAX: usize = 64;

/// Serves the connections that others open, without end.
///
/// Those that are there stay when too many come: members that gossip with this
/// one are not driven out by newcomers.
pub(crate) async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let (mut accepted, mut refusals) = (JoinSet::new(), JoinSet::new());
    loop {
        tokio::select! {
            stream = listener.accept() => match stream {
                Ok((stream, _)) if accepted.len() < ACCEPTED_MAX => {
                    accepted.spawn(accept(stream, shared.clone()));
                }
                Ok((stream, _)) => {
                    count(&shared.counters.refused_connections);
                    if refusals.len() < REFUSALS_MAX {
                        refusals.spawn(refuse(stream));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = accepted.join_next() => {}
            Some(_told) = refusals.join_next() => {}
        }
    }
}
