//! Questions and commands to a running member, each with a bounded wait and an answer that tells
//! people what to do.

use std::error::Error as _;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use ringpop::admin_client::{
    AdminClient, GetStatusRequest, GetStatusResponse, LookupRequest, LookupResponse,
};
use ringpop::forward::{TcpConnector, Tls, explain_failure};
use tokio::time::timeout;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::args::Target;
use crate::failure::Failure;
use crate::limits::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, STATUS_BYTES_MAX};
use crate::output::printable;

/// The client whose methods [`Admin::ask`] calls.
pub(crate) type Client = AdminClient<Channel>;

/// A running member.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    address: String,
    client: Client,
    tls: Option<Tls>,
    /// Lets this process give commands.
    token: Option<AsciiMetadataValue>,
}

impl Admin {
    /// Connects at the first question, and again whenever the connection is lost.
    pub(crate) fn new(address: impl Display, tls: Option<&Tls>) -> Result<Self, Failure> {
        let address = address.to_string();
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Failure::failed(format!("{address} is no address: {error}")))?;
        let channel = match tls {
            Some(tls) => tls.channel(&endpoint.connect_timeout(CONNECT_TIMEOUT)),
            None => endpoint.connect_with_connector_lazy(TcpConnector::within(CONNECT_TIMEOUT)),
        };
        let client = AdminClient::new(channel).max_decoding_message_size(STATUS_BYTES_MAX);
        Ok(Self { address, client, tls: tls.cloned(), token: None })
    }

    /// The member that a command line names.
    pub(crate) fn of(target: &Target) -> Result<Self, Failure> {
        let mut admin = Self::new(&target.address, target.tls.load()?.as_ref())?;
        admin.token = target.token_file.as_deref().map(token).transpose()?;
        Ok(admin)
    }

    /// Another member of its cluster, asked in the same way.
    pub(crate) fn beside(&self, address: &str) -> Result<Self, Failure> {
        let mut admin = Self::new(address, self.tls.as_ref())?;
        admin.token.clone_from(&self.token);
        Ok(admin)
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn status(&self) -> Result<GetStatusResponse, Failure> {
        self.status_within(ANSWER_TIMEOUT).await
    }

    pub(crate) async fn status_within(&self, wait: Duration) -> Result<GetStatusResponse, Failure> {
        self.ask(wait, GetStatusRequest {}, |mut client: Client, request| async move {
            client.get_status(request).await
        })
        .await
    }

    pub(crate) async fn lookup(&self, key: &str, n: u32) -> Result<LookupResponse, Failure> {
        let request = LookupRequest { key: key.to_owned().into(), n };
        self.ask(ANSWER_TIMEOUT, request, |mut client: Client, request| async move {
            client.lookup(request).await
        })
        .await
    }

    /// Asks something that a method of the client makes a call of.
    pub(crate) async fn ask<Q, A, F>(
        &self,
        wait: Duration,
        question: Q,
        call: impl FnOnce(Client, Request<Q>) -> F,
    ) -> Result<A, Failure>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let answer = self.answer(wait, question, call).await;
        answer.map_err(|unanswered| match unanswered {
            Unanswered::Refused(status) => Failure::Failed(self.explain(&status)),
            Unanswered::Late(_) => Failure::Failed(format!(
                "{} {}: check that a ringpop node listens there",
                self.address,
                unanswered.reason()
            )),
        })
    }

    /// The same, for callers who ask many members and tell each reason in short.
    pub(crate) async fn answer<Q, A, F>(
        &self,
        wait: Duration,
        question: Q,
        call: impl FnOnce(Client, Request<Q>) -> F,
    ) -> Result<A, Unanswered>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(question);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        match timeout(wait, call(self.client.clone(), request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(Unanswered::Refused(status)),
            Err(_) => Err(Unanswered::Late(wait)),
        }
    }

    /// What went wrong, for people.
    pub(crate) fn explain(&self, status: &Status) -> String {
        let address = &self.address;
        let reason = reason(status);
        match (status.source(), status.code()) {
            (Some(_), _) => {
                format!(
                    "{address} cannot be asked: {reason}; check that a ringpop node listens there"
                )
            }
            (None, Code::Unimplemented | Code::Internal | Code::Unknown) => {
                format!("{address} {reason}: give the address of a node's --listen")
            }
            (None, _) => format!("{address} refused: {reason}"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// None came within this time.
    Late(Duration),
    /// This came instead.
    Refused(Status),
}

impl Unanswered {
    /// Why, in few words that follow the name of the member.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Late(wait) => format!("did not answer within {} s", wait.as_secs_f32()),
            Self::Refused(status) => reason(status),
        }
    }
}

fn reason(status: &Status) -> String {
    match (status.source(), status.code()) {
        (Some(cause), _) => explain_failure(cause),
        (None, Code::Unimplemented | Code::Internal | Code::Unknown) => {
            "is not a ringpop node".to_owned()
        }
        (None, _) => printable(status.message()),
    }
}

fn token(path: &Path) -> Result<AsciiMetadataValue, Failure> {
    let content = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))?;
    let token: Result<AsciiMetadataValue, _> = format!("Bearer {}", content.trim()).parse();
    let mut token = token.map_err(|_| {
        let path = path.display();
        Failure::failed(format!("{path} has no token: it must be one line of visible ASCII"))
    })?;
    token.set_sensitive(true);
    Ok(token)
}
