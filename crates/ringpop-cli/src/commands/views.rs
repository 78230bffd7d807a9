//! `ringpop checksums`, `partitions` and `count`: who has which view of the members.

use std::collections::BTreeSet;
use std::fmt;

use ringpop::admin_client::Status;
use serde::Serialize;

use crate::args::{ClusterArgs, CountArgs, Counted};
use crate::cluster::{Cluster, Unreached, ViewRow, unreached_lines, view_rows};
use crate::failure::Failure;
use crate::output::{Output, checksum, columns, printable};
use crate::watch;

pub(super) async fn checksums(args: ClusterArgs) -> Result<(), Failure> {
    let output = Output::new(args.target.json);
    watch::answer(&args.watch, output, || async {
        let cluster = Cluster::crawl(&args.target).await?;
        let row = |(address, sums): (&String, &crate::cluster::Checksums)| ChecksumRow {
            address: address.clone(),
            membership_checksum: checksum(sums.membership),
            ring_checksum: checksum(sums.ring),
        };
        let members = cluster.members.iter().map(row).collect();
        Ok(Checksums { members, unreached: cluster.unreached })
    })
    .await
    .map(drop)
}

#[derive(Debug, Serialize)]
struct Checksums {
    members: Vec<ChecksumRow>,
    unreached: Vec<Unreached>,
}

#[derive(Debug, Serialize)]
struct ChecksumRow {
    address: String,
    membership_checksum: String,
    ring_checksum: String,
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["ADDRESS", "MEMBERSHIP", "RING"].map(str::to_owned)];
        rows.extend(self.members.iter().map(|row| {
            let sums = (row.membership_checksum.clone(), row.ring_checksum.clone());
            [printable(&row.address), sums.0, sums.1]
        }));
        f.write_str(columns(&rows).trim_end())?;
        f.write_str(&unreached_lines(&self.unreached))
    }
}

pub(super) async fn partitions(args: ClusterArgs) -> Result<(), Failure> {
    let output = Output::new(args.target.json);
    watch::answer(&args.watch, output, || async {
        let cluster = Cluster::crawl(&args.target).await?;
        Ok(Partitions { partitions: cluster.view_rows(), unreached: cluster.unreached })
    })
    .await
    .map(drop)
}

#[derive(Debug, Serialize)]
struct Partitions {
    partitions: Vec<ViewRow>,
    unreached: Vec<Unreached>,
}

impl fmt::Display for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&view_rows(&self.partitions))?;
        f.write_str(&unreached_lines(&self.unreached))
    }
}

pub(super) async fn count(args: CountArgs) -> Result<(), Failure> {
    let CountArgs { agreed, what } = args;
    let output = Output::new(agreed.target.json);
    watch::answer(&agreed.watch, output, || async {
        let cluster = Cluster::crawl(&agreed.target).await?;
        let may_differ = agreed.any_view.any_view || what == Some(Counted::Partitions);
        if !may_differ {
            cluster.check_one_view()?;
        }
        Ok(Count::new(&cluster, what))
    })
    .await
    .map(drop)
}

#[derive(Debug, Serialize)]
struct Count {
    members: usize,
    hosts: usize,
    partitions: usize,
    #[serde(skip)]
    what: Option<Counted>,
}

impl Count {
    /// Members and hosts are those that the member which was asked first sees.
    fn new(cluster: &Cluster, what: Option<Counted>) -> Self {
        let is_there = |status| matches!(status, Status::Alive | Status::Suspect);
        let there = cluster.first.members.iter().filter(|member| is_there(member.status()));
        let host = |address: &str| address.rsplit_once(':').map(|(host, _)| host.to_owned());
        let hosts: BTreeSet<_> = there.clone().map(|member| host(&member.address)).collect();
        let partitions = cluster.views.values().filter(|view| !view.of.is_empty()).count();
        Self { members: there.count(), hosts: hosts.len(), partitions, what }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            Some(Counted::Members) => write!(f, "{}", self.members),
            Some(Counted::Hosts) => write!(f, "{}", self.hosts),
            Some(Counted::Partitions) => write!(f, "{}", self.partitions),
            None => {
                let [members, hosts, partitions] = [self.members, self.hosts, self.partitions];
                write!(f, "members     {members}\nhosts       {hosts}\npartitions  {partitions}")
            }
        }
    }
}
