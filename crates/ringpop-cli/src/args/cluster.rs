//! The words that ask all members of a cluster, found from one of them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ringpop::discovery::Address;
use ringpop::limits::WEIGHT_MAX;

use super::{Target, parse_duration, parse_key};
use crate::failure::EXIT_CODES;
use crate::limits::{EXPECTED_MAX, LOOKUP_OWNERS_MAX, PINGS_MAX, WAIT_TIMEOUT, WATCH_PERIOD};

/// Asks again and again.
#[derive(Args, Debug, Default)]
pub(crate) struct WatchArgs {
    /// Ask again and again, until a signal comes or nobody reads
    #[arg(long, value_name = "PERIOD", num_args = 0..=1, require_equals = true,
          default_missing_value = WATCH_PERIOD, value_parser = parse_duration)]
    pub(crate) watch: Option<Duration>,
}

/// A command that asks all members.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

/// A command whose answer is that of the whole cluster only when all members have one view.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct AgreedArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) any_view: AnyView,

    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

/// What to do when members have different views.
#[derive(Args, Debug)]
pub(crate) struct AnyView {
    /// Answer by the view of the member that is asked, also when others have another one
    #[arg(long)]
    pub(crate) any_view: bool,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Ask this member only, and not all the others for their views
    #[arg(long)]
    pub(crate) local: bool,

    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct LookupArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The key
    #[arg(value_name = "KEY", value_parser = parse_key, required_unless_present = "keys",
          conflicts_with = "keys")]
    pub(crate) key: Option<String>,

    /// File with a key on each line, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,

    /// How many distinct owners to show, best first
    #[arg(short = 'n', value_name = "N", default_value_t = 1,
          allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(LOOKUP_OWNERS_MAX)))]
    pub(crate) owners: u32,

    /// Show all members in the order in which requests for the key try them
    #[arg(long, conflicts_with = "owners", conflicts_with = "keys")]
    pub(crate) walk: bool,

    #[command(flatten)]
    pub(crate) any_view: AnyView,

    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CountArgs {
    #[command(flatten)]
    pub(crate) agreed: AgreedArgs,

    /// Write only this number
    #[arg(value_enum)]
    pub(crate) what: Option<Counted>,
}

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Counted {
    /// Members that are alive or suspect
    Members,
    /// Hosts that these members run on
    Hosts,
    /// Groups of members that have one view
    Partitions,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RangesArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// As if this member left; may be repeated
    #[arg(long, value_name = "MEMBER")]
    pub(crate) without: Vec<Address>,

    /// As if a member of this address and identity joined; may be repeated
    #[arg(long, value_name = "MEMBER[=WEIGHT]", value_parser = parse_weighted)]
    pub(crate) with: Vec<(Address, u32)>,

    /// As if a member had another weight; may be repeated
    #[arg(long, value_name = "MEMBER=WEIGHT", value_parser = parse_weighted)]
    pub(crate) weight: Vec<(Address, u32)>,

    /// Show each range of the circle too; only a ring has them
    #[arg(long)]
    pub(crate) ranges: bool,

    #[command(flatten)]
    pub(crate) any_view: AnyView,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Where to write what each member says, `-` for standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DiffArgs {
    /// The earlier file of `ringpop dump`
    #[arg(value_name = "BEFORE")]
    pub(crate) before: PathBuf,

    /// The later one
    #[arg(value_name = "AFTER")]
    pub(crate) after: PathBuf,

    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Until this member is ready
    #[arg(long)]
    pub(crate) ready: bool,

    /// Until all members that answer have one view and ring, and none of them is suspect
    #[arg(long)]
    pub(crate) converged: bool,

    /// Until this member sees so many that are alive
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(EXPECTED_MAX)))]
    pub(crate) members: Option<u32>,

    /// How long to wait
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true,
          default_value = WAIT_TIMEOUT, value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// How many questions to ask each member, one after the other
    #[arg(short = 'n', value_name = "N", default_value_t = 3, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(PINGS_MAX)))]
    pub(crate) count: u32,

    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) target: Target,

    /// How often to ask at first
    #[arg(long, value_name = "PERIOD", default_value = WATCH_PERIOD, value_parser = parse_duration)]
    pub(crate) period: Duration,
}

/// A member and a weight; without one it is 1.
fn parse_weighted(text: &str) -> Result<(Address, u32), String> {
    let (address, weight) = text.split_once('=').unwrap_or((text, "1"));
    let address = address.parse().map_err(|error| format!("{error}"))?;
    match weight.parse() {
        Ok(weight) if weight <= WEIGHT_MAX => Ok((address, weight)),
        _ => Err(format!("the weight is {weight:?}, it must be from 0 to {WEIGHT_MAX}")),
    }
}
