//! All members of a cluster, found from one of them.
//!
//! Each member is asked for its checksums, which are small answers however large the cluster is.
//! Members with one membership checksum have one view, which one of them tells whole. A member that
//! another view names is asked as well: the other side of a partition is found as long as anybody
//! remembers it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ringpop::admin_client::{
    GetMembersRequest, GetStatusRequest, GetStatusResponse, LookupRequest, MemberStatus, Status,
};
use ringpop::swim;
use serde::Serialize;

use crate::admin::{Admin, Client, Unanswered};
use crate::args::Target;
use crate::failure::Failure;
use crate::limits::{CRAWL_ANSWER_TIMEOUT, CRAWL_CONCURRENCY, CRAWL_MEMBERS_MAX};
use crate::output::{checksum, columns, printable};
use crate::progress::Progress;

/// The name of a status; a newer member may know one that has no name here.
pub(crate) fn status_name(status: i32) -> &'static str {
    swim::wire::status(status).map_or("unknown", swim::Status::as_str)
}

/// What all members said that could be asked.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// What the member of the command line says.
    pub(crate) first: GetStatusResponse,
    /// The members that answered, by address.
    pub(crate) members: BTreeMap<String, Checksums>,
    /// The views that they have, by membership checksum.
    pub(crate) views: BTreeMap<u64, View>,
    pub(crate) unreached: Vec<Unreached>,
}

/// The checksums of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksums {
    pub(crate) membership: u64,
    pub(crate) ring: u64,
}

/// The members as those with one checksum see them.
#[derive(Debug)]
pub(crate) struct View {
    /// The members that have it, sorted.
    pub(crate) of: Vec<String>,
    pub(crate) members: Vec<MemberStatus>,
}

/// A member that could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unreached {
    pub(crate) address: String,
    pub(crate) reason: String,
}

impl View {
    /// Members of this status.
    pub(crate) fn count(&self, status: Status) -> usize {
        self.members.iter().filter(|member| member.status() == status).count()
    }
}

impl Cluster {
    /// Asks all members that the member of the command line knows, and those that they know.
    pub(crate) async fn crawl(target: &Target) -> Result<Self, Failure> {
        let admin = Admin::of(target)?;
        let first = admin.status().await?;
        Self::crawl_from(admin, first).await
    }

    /// The same, when the member of the command line has answered already.
    pub(crate) async fn crawl_from(
        admin: Admin,
        first: GetStatusResponse,
    ) -> Result<Self, Failure> {
        let mut crawl = Crawl::new(admin, first);
        crawl.run(&mut Progress::new()).await?;
        Ok(crawl.into_cluster())
    }

    /// Fails when members disagree about the members.
    pub(crate) fn check_one_view(&self) -> Result<(), Failure> {
        let groups: Vec<_> = self.views.values().map(|view| view.of.len()).collect();
        one("view", "partitions", &self.first.address, &groups)
    }

    /// Fails when members disagree about the owners of keys.
    pub(crate) fn check_one_ring(&self) -> Result<(), Failure> {
        let mut rings = BTreeMap::<u64, usize>::new();
        for member in self.members.values() {
            *rings.entry(member.ring).or_default() += 1;
        }
        let groups: Vec<_> = rings.into_values().collect();
        one("ring", "checksums", &self.first.address, &groups)
    }

    /// A line for standard error, when members could not be asked.
    pub(crate) fn warn_of_unreached(&self) {
        if let Some(first) = self.unreached.first() {
            eprintln!(
                "warning: {} of {} members could not be asked, such as {} ({})",
                self.unreached.len(),
                self.unreached.len() + self.members.len(),
                printable(&first.address),
                printable(&first.reason)
            );
        }
    }
}

/// Fails unless all members that answered are in one group.
fn one(what: &str, command: &str, address: &str, groups: &[usize]) -> Result<(), Failure> {
    if groups.len() <= 1 {
        return Ok(());
    }
    let sizes: Vec<_> = groups.iter().map(ToString::to_string).collect();
    Err(Failure::Disagree(format!(
        "the cluster has {} {what}s, of {} members, so there is no one answer: wait until they \
         agree (`ringpop wait {address} --converged`), see `ringpop {command} {address}`, or take \
         the {what} of {address} with --any-view",
        groups.len(),
        sizes.join(" and "),
    )))
}

/// What a member answers.
enum Told {
    /// To the small questions.
    Checksums(Checksums),
    /// When nobody has told the view of its checksum yet.
    Whole(Box<GetStatusResponse>),
}

struct Crawl {
    admin: Admin,
    known: BTreeSet<String>,
    waiting: VecDeque<(String, bool)>,
    cluster: Cluster,
}

impl Crawl {
    fn new(admin: Admin, first: GetStatusResponse) -> Self {
        let mut crawl = Self {
            admin,
            known: BTreeSet::from([first.address.clone()]),
            waiting: VecDeque::new(),
            cluster: Cluster {
                members: BTreeMap::new(),
                views: BTreeMap::new(),
                unreached: Vec::new(),
                first: first.clone(),
            },
        };
        crawl.see(first.address.clone(), first);
        crawl
    }

