//! `ringpop reap`: the cluster forgets members that are gone.

use std::fmt;

use ringpop::admin_client::ReapRequest;
use serde::Serialize;

use crate::admin::{Admin, Client};
use crate::args::ReapArgs;
use crate::failure::Failure;
use crate::limits::ANSWER_TIMEOUT;
use crate::output::Output;

pub(super) async fn run(args: ReapArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let address = args.member.as_ref().map(ToString::to_string).unwrap_or_default();
    let call = |mut client: Client, request| async move { client.reap(request).await };
    let answer = admin.ask(ANSWER_TIMEOUT, ReapRequest { address }, call).await?;
    Output::new(args.target.json).emit(&Reaped { reaped: answer.reaped });
    Ok(())
}

#[derive(Debug, Serialize)]
struct Reaped {
    reaped: u32,
}

impl fmt::Display for Reaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reaped {
            0 => f.write_str("no member is faulty"),
            1 => f.write_str("1 member is being forgotten"),
            reaped => write!(f, "{reaped} members are being forgotten"),
        }
    }
}
