//! Requests whose body is still to come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use http_body::Body as _;
use tokio::sync::oneshot;

use super::Refusal;
use crate::limits::VALUE_BYTES_MAX;

/// Reads a bounded number of bodies at a time. When one more comes, the oldest one gives way: an
/// honest upload is done in a moment, and one that outlives so many others sends nothing.
#[derive(Debug)]
pub(super) struct Uploads {
    max: usize,
    reading: Mutex<Reading>,
}

#[derive(Debug, Default)]
struct Reading {
    next: u64,
    /// A reader whose sender is dropped gives up.
    readers: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Uploads {
    pub(super) fn new(max: usize) -> Self {
        Self { max, reading: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same request with its body in memory.
    pub(super) async fn read(self: &Arc<Self>, request: Request) -> Result<Request, Refusal> {
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let (_place, given_up) = self.enter();
        let (head, body) = request.into_parts();
        // One byte more tells a value that is too large.
        tokio::select! {
            body = to_bytes(body, VALUE_BYTES_MAX) => match body {
                Ok(body) => Ok(Request::from_parts(head, Body::from(body))),
                Err(error) if is_too_large(&error) => Err(Refusal::too_large()),
                Err(error) => Err(Refusal::new(StatusCode::BAD_REQUEST, error.to_string())),
            },
            _ = given_up => Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the body did not come before its place was needed for others: try again".to_owned(),
            )),
        }
    }

    fn enter(self: &Arc<Self>) -> (Place, oneshot::Receiver<()>) {
        let (sender, given_up) = oneshot::channel();
        let mut reading = self.lock();
        if reading.readers.len() >= self.max {
            reading.readers.pop_first();
        }
        let id = reading.next;
        reading.next += 1;
        reading.readers.insert(id, sender);
        (Place { id, uploads: Arc::clone(self) }, given_up)
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

/// A place among the readers; left when this is dropped.
struct Place {
    id: u64,
    uploads: Arc<Uploads>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.uploads.lock().readers.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Body) -> Request {
        Request::new(body)
    }

    fn endless() -> Body {
        Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>())
    }

    #[tokio::test]
    async fn the_oldest_body_that_does_not_come_gives_way() {
        let uploads = Arc::new(Uploads::new(2));
        let read = |body| {
            let uploads = Arc::clone(&uploads);
            tokio::spawn(async move { uploads.read(request(body)).await })
        };
        let slow = [read(endless()), read(endless())];
        while uploads.lock().readers.len() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(read(Body::from("value")).await.unwrap().is_ok());
        let [oldest, other] = slow;
        assert_eq!(oldest.await.unwrap().unwrap_err().code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!other.is_finished());
        assert!(
            read(Body::empty()).await.unwrap().is_ok(),
            "without a body there is nothing to wait for"
        );
        assert_eq!(uploads.lock().readers.len(), 1);
    }

    #[tokio::test]
    async fn a_value_that_is_too_large_is_told_so() {
        let uploads = Arc::new(Uploads::new(2));
        let large = request(Body::from(vec![0; VALUE_BYTES_MAX + 1]));
        assert_eq!(uploads.read(large).await.unwrap_err().code, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
