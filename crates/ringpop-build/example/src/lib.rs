//! The notes service: what `ringpop-build` made of `proto/notes.proto`, and its handlers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::{Request, Response, Status};

/// The code generated from `proto/notes.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod notes {
    tonic::include_proto!("notes.v1");
}

/// The code generated from `proto/kinds.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod kinds {
    tonic::include_proto!("kinds.v1");
}

use notes::notes_server::Notes;
use notes::{
    AppendRequest, AppendResponse, CountRequest, CountResponse, ReadRequest, ReadResponse,
};

/// The notes of the authors that this process owns.
#[derive(Clone, Debug)]
pub struct NotesService {
    name: String,
    by_author: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl NotesService {
    /// No notes yet. Responses call this process `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), by_author: Arc::default() }
    }
}

#[tonic::async_trait]
impl Notes for NotesService {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let by_author = self.by_author.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = by_author.get(&request.get_ref().author).cloned().unwrap_or_default();
        Ok(Response::new(ReadResponse { texts, handled_by: self.name.clone() }))
    }

    async fn append(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<Response<AppendResponse>, Status> {
        let note = request.into_inner().note;
        let note = note.ok_or_else(|| Status::invalid_argument("note is missing"))?;
        let mut by_author = self.by_author.lock().unwrap_or_else(PoisonError::into_inner);
        by_author.entry(note.author).or_default().push(note.text);
        Ok(Response::new(AppendResponse { handled_by: self.name.clone() }))
    }

    async fn count(&self, _: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
        let by_author = self.by_author.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = by_author.values().map(|texts| texts.len() as u64).sum();
        Ok(Response::new(CountResponse { notes }))
    }
}
