//! The streams that others open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use swim_core::wire::Decoded;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::seal::Seal;
use super::stats::{UdpCounters, count};
use super::stream::{StreamError, read, write};
use crate::handle::WeakHandle;
use crate::limits::{
    ACCEPT_PAUSE, SERVE_TIMEOUT, STREAM_TIMEOUT, STREAMS_IN_MAX, STREAMS_OF_HOST_MAX,
};

/// What serving a stream needs.
#[derive(Clone)]
pub(super) struct Serve {
    /// It does not keep the member running.
    pub(super) member: WeakHandle,
    pub(super) seal: Arc<Seal>,
    pub(super) counters: UdpCounters,
}

/// Serves streams, without end.
///
/// Those that are served stay when too many come: members in the middle of a join are
/// not driven out by newcomers.
pub(super) async fn listen(listener: TcpListener, serve: Serve) {
    let mut running = JoinSet::new();
    let mut hosts = HashMap::<Id, IpAddr>::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let of_host = hosts.values().filter(|host| **host == from.ip()).count();
                    if running.len() >= STREAMS_IN_MAX || of_host >= STREAMS_OF_HOST_MAX {
                        count(&serve.counters.0.streams_refused);
                        continue;
                    }
                    count(&serve.counters.0.streams_accepted);
                    let task = running.spawn(serve.clone().run(stream));
                    hosts.insert(task.id(), from.ip());
                }
                Err(error) => {
                    tracing::warn!(%error, "a stream cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = running.join_next_with_id() => {
                let id = ended.map_or_else(|error: JoinError| error.id(), |(id, ())| id);
                hosts.remove(&id);
            }
        }
    }
}

impl Serve {
    async fn run(self, mut stream: TcpStream) {
        let decoded = match timeout(STREAM_TIMEOUT, read(&mut stream, &self.seal)).await {
            Ok(Ok(decoded)) => decoded,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a stream brought no message");
                if !matches!(error, StreamError::Io(_)) {
                    count(&self.counters.0.malformed);
                    self.member.tell(|node, now| node.handle_malformed(now, 1)).await;
                }
                return;
            }
            Err(_elapsed) => return count(&self.counters.0.streams_late),
        };
        let Decoded { message, dropped_changes } = decoded;
        if message.is_reply() {
            let take = move |node: &mut swim_core::Node, now| {
                node.handle_malformed(now, dropped_changes);
                node.handle_message(now, message);
            };
            return self.member.tell(take).await;
        }
        let replying = self.member.request(message, dropped_changes);
        let Ok(Some(reply)) = timeout(SERVE_TIMEOUT, replying).await else { return };
        if let Err(error) = write(&mut stream, &self.seal, &reply).await {
            tracing::debug!(%error, "a reply was not sent");
        }
    }
}
