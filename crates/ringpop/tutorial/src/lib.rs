//! The service of `docs/tutorial.md`. The binaries are its steps: `plain`, `sharded`, `production`,
//! and `client`, which calls any of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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
}

use sessions::sessions_server::Sessions;
use sessions::{GetRequest, GetResponse, PutRequest, PutResponse};

/// Keeps sessions in memory and knows nothing of other processes.
#[derive(Debug, Clone)]
pub struct SessionStore {
    name: String,
    users: Arc<Mutex<HashMap<String, String>>>,
}

impl SessionStore {
    /// An empty store; `name` tells clients which process answered.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), users: Arc::default() }
    }
}

#[tonic::async_trait]
impl Sessions for SessionStore {
    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let PutRequest { id, user } = request.into_inner();
        self.users.lock().unwrap_or_else(PoisonError::into_inner).insert(id, user);
        Ok(Response::new(PutResponse { handled_by: self.name.clone() }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let GetRequest { id } = request.into_inner();
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let user = users.get(&id).cloned();
        let user = user.ok_or_else(|| Status::not_found(format!("no session {id:?}")))?;
        Ok(Response::new(GetResponse { user, handled_by: self.name.clone() }))
    }
}
