//! Serves the calls of peers: who is called by which name.

use std::sync::Arc;

use bytes::Bytes;
use swim_core::Message;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin::Admin;
use crate::body::{Endpoint, error, read_request, write_reply};
use crate::channel::{Answer, Answering, Serve};
use crate::counters::{Counters, count};
use crate::driver::Handle;
use crate::frame::{Args, ErrorCode};
use crate::limits::SERVICE;
use crate::view::View;

/// The service `ringpop` of this process.
#[derive(Clone)]
pub(crate) struct Service {
    app: Arc<str>,
    handle: Handle,
    admin: Admin,
    counters: Arc<Counters>,
}

impl Service {
    pub(crate) fn new(
        app: Arc<str>,
        handle: Handle,
        views: watch::Receiver<Arc<View>>,
        counters: Arc<Counters>,
        start: Instant,
    ) -> Self {
        let admin = Admin::new(handle.clone(), views, counters.clone(), start);
        Self { app, handle, admin, counters }
    }

    async fn answer(self, service: String, args: Args) -> Answer {
        if service != SERVICE {
            return self.unknown(format!("no service {service:?} here"));
        }
        if let Some(endpoint) = Endpoint::from_name(&args.arg1) {
            return self.protocol(endpoint, &args.arg3).await;
        }
        let Some(answer) = self.admin.serve(&args.arg1, &args.arg3).await else {
            let name = String::from_utf8_lossy(&args.arg1).into_owned();
            return self.unknown(format!("no endpoint {name:?} in service {SERVICE:?}"));
        };
        answer
    }

    /// Hands a request to the machine and waits for its answer.
    async fn protocol(&self, endpoint: Endpoint, body: &[u8]) -> Answer {
        // The number is given where the answer is waited for.
        let read = match read_request(endpoint, body, &self.app, 0) {
            Ok(read) => read,
            Err(error) => {
                count(&self.counters.malformed_bodies);
                self.handle.malformed().await;
                return Answer::Refused(ErrorCode::BadRequest, error.to_string());
            }
        };
        match self.handle.request(read).await.await {
            Ok(message) => answer_of(&message),
            // Dropped, because too many requests wait.
            Err(_dropped) => Answer::Refused(ErrorCode::Busy, "too many requests wait".to_owned()),
        }
    }

    fn unknown(&self, message: String) -> Answer {
        count(&self.counters.refused_unknown);
        Answer::Refused(ErrorCode::BadRequest, message)
    }
}

fn answer_of(message: &Message) -> Answer {
    match write_reply(message) {
        Ok(body) => Answer::Ok(body.into()),
        Err(body) => Answer::Error(body.into()),
    }
}

/// An error of the application.
pub(crate) fn failure(kind: &str, message: &str) -> Answer {
    Answer::Error(Bytes::from(error(kind, message)))
}

impl Serve for Service {
    fn serve(&self, service: String, args: Args) -> Answering {
        Box::pin(self.clone().answer(service, args))
    }
}
