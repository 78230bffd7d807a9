//! The service of `docs/tutorial.md`. The binaries are its steps: `plain`, `sharded`, `production`,
//! and `client`, which calls any of them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    reason = "generated"
)]
pub mod sessions {
    tonic::include_proto!("sessions.v1");

    /// The schema, for server reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sessions.bin"));
}

use sessions::sessions_server::Sessions;
use sessions::{GetRequest, GetResponse, PutRequest, PutResponse, WatchRequest, WatchResponse};

/// Keeps sessions in memory and knows nothing of other processes.
#[derive(Debug, Clone)]
pub struct SessionStore {
    name: String,
    users: Arc<Mutex<HashMap<String, watch::Sender<String>>>>,
}

impl SessionStore {
    /// An empty store; `name` tells clients which process answered.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), users: Arc::default() }
    }
}

/// What a caller of `Watch` gets.
type Updates = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Sessions for SessionStore {
    type WatchStream = Updates;

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let PutRequest { id, user } = request.into_inner();
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.entry(id).or_default().send_replace(user);
        Ok(Response::new(PutResponse { handled_by: self.name.clone() }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let GetRequest { id } = request.into_inner();
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let user = users.get(&id).map(|user| user.borrow().clone());
        let user = user.ok_or_else(|| Status::not_found(format!("no session {id:?}")))?;
        Ok(Response::new(GetResponse { user, handled_by: self.name.clone() }))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Updates>, Status> {
        let WatchRequest { id } = request.into_inner();
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let user = users.get(&id).map(watch::Sender::subscribe);
        let user = user.ok_or_else(|| Status::not_found(format!("no session {id:?}")))?;
        let handled_by = self.name.clone();
        let update = move |user| Ok(WatchResponse { user, handled_by: handled_by.clone() });
        Ok(Response::new(Box::pin(WatchStream::new(user).map(update))))
    }
}

/// The Rust blocks of pages that belong to no crate, compiled as tests.
#[cfg(doctest)]
pub mod pages {
    #[doc = include_str!("../../../../README.md")]
    pub struct Readme;

    #[doc = include_str!("../../../../docs/migration.md")]
    pub struct Migration;

    #[doc = include_str!("../../../../docs/rings.md")]
    pub struct Rings;

    #[doc = include_str!("../../../../docs/security.md")]
    pub struct Security;

    #[doc = include_str!("../../../../docs/state.md")]
    pub struct State;
}
