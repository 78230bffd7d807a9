//! Owners that answer as the input says, and a resolver that knows them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use ringpop_forward::{
    FailureClass, Owner, Owners, Peer, PeerRequest, PeerTransport, Resolver, SendError,
};

use super::input::{Input, Pieces};

/// What one owner answers.
#[derive(Debug)]
pub enum Answer {
    Fails(FailureClass),
    Responds(http::response::Parts, Pieces),
}

impl Answer {
    pub fn from(input: &mut Input<'_>) -> Self {
        match input.byte() % 8 {
            0 => Self::Fails(FailureClass::NeverSent),
            1 => Self::Fails(FailureClass::Refused),
            2 => Self::Fails(FailureClass::Ambiguous),
            3 => Self::Fails(FailureClass::Overloaded),
            _ => {
                let mut head = Response::new(()).into_parts().0;
                head.headers = input.headers();
                if input.byte() == 0 {
                    let grpc = http::HeaderValue::from_static("application/grpc");
                    head.headers.insert(http::header::CONTENT_TYPE, grpc);
                }
                Self::Responds(head, input.body())
            }
        }
    }
}

/// An attempt, as its owner saw it.
#[derive(Debug)]
pub struct Attempt {
    pub peer: Arc<Peer>,
    pub head: http::Request<()>,
    /// All of its body; `None` when that broke off.
    pub body: Option<Vec<u8>>,
    /// Whether its handler may have run, as far as the forwarder was told.
    pub may_be_executed: bool,
}

/// Owners with a script.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    pub script: Arc<Mutex<VecDeque<Answer>>>,
    pub attempts: Arc<Mutex<Vec<Attempt>>>,
}

impl PeerTransport for Peers {
    type Body = Pieces;

    async fn send(
        &self,
        peer: &Arc<Peer>,
        request: PeerRequest,
    ) -> Result<Response<Pieces>, SendError> {
        let PeerRequest { head, body, .. } = request;
        let answer = self.script.lock().expect("nobody panics with it").pop_front();
        let answer = answer.unwrap_or(Answer::Fails(FailureClass::NeverSent));
        let is_read =
            !matches!(answer, Answer::Fails(FailureClass::NeverSent | FailureClass::Overloaded));
        let body =
            if is_read { body.collect().await } else { Ok(http_body_util::Collected::default()) };
        let broken = body.as_ref().err().cloned();
        let attempt = Attempt {
            peer: Arc::clone(peer),
            head,
            body: is_read.then_some(body.ok()).flatten().map(|all| all.to_bytes().to_vec()),
            may_be_executed: is_executed(&answer),
        };
        self.attempts.lock().expect("nobody panics with it").push(attempt);
        if let Some(status) = broken {
            return Err(SendError::caller(status));
        }
        match answer {
            Answer::Fails(FailureClass::NeverSent) => Err(SendError::never_sent("never sent")),
            Answer::Fails(FailureClass::Refused) => Err(SendError::refused("refused")),
            Answer::Fails(FailureClass::Overloaded) => Err(SendError::overloaded("overloaded")),
            Answer::Fails(_) => Err(SendError::ambiguous("broke off")),
            Answer::Responds(head, body) => Ok(Response::from_parts(head, body)),
        }
    }
}

/// Whether an answer leaves open, or says, that a handler has run.
fn is_executed(answer: &Answer) -> bool {
    match answer {
        Answer::Fails(class) => *class == FailureClass::Ambiguous,
        Answer::Responds(head, _) => !head.headers.contains_key("ringpop-refused"),
    }
}

/// Gives every key the same owners, and remembers the keys.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub owners: Vec<Owner>,
    pub epoch: u64,
    pub asked: Arc<Mutex<Vec<Bytes>>>,
}

impl Table {
    /// Up to four owners, one of which may be this process.
    pub fn from(input: &mut Input<'_>) -> Self {
        let mut owners = Vec::new();
        let places = input.byte();
        for place in 0..places % 5 {
            let owner = if places >> 4 == place {
                Owner::Local
            } else {
                let peer = Peer::new(&format!("peer-{place}:1")).expect("it is an address");
                Owner::Remote(Arc::new(peer))
            };
            owners.push(owner);
        }
        Self { owners, epoch: input.byte().into(), asked: Arc::default() }
    }
}

impl Resolver for Table {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        self.asked.lock().expect("nobody panics with it").push(Bytes::copy_from_slice(key));
        out.extend(self.owners.iter().take(n).cloned());
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}
