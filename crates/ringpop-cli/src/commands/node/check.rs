//! `ringpop node --check`: the settings that count, without a member that others see.

use std::net::SocketAddr;

use ringpop::{BindError, TracingReload};

use super::faults::Faults;
use super::registered::Registered;
use super::{admin_http, builder, http, ports, resolve, unbound};
use crate::args::NodeArgs;
use crate::failure::Failure;
use crate::kv;
use crate::output::Output;

/// Shows the settings, and fails as the member would. It goes the way of `Member::start`, with a
/// free port in place of each that the member takes: the member itself may be running.
pub(super) async fn run(
    args: &NodeArgs,
    log: TracingReload,
    faults: Option<&Faults>,
) -> Result<(), Failure> {
    Output::new(args.run.json).emit(&args.settings);
    ports::check(args)?;
    if let Some(address) = &args.http {
        http::try_host(address, "--http").await?;
    }
    admin_http::try_host(&args.admin).await?;
    let listen = resolve(&args.listen).await?;
    let builder = builder(args, log, faults, listen, &kv::store()).await?;
    let free = SocketAddr::new(listen.ip(), 0);
    let node = builder.listen(free).bind().await.map_err(|error| match error {
        // The member would fail at the port that was asked for.
        BindError::Listen { source, .. } => unbound(BindError::Listen { address: listen, source }),
        error => unbound(error),
    })?;
    if let Some(url) = &args.register {
        Registered::check(url, args, &node)?;
    }
    Ok(())
}
