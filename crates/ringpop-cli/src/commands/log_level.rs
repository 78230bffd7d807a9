//! `ringpop log-level`: what a member writes to its log.

use std::fmt;

use ringpop::admin_client::{GetLogLevelRequest, SetLogLevelRequest};
use serde::Serialize;

use crate::admin::{Admin, Client};
use crate::args::LogLevelArgs;
use crate::failure::Failure;
use crate::limits::ANSWER_TIMEOUT;
use crate::output::{Output, printable};

pub(super) async fn run(args: LogLevelArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let mut before = None;
    if let Some(directives) = args.directives {
        let call = |mut client: Client, request| async move { client.set_log_level(request).await };
        let request = SetLogLevelRequest { directives };
        before = Some(admin.ask(ANSWER_TIMEOUT, request, call).await?.directives_before);
    }
    let call = |mut client: Client, request| async move { client.get_log_level(request).await };
    let directives = admin.ask(ANSWER_TIMEOUT, GetLogLevelRequest {}, call).await?.directives;
    Output::new(args.target.json).emit(&LogLevel { directives, before });
    Ok(())
}

#[derive(Debug, Serialize)]
struct LogLevel {
    directives: String,
    /// Those until a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.directives))?;
        match &self.before {
            Some(before) => write!(f, " (before: {})", printable(before)),
            None => Ok(()),
        }
    }
}
