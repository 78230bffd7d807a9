//! Sessions of users, each kept by the process that owns the user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ringpop::Ringpop;
use ringpop::discovery::StaticList;
use ringpop::forward::Routes;
use tonic::{Request, Response, Status};

use crate::sessions::sessions_server::{Sessions, SessionsServer};
use crate::sessions::{CountRequest, CountResponse, SESSIONS_ROUTES, VisitRequest, VisitResponse};

/// The generated code.
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

/// The service itself. It knows nothing of other processes.
#[derive(Clone, Debug)]
pub struct SessionsService {
    name: String,
    visits: Arc<Mutex<HashMap<String, u64>>>,
}

impl SessionsService {
    /// A service without sessions, in the process of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), visits: Arc::default() }
    }
}

#[tonic::async_trait]
impl Sessions for SessionsService {
    async fn visit(
        &self,
        request: Request<VisitRequest>,
    ) -> Result<Response<VisitResponse>, Status> {
        let mut all = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        let visits = all.entry(request.into_inner().user).or_default();
        *visits += 1;
        Ok(Response::new(VisitResponse { visits: *visits, handled_by: self.name.clone() }))
    }

    async fn count(
        &self,
        request: Request<CountRequest>,
    ) -> Result<Response<CountResponse>, Status> {
        let all = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        let visits = all.get(&request.into_inner().user).copied().unwrap_or_default();
        Ok(Response::new(CountResponse { visits, handled_by: self.name.clone() }))
    }
}

/// Starts a member that serves sessions at `listen`, beside the members at `peers`.
///
/// # Errors
///
/// The port cannot be taken, or a setting is wrong.
pub async fn start(
    listen: &str,
    peers: &str,
) -> Result<Ringpop, Box<dyn std::error::Error + Send + Sync>> {
    let member = Ringpop::builder("sessions")
        .listen(listen.parse()?)
        .discovery(Arc::new(StaticList::parse(peers)?))
        .routes(Routes::new().table(SESSIONS_ROUTES))
        .bind()
        .await?;
    let service = SessionsServer::new(SessionsService::new(member.whoami()));
    member.serve(tonic::service::Routes::new(service))?;
    Ok(member)
}
