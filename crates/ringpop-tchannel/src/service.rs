//! Serves the calls of peers: who is called by which name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use swim_core::Message;

use crate::admin::Admin;
use crate::body::{Endpoint, Read, read_request, write_reply};
use crate::channel::{Answer, Answering, Serve};
use crate::counters::count;
use crate::frame::{Args, ErrorCode};
use crate::limits::SERVICE;

/// The service `ringpop` of this process.
#[derive(Clone)]
pub(crate) struct Service {
    app: Arc<str>,
    admin: Admin,
    /// Numbers requests, which carry no number of their own.
    next_seq: Arc<AtomicU64>,
}

impl Service {
    pub(crate) fn new(app: Arc<str>, admin: Admin) -> Self {
        Self { app, admin, next_seq: Arc::default() }
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
        let (handle, seq) = (&self.admin.handle, self.next_seq.fetch_add(1, Ordering::Relaxed));
        let Read { message, dropped, .. } = match read_request(endpoint, body, &self.app, seq) {
            Ok(read) => read,
            Err(error) => {
                count(&self.admin.counters.malformed_bodies);
                // Nobody counts any more once the member has stopped.
                let _ = handle.tell(|node, now| node.handle_malformed(now, 1)).await;
                return Answer::Refused(ErrorCode::BadRequest, error.to_string());
            }
        };
        match handle.request(message, dropped).await {
            Some(message) => answer_of(&message),
            None => Answer::Refused(ErrorCode::Busy, "too many requests wait".to_owned()),
        }
    }

    fn unknown(&self, message: String) -> Answer {
        count(&self.admin.counters.refused_unknown);
        Answer::Refused(ErrorCode::BadRequest, message)
    }
}

fn answer_of(message: &Message) -> Answer {
    match write_reply(message) {
        Ok(body) => Answer::Ok(body.into()),
        Err(body) => Answer::Error(body.into()),
    }
}

impl Serve for Service {
    fn serve(&self, service: String, args: Args) -> Answering {
        Box::pin(self.clone().answer(service, args))
    }
}
