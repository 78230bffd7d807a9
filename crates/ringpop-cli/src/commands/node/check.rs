//! `ringpop node --check`: the settings that count, without a member.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{advertised, config, discovery};
use crate::args::NodeArgs;
use crate::failure::Failure;
use crate::output::Output;

/// Shows the settings, and fails as the member would before it takes a port.
pub(super) async fn run(args: &NodeArgs) -> Result<(), Failure> {
    Output::new(args.run.json).emit(&args.settings);
    args.limits.check()?;
    config(args)?;
    args.tls.load()?;
    discovery(&args.source).await?;
    // A name stands for some address; only the unspecified one needs another to be advertised.
    let ip = args.listen.host().trim_matches(['[', ']']).parse();
    let ip = ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    advertised(args, SocketAddr::new(ip, args.listen.port()))?;
    Ok(())
}
