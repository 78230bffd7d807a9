//! Questions to a running member, each with a bounded wait and an answer that says what to do.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use ringpop::admin_client::{
    AdminClient, GetStatusRequest, GetStatusResponse, LookupRequest, LookupResponse,
};
use ringpop::forward::{Tls, explain_failure};
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::failure::Failure;
use crate::limits::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, STATUS_BYTES_MAX};
use crate::output::printable;

/// A running member.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    address: String,
    client: AdminClient<Channel>,
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
        Ok(Self { address, client })
    }

    pub(crate) async fn status(&mut self) -> Result<GetStatusResponse, Failure> {
        self.status_within(ANSWER_TIMEOUT).await
    }

    pub(crate) async fn status_within(
        &mut self,
        wait: Duration,
    ) -> Result<GetStatusResponse, Failure> {
        let question = self.client.get_status(GetStatusRequest {});
        answer(&self.address, wait, question).await
    }

    pub(crate) async fn lookup(&mut self, key: &str, n: u32) -> Result<LookupResponse, Failure> {
        let key = key.to_owned().into();
        let question = self.client.lookup(LookupRequest { key, n });
        answer(&self.address, ANSWER_TIMEOUT, question).await
    }
}

async fn answer<T>(
    address: &str,
    wait: Duration,
    question: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Failure> {
    let message = match timeout(wait, question).await {
        Ok(Ok(response)) => return Ok(response.into_inner()),
        Ok(Err(status)) => explain(address, &status),
        Err(_) => format!(
            "{address} did not answer within {} s: check that a ringpop node listens there",
            wait.as_secs_f32()
        ),
    };
    Err(Failure::Failed(message))
}

fn explain(address: &str, status: &tonic::Status) -> String {
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