    /// Asks those that are known and were not asked, until there are none.
    async fn run(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let mut asking = FuturesUnordered::new();
        loop {
            while asking.len() < CRAWL_CONCURRENCY
                && let Some((address, whole)) = self.waiting.pop_front()
            {
                asking.push(ask(self.admin.beside(&address)?, address, whole));
            }
            let Some((address, answer)) = asking.next().await else { return Ok(()) };
            let (told, known) = (self.cluster.members.len(), self.known.len());
            progress.tell(|| format!("asked {told} of {known} members"));
            match answer {
                Ok(Told::Checksums(checksums)) => {
                    if self.cluster.views.contains_key(&checksums.membership) {
                        self.cluster.members.insert(address, checksums);
                    } else {
                        self.waiting.push_front((address, true));
                    }
                }
                Ok(Told::Whole(status)) if status.app != self.cluster.first.app => {
                    let reason = format!("it belongs to the application {:?}", status.app);
                    self.cluster.unreached.push(Unreached { address, reason });
                }
                Ok(Told::Whole(status)) => self.see(address, *status),
                Err(reason) => self.cluster.unreached.push(Unreached { address, reason }),
            }
        }
    }

    /// Takes the view of a member, and asks those that it names.
    fn see(&mut self, address: String, status: GetStatusResponse) {
        for member in &status.members {
            let is_gone = member.status() == Status::Tombstone;
            if is_gone || !self.known.insert(member.address.clone()) {
                continue;
            }
            if self.known.len() > CRAWL_MEMBERS_MAX {
                let reason = format!("at most {CRAWL_MEMBERS_MAX} members are asked");
                let address = member.address.clone();
                self.cluster.unreached.push(Unreached { address, reason });
            } else {
                self.waiting.push_back((member.address.clone(), false));
            }
        }
        let (membership, ring) = (status.membership_checksum, status.ring_checksum);
        self.cluster.members.insert(address, Checksums { membership, ring });
        let view = View { of: Vec::new(), members: status.members };
        self.cluster.views.entry(membership).or_insert(view);
    }

    fn into_cluster(self) -> Cluster {
        let mut cluster = self.cluster;
        for (address, checksums) in &cluster.members {
            if let Some(view) = cluster.views.get_mut(&checksums.membership) {
                view.of.push(address.clone());
            }
        }
        cluster.unreached.sort_by(|one, other| one.address.cmp(&other.address));
        cluster
    }
}

/// Asks one member for all that it sees, or for its checksums.
async fn ask(admin: Admin, address: String, whole: bool) -> (String, Result<Told, String>) {
    let answer = if whole { ask_whole(&admin).await } else { ask_checksums(&admin).await };
    (address, answer.map_err(|unanswered| unanswered.reason()))
}

async fn ask_whole(admin: &Admin) -> Result<Told, Unanswered> {
    let call = |mut client: Client, request| async move { client.get_status(request).await };
    let status = admin.answer(CRAWL_ANSWER_TIMEOUT, GetStatusRequest {}, call).await?;
    Ok(Told::Whole(Box::new(status)))
}

async fn ask_checksums(admin: &Admin) -> Result<Told, Unanswered> {
    let members = |mut client: Client, request| async move { client.get_members(request).await };
    let owner = |mut client: Client, request| async move { client.lookup(request).await };
    // A checksum comes with each answer; nothing else is asked for.
    let nobody = GetMembersRequest { statuses: vec![Status::Tombstone.into()] };
    let any_key = LookupRequest::default();
    let (members, owner) = tokio::try_join!(
        admin.answer(CRAWL_ANSWER_TIMEOUT, nobody, members),
        admin.answer(CRAWL_ANSWER_TIMEOUT, any_key, owner),
    )?;
    let (membership, ring) = (members.membership_checksum, owner.ring_checksum);
    Ok(Told::Checksums(Checksums { membership, ring }))
}

/// Members that could not be asked, as a paragraph below a table; nothing when there are none.
pub(crate) fn unreached_lines(unreached: &[Unreached]) -> String {
    if unreached.is_empty() {
        return String::new();
    }
    let row = |it: &Unreached| [printable(&it.address), printable(&it.reason)];
    let rows: Vec<_> = unreached.iter().map(row).collect();
    format!("\n\nnot asked:\n{}", columns(&rows).trim_end())
}

/// A table of the views with the members that have each.
pub(crate) fn view_rows(views: &[ViewRow]) -> String {
    let head = ["CHECKSUM", "MEMBERS", "ALIVE", "SUSPECT", "FAULTY", "FOR INSTANCE"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(views.iter().map(|view| {
        [
            view.checksum.clone(),
            view.members.len().to_string(),
            view.alive.to_string(),
            view.suspect.to_string(),
            view.faulty.to_string(),
            view.members.first().map(|member| printable(member)).unwrap_or_default(),
        ]
    }));
    columns(&rows).trim_end().to_owned()
}

/// A view in short.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ViewRow {
    pub(crate) checksum: String,
    /// The members that have it.
    pub(crate) members: Vec<String>,
    /// Members that those see in each status.
    pub(crate) alive: usize,
    pub(crate) suspect: usize,
    pub(crate) faulty: usize,
}

impl Cluster {
    /// The views, those of most members first.
    pub(crate) fn view_rows(&self) -> Vec<ViewRow> {
        let row = |(sum, view): (&u64, &View)| ViewRow {
            checksum: checksum(*sum),
            members: view.of.clone(),
            alive: view.count(Status::Alive),
            suspect: view.count(Status::Suspect),
            faulty: view.count(Status::Faulty),
        };
        let mut rows: Vec<_> = self.views.iter().map(row).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.members.len()));
        rows
    }
}
