//! `ringpop lookup`: which members own a key.

use std::fmt;

use ringpop::admin_client::LookupResponse;
use serde::Serialize;

use crate::admin::Admin;
use crate::args::LookupArgs;
use crate::failure::Failure;
use crate::output::{Output, checksum, printable};

pub(crate) async fn run(args: LookupArgs) -> Result<(), Failure> {
    let response = Admin::new(&args.address, args.tls.load()?.as_ref())?
        .lookup(&args.key, args.owners)
        .await?;
    if response.owners.is_empty() {
        return Err(Failure::Failed(format!(
            "{} knows no owner of the key: its ring is empty, see `ringpop status {}`",
            args.address, args.address
        )));
    }
    Output::new(args.json).emit(&Owners::new(args.key, response));
    Ok(())
}

#[derive(Debug, Serialize)]
struct Owners {
    key: String,
    /// Best first.
    owners: Vec<String>,
    ring_checksum: String,
}

impl Owners {
    fn new(key: String, response: LookupResponse) -> Self {
        Self { key, owners: response.owners, ring_checksum: checksum(response.ring_checksum) }
    }
}

impl fmt::Display for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.owners.iter().map(|owner| printable(owner)).collect();
        f.write_str(&lines.join("\n"))
    }
}
