//! The words that ask a running member more than its status, or have it do something.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ringpop::AdminAccess;
use ringpop::discovery::Address;
use ringpop::limits::WEIGHT_MAX;

use super::{WatchArgs, parse_duration, parse_label};
use crate::failure::EXIT_CODES;
use crate::limits::{EVICTION_TIME, HEAL_TRIES};
use crate::tls::TlsArgs;

/// The member that is asked, and how.
#[derive(Args, Debug)]
pub(crate) struct Target {
    /// gRPC address of a running member
    #[arg(value_name = "HOST:PORT")]
    pub(crate) address: Address,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    /// File with the token that lets this process give commands (--admin-token-file of the member)
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A command that needs nothing but its member.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct MembersArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Show only members of these statuses
    #[arg(long, value_name = "STATUS,...", value_enum, value_delimiter = ',')]
    pub(crate) status: Vec<MemberStatus>,

    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

/// A status of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemberStatus {
    /// Answers probes
    Alive,
    /// Did not answer and may still contradict
    Suspect,
    /// Did not contradict in time
    Faulty,
    /// Left of its own accord
    Leave,
    /// About to be forgotten
    Tombstone,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Show only names that begin so, such as forward.
    #[arg(value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,

    /// Show those that are zero, too
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Stop after so many events
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Stop after this time, such as 30s
    #[arg(long = "for", value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ReapArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The member to forget, faulty or left
    #[arg(value_name = "MEMBER", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) member: Option<Address>,

    /// Forget all members that are faulty
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct EvictArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The member that is to own no keys
    #[arg(value_name = "MEMBER")]
    pub(crate) member: Address,

    /// For how long, a second to seven days
    #[arg(long = "for", value_name = "DURATION", allow_hyphen_values = true,
          default_value = EVICTION_TIME, value_parser = parse_duration)]
    pub(crate) time: Duration,

    /// End its eviction
    #[arg(long, conflicts_with = "time")]
    pub(crate) undo: bool,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Put it back
    #[arg(long)]
    pub(crate) undo: bool,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct HealArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// How often to heal, a second apart, until no listed host is gone
    #[arg(long, value_name = "N", default_value_t = HEAL_TRIES, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tries: u32,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct LabelsArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Set a label; may be repeated with other keys
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub(crate) set: Vec<(String, String)>,

    /// Remove a label; may be repeated
    #[arg(long, value_name = "KEY")]
    pub(crate) remove: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct WeightArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The new weight; without it the weight is shown
    #[arg(value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(WEIGHT_MAX)))]
    pub(crate) weight: Option<u32>,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct GossipArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// What to do
    #[arg(value_enum, default_value_t = GossipWord::Status)]
    pub(crate) word: GossipWord,
}

/// What to do with gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GossipWord {
    /// Say whether the member probes others
    Status,
    /// Probe nobody until it is started again
    Stop,
    /// Probe again
    Start,
    /// Probe one member now
    Tick,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Settings to show, or to change all at once, such as suspect_timeout=3s; without any, all are
    /// shown
    #[arg(value_name = "NAME[=VALUE]")]
    pub(crate) settings: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct LogLevelArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// What to log from now on, such as info,ringpop=debug; without it the present level is shown
    #[arg(value_name = "DIRECTIVES")]
    pub(crate) directives: Option<String>,
}

/// The callers that may give commands to a member.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Commands of operators")]
pub(crate) struct AdminArgs {
    /// Take commands from processes of this machine, over loopback
    #[arg(long)]
    admin_loopback: bool,

    /// Take commands from holders of a certificate with this alternative name, such as
    /// spiffe://prod/operators/*; may be repeated
    #[arg(long, value_name = "PATTERN", requires = "tls_cert")]
    admin_name: Vec<String>,

    /// Take commands from holders of a certificate of this organisation; may be repeated
    #[arg(long, value_name = "PATTERN", requires = "tls_cert")]
    admin_organization: Vec<String>,

    /// Take commands from callers who send the token in this file
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,

    /// Where to serve a page that shows the cluster, and the same as JSON, over HTTP
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) admin_http: Option<Address>,

    /// Name by which browsers may ask for that page, besides IP addresses and localhost; may be
    /// repeated
    #[arg(long, value_name = "NAME", requires = "admin_http")]
    pub(crate) admin_http_host: Vec<String>,
}

impl AdminArgs {
    pub(crate) fn access(&self) -> AdminAccess {
        let mut access = AdminAccess::read_only();
        if self.admin_loopback {
            access = access.loopback();
        }
        for pattern in &self.admin_name {
            access = access.name(pattern);
        }
        for pattern in &self.admin_organization {
            access = access.organization(pattern);
        }
        match &self.admin_token_file {
            Some(path) => access.token_file(path),
            None => access,
        }
    }
}
