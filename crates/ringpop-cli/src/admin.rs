//! Questions and commands to a running member, each with a bounded wait and an answer that tells
//! people what to do.

use std::error::Error as _;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use ringpop::admin_client::{
    AdminClient, GetStatusRequest, GetStatusResponse, LookupRequest, LookupResponse,
};
use ringpop::forward::{Tls, explain_failure};
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
    /// Lets this process give commands.
    token: Option<AsciiMetadataValue>,
}

impl Admin {
    /// Connects at the first question, and again whenever the connection is lost.
    pub(crate) fn new(address: impl Display, tls: Option<&Tls>) -> Result<Self, Failure> {
        let address = address.to_string();
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Failure::failed(format!("{address} is no address: {error}")))?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT);
        let channel = match tls {
            Some(tls) => tls.channel(&endpoint),
            None => endpoint.connect_lazy(),
        };
        let client = AdminClient::new(channel).max_decoding_message_size(STATUS_BYTES_MAX);
        Ok(Self { address, client, token: None })
    }

    /// The member that a command line names.
    pub(crate) fn of(target: &Target) -> Result<Self, Failure> {
        let mut admin = Self::new(&target.address, target.tls.load()?.as_ref())?;
        admin.token = target.token_file.as_deref().map(token).transpose()?;
        Ok(admin)
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
        let mut request = Request::new(question);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        let message = match timeout(wait, call(self.client.clone(), request)).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => self.explain(&status),
            Err(_) => format!(
                "{} did not answer within {} s: check that a ringpop node listens there",
                self.address,
                wait.as_secs_f32()
            ),
        };
        Err(Failure::Failed(message))
    }

    /// What went wrong, for people.
    pub(crate) fn explain(&self, status: &Status) -> String {
        let address = &self.address;
        match (status.source(), status.code()) {
            (Some(cause), _) => {
                format!(
                    "{address} cannot be asked: {}; check that a ringpop node listens there",
                    explain_failure(cause)
                )
            }
            (None, Code::Unimplemented | Code::Internal | Code::Unknown) => {
                format!("{address} is not a ringpop node: give the address of a node's --listen")
            }
            (None, _) => format!("{address} refused: {}", printable(status.message())),
        }
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
