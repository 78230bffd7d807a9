//! `ringpop heal`: a member looks for other partitions, again and again, until it finds none.

use std::fmt;

use ringpop::admin_client::HealRequest;
use serde::Serialize;
use tokio::time::sleep;

use crate::admin::{Admin, Client};
use crate::args::HealArgs;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::limits::{CLUSTER_TIMEOUT, HEAL_PAUSE};
use crate::output::{Output, printable};

pub(super) async fn run(args: HealArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let output = Output::new(args.target.json);
    for attempt in 1..=args.tries {
        let call = |mut client: Client, request| async move { client.heal(request).await };
        let answer = admin.ask(CLUSTER_TIMEOUT, HealRequest {}, call).await?;
        let is_over = answer.contacted.is_empty();
        let cluster = Cluster::crawl(&args.target).await?;
        let is_read = output.emit(&Attempt {
            attempt,
            contacted: answer.contacted,
            failures: answer.failures,
            partitions: cluster.views.len(),
        });
        if is_over || !is_read {
            return Ok(());
        }
        if attempt < args.tries {
            sleep(HEAL_PAUSE).await;
        }
    }
    Err(Failure::Failed(format!(
        "members of another partition still answered at attempt {}: look at their `ringpop \
         status`, or give it more --tries",
        args.tries
    )))
}

#[derive(Debug, Serialize)]
struct Attempt {
    attempt: u32,
    /// Members of another partition whose lists were compared.
    contacted: Vec<String>,
    /// Hosts that did not answer.
    failures: u32,
    /// Groups of members that have one view, right after it.
    partitions: usize,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.contacted.is_empty() {
            f.write_str("no other partition answers")?;
        } else {
            let all: Vec<_> = self.contacted.iter().map(|member| printable(member)).collect();
            write!(f, "healed with {}", all.join(", "))?;
        }
        match self.failures {
            0 => {}
            1 => f.write_str("; 1 host did not answer")?,
            failures => write!(f, "; {failures} hosts did not answer")?,
        }
        match self.partitions {
            1 => f.write_str("; all members have one view"),
            partitions => write!(f, "; the members have {partitions} views"),
        }
    }
}
