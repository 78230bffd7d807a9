//! What can be typed.

mod cert;
mod cluster;
mod grammar;
mod operate;
mod ring;
mod settings;

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use ringpop::PlacementChoice;
use ringpop::discovery::url::RegistrationUrl;
use ringpop::discovery::{Address, DiscoveryUrl, StaticList};
use ringpop::limits::WEIGHT_MAX;
use ringpop::swim::Config;

pub(crate) use self::cert::{AUTHORITY, CertArgs};
pub(crate) use self::cluster::{
    AgreedArgs, ClusterArgs, CountArgs, Counted, DiffArgs, DumpArgs, LookupArgs, PingArgs,
    RangesArgs, StatusArgs, TopArgs, WaitArgs, WatchArgs,
};
pub(crate) use self::grammar::{CompletionsArgs, ManArgs};
pub(crate) use self::operate::{
    AdminArgs, ConfigArgs, DrainArgs, EventsArgs, EvictArgs, GossipArgs, GossipWord, HealArgs,
    LabelsArgs, LogLevelArgs, MemberStatus, MembersArgs, ReapArgs, StatsArgs, Target, TargetArgs,
    WeightArgs,
};
pub(crate) use self::ring::{
    DiffArgs as RingDiffArgs, LayoutArgs, OwnershipArgs, PickArgs, PlacementName, PlanArgs,
    RingArgs, RingCommand, SchemeName, TokenArgs,
};
pub(crate) use self::settings::Settings;
use self::settings::{Complete, SettingsError};
use crate::duration::{parse_duration, parse_wait};
use crate::failure::{EXIT_CODES, Failure};
use crate::limits::{
    ALONE_AFTER, ARGUMENT_CHARS_SHOWN, ATTEMPT_TIMEOUT, DEV_LOAD_RATE_MAX, DEV_NODES_MAX,
    EXPECT_WITHIN, EXPECTED_MAX, JOIN_TIMEOUT, KEY_BYTES_MAX, LAME_DUCK, LAME_DUCK_MAX,
};
use crate::server_limits::LimitArgs;
use crate::tls::TlsArgs;

#[derive(Debug, Parser)]
#[command(name = "ringpop", version, about = "Workers that share keys", after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What stands below the options of `node`.
const NODE_HELP: &str = "\
Each option may also be a variable of the environment, as RINGPOP_LAME_DUCK is --lame-duck, and a
key of the file of --config. The command line is stronger than the environment, and that is
stronger than the file.

Exit codes: see `ringpop --help`";

/// The words of the command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one member that serves the key-value demonstration
    Node(Box<NodeArgs>),
    /// Start a cluster of several members on this machine
    Dev(DevArgs),
    /// Show a running member, how it sees the cluster, and whether the others see it alike
    Status(StatusArgs),
    /// Show which members own a key, or keys of a file
    Lookup(LookupArgs),
    /// Show the checksums of all members
    Checksums(ClusterArgs),
    /// Show the groups of members that have one view
    Partitions(ClusterArgs),
    /// Count members, hosts and partitions
    Count(CountArgs),
    /// Show how much of the keys each member owns
    Ownership(AgreedArgs),
    /// Show points of several members at one place of the ring
    Collisions(AgreedArgs),
    /// Show what would move if members left, joined or had other weights
    Ranges(RangesArgs),
    /// Write what each member says to a file
    Dump(DumpArgs),
    /// Show what changed between two files of `dump`
    Diff(DiffArgs),
    /// Wait until a member is ready, sees so many others, or all members agree
    Wait(WaitArgs),
    /// Measure how fast each member answers
    Ping(PingArgs),
    /// Show all members and what they do, live
    Top(TopArgs),
    /// Show the members as one of them sees them, each with since when and by whom
    Members(MembersArgs),
    /// Show what a member counts
    Stats(StatsArgs),
    /// Show events of a member as they happen
    Events(EventsArgs),
    /// Show the members that a member forwards to, and whether it reaches them
    Destinations(ClusterArgs),
    /// Have a member leave the ring; it serves on, and comes back by `join`
    Leave(TargetArgs),
    /// Have a member come back after `leave`
    Join(TargetArgs),
    /// Keep a member off the ring for a time, or let it back
    Evict(EvictArgs),
    /// Take a member off the ring while it serves on, or put it back
    Drain(DrainArgs),
    /// Have the cluster forget members that are gone
    Reap(ReapArgs),
    /// Have a member look for other partitions and merge with them
    Heal(HealArgs),
    /// Show or change the labels of a member
    Labels(LabelsArgs),
    /// Show or change the weight of a member
    Weight(WeightArgs),
    /// Stop or start the probes of a member, or have it probe one member now
    Gossip(GossipArgs),
    /// Show or change settings of the membership protocol of a member
    Config(ConfigArgs),
    /// Show or change what a member writes to its log
    LogLevel(LogLevelArgs),
    /// Lay out a ring from a file of backends and ask it: no member needs to run
    Ring(RingArgs),
    /// Make an authority and a certificate, to try a cluster with encrypted connections
    Cert(CertArgs),
    /// Write the completions of this command for a shell
    Completions(CompletionsArgs),
    /// Write manual pages
    Man(ManArgs),
}

#[derive(Args, Debug)]
#[command(after_help = NODE_HELP)]
pub(crate) struct NodeArgs {
    /// Where to serve gRPC: gossip, forwarded requests, admin and the key-value service
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Address,

    #[command(flatten)]
    pub(crate) source: Source,

    /// Register this member, as in consul:SERVICE: a check there follows its readiness, and its
    /// stop ends the registration
    #[arg(long, value_name = "URL")]
    pub(crate) register: Option<RegistrationUrl>,

    /// Address that other members reach this one at [default: the one of --listen]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<Address>,

    /// Where to serve PUT, GET and DELETE of /kv/{key} over HTTP, /ready for load balancers
    /// and /metrics for Prometheus
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http: Option<Address>,

    /// Name of the application: members of different applications refuse each other
    #[arg(long, value_name = "NAME", default_value = "ringpop-demo")]
    pub(crate) app: String,

    /// Stable name that places the member on the ring [default: its address]
    #[arg(long, value_name = "NAME")]
    pub(crate) identity: Option<String>,

    /// Label that other members see, such as zone=a; may be repeated with other keys
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub(crate) labels: Vec<(String, String)>,

    /// Share of the ring relative to members of weight 1; 0 owns no keys
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(WEIGHT_MAX)))]
    pub(crate) weight: Option<u32>,

    /// How keys are placed on members: rendezvous, ring:POINTS, local-rendezvous:POINTS or ringpop;
    /// all use the one that most ask for
    #[arg(long, value_name = "PLACEMENT", default_value_t)]
    pub(crate) placement: PlacementChoice,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    /// Timings of the membership protocol
    #[arg(long, value_enum, default_value_t = Preset::Lan)]
    pub(crate) preset: Preset,

    /// How long to look for peers before giving up
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, default_value = JOIN_TIMEOUT, value_parser = parse_duration)]
    pub(crate) join_timeout: Duration,

    /// How long one attempt at an owner may take
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, default_value = ATTEMPT_TIMEOUT, value_parser = parse_duration)]
    pub(crate) attempt_timeout: Duration,

    /// After how long without an answer a read asks the next owner too [default: never]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_duration)]
    pub(crate) hedge_after: Option<Duration>,

    /// How long to wait for peers that are not listed yet before starting as a cluster of its own;
    /// --peers that name only this member are not waited for
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, default_value = ALONE_AFTER, value_parser = parse_wait)]
    pub(crate) alone_after: Duration,

    /// Be ready only when so many members are there, this one included, or the time of
    /// --expect-within is over
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(EXPECTED_MAX)))]
    pub(crate) expect: Option<u32>,

    /// How long to wait for the members of --expect
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, default_value = EXPECT_WITHIN, value_parser = parse_duration)]
    pub(crate) expect_within: Duration,

    /// How long to serve everything after the stop has begun, for clients to go elsewhere in time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, default_value = LAME_DUCK, value_parser = parse_lame_duck)]
    pub(crate) lame_duck: Duration,

    /// Measure how long news takes: in the whole cluster one member after the other sends a beacon,
    /// one in this time [default: none are sent]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_duration)]
    pub(crate) beacons: Option<Duration>,

    /// Count the keys of one call in so many that this member handles, for `top` and the page to
    /// show the most frequent ones to those who may give commands [default: none]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) hot_keys: Option<NonZeroU32>,

    /// Log what happens on standard error (RUST_LOG overrides it)
    #[arg(long, short)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    #[command(flatten)]
    pub(crate) admin: AdminArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// File with settings in TOML: its keys are the options of this command without their dashes,
    /// such as `lame-duck = "2s"` [env: RINGPOP_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Show the settings that count and where each comes from, check them, and end
    #[arg(long)]
    pub(crate) check: bool,

    #[arg(skip)]
    pub(crate) settings: Settings,

    /// Take faults from standard input, a line each, for `dev`
    #[arg(long, hide = true, requires = "exit_with_stdin")]
    pub(crate) faults: bool,

    /// Stop when standard input ends, which is how a member notices that the process that started
    /// it is gone
    #[arg(long, hide = true)]
    pub(crate) exit_with_stdin: bool,
}

/// Where the peers of a member come from: one of these, or the environment.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct Source {
    /// Where peers come from: dns:NAME:PORT, file:PATH, static:HOST:PORT,..., srv:NAME,
    /// k8s:NAMESPACE/SERVICE:PORT or consul:SERVICE; repeated, all of them [env: RINGPOP_DISCOVERY,
    /// separated by blanks]
    #[arg(long, value_name = "URL")]
    pub(crate) discovery: Vec<DiscoveryUrl>,

    /// Peers to join; the member's own address may be among them
    #[arg(long, value_name = "HOST:PORT,...", value_parser = StaticList::parse)]
    pub(crate) peers: Option<StaticList>,

    /// JSON file with the peers to join: an array of "host:port"
    #[arg(long, value_name = "FILE")]
    pub(crate) hosts: Option<PathBuf>,
}

/// What every long run has.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Write one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,

    /// Stop gracefully after this time, such as 30s
    #[arg(long = "for", value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DevArgs {
    /// How many members to start [default: 5, or those of the script]
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(DEV_NODES_MAX)))]
    pub(crate) nodes: Option<u16>,

    /// Member i serves gRPC on this port plus i, and HTTP 1000 ports above that
    #[arg(long, value_name = "PORT", default_value_t = 7100,
          allow_negative_numbers = true,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) base_port: u16,

    /// Do what a script says, and fail when it does not come out as it expects: a file, or one of
    /// kill-one, partition-and-heal, rolling-restart, scale-out and suspend-revive
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<String>,

    /// Send so many requests a second from the start on
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(DEV_LOAD_RATE_MAX)))]
    pub(crate) load: u32,

    /// How keys are placed on members: rendezvous, ring:POINTS, local-rendezvous:POINTS or ringpop
    #[arg(long, value_name = "PLACEMENT", default_value_t)]
    pub(crate) placement: PlacementChoice,

    /// Open the dashboard in a browser
    #[arg(long)]
    pub(crate) open: bool,

    /// Port of the dashboard, on loopback; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) dashboard_port: u16,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Timings of the membership protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// Processes on one machine
    Local,
    /// Members in one data centre
    Lan,
    /// Members that are far apart
    Wan,
    /// The timings of ringpop-go
    Ringpop,
}

impl Preset {
    pub(crate) const fn config(self) -> Config {
        match self {
            Self::Local => Config::local(),
            Self::Lan => Config::lan(),
            Self::Wan => Config::wan(),
            Self::Ringpop => Config::ringpop(),
        }
    }
}

/// Reads the command line and, for `node`, what stands below it. Complaints, and the text of
/// `--help`, are already written when an exit code is returned.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    let line: Vec<OsString> = std::env::args_os().collect();
    let complain = |error: &clap::Error, origin: Option<String>| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader may go away, as `head` does.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => Failure::Usage(one_line(error, origin.as_deref())).report(),
    };
    match settings::complete(&line, |name| std::env::var_os(name)) {
        Ok(None) => parse_from(line).map_err(|error| complain(&error, None)),
        Ok(Some(Complete { cli, settings })) => {
            let mut command = cli.command;
            if let Command::Node(args) = &mut command {
                args.settings = settings;
            }
            Ok(command)
        }
        Err(SettingsError::Line(error, origin)) => Err(complain(&error, origin)),
        Err(SettingsError::Source(failure)) => Err(failure.report()),
    }
}

pub(crate) fn parse_from(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    Cli::try_parse_from(args).map(|cli| cli.command)
}

/// All words with their options, for completions, manual pages and tests.
pub(crate) fn grammar() -> clap::Command {
    Cli::command()
}

/// The message of the parser in one line, without the usage that it appends: who reads logs has one
/// line, and who sits at a terminal has `--help`.
fn one_line(error: &clap::Error, origin: Option<&str>) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command is given: try `ringpop --help`".to_owned();
    }
    let text = error.render().to_string();
    let paragraphs = text
        .trim_start_matches("error: ")
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().map(shortened).collect::<Vec<_>>().join(" "))
        .take_while(|paragraph| {
            !paragraph.starts_with("Usage:") && !paragraph.starts_with("For more")
        })
        .collect::<Vec<_>>();
    let mut message = paragraphs.join("; ");
    if message.contains("'--peers <HOST:PORT,...>' cannot be used multiple times") {
        message.push_str("; give all peers in one list, with commas between them");
    }
    match origin {
        Some(origin) => format!("{message}; {origin}"),
        None => format!("{message}; try `--help`"),
    }
}

/// A word of a message, without the middle of one that would drown the rest.
fn shortened(word: &str) -> String {
    let count = word.chars().count();
    if count <= ARGUMENT_CHARS_SHOWN {
        return word.to_owned();
    }
    let half = ARGUMENT_CHARS_SHOWN / 2;
    let (begin, end) = (word.chars().take(half), word.chars().skip(count - half));
    begin.chain(['…']).chain(end).collect()
}

fn parse_lame_duck(text: &str) -> Result<Duration, String> {
    let time = parse_wait(text)?;
    if time > LAME_DUCK_MAX {
        return Err(format!("at most {} s are allowed", LAME_DUCK_MAX.as_secs()));
    }
    Ok(time)
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if [key, value].iter().any(|text| text.trim().len() < text.len()) => {
            Err("write a label as key=value, without blanks around either".to_owned())
        }
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write a label as key=value".to_owned()),
    }
}

fn parse_key(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("the key is empty: give at least one character".to_owned()),
        1..=KEY_BYTES_MAX => Ok(text.to_owned()),
        bytes => Err(format!("the key has {bytes} bytes, at most {KEY_BYTES_MAX} are allowed")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse_line(line: &str) -> Result<Command, clap::Error> {
        parse_from(line.split(' ').map(OsString::from))
    }

    fn message(line: &str) -> String {
        one_line(&parse_line(line).unwrap_err(), None)
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_node_takes_its_peers_from_one_place() {
        let both = message("ringpop node --listen a:1 --peers b:1 --hosts f");
        assert!(both.contains("cannot be used with"), "{both}");
        let both = message("ringpop node --listen a:1 --peers b:1 --discovery static:b:1");
        assert!(both.contains("cannot be used with"), "{both}");
        let Ok(Command::Node(args)) = parse_line(
            "ringpop node --listen a:1 --discovery static:b:1 --discovery file:/hosts.json",
        ) else {
            panic!("the line is complete");
        };
        assert_eq!(args.source.discovery.len(), 2);
        // The environment is looked at when no option is given.
        assert!(parse_line("ringpop node --listen a:1").is_ok());
        let wrong = message("ringpop node --listen a:1 --discovery dns:workers");
        assert!(wrong.contains("write it as in dns:workers.internal:7100"), "{wrong}");
    }

    #[test]
    fn a_node_registers_only_where_it_can() {
        let line = |url: &str| format!("ringpop node --listen a:1 --peers b:1 --register {url}");
        let wrong = message(&line("dns:workers.internal:7100"));
        assert!(wrong.contains("use consul, as in consul:workers"), "{wrong}");
        if cfg!(feature = "consul") {
            assert!(parse_line(&line("consul:workers?tag=blue&id=w-0")).is_ok());
            let wrong = message(&line("consul:workers?dc=eu"));
            assert!(wrong.contains("parameter \"dc\""), "{wrong}");
        } else {
            let wrong = message(&line("consul:workers"));
            assert!(wrong.contains("build it with feature `consul`"), "{wrong}");
        }
    }

    #[test]
    fn errors_are_one_line_and_say_what_to_do() {
        for line in [
            "ringpop",
            "ringpop nodes",
            "ringpop node --lisen a:1 --peers b:1",
            "ringpop node --listen a --peers b:1",
            "ringpop node --listen a:1 --peers b:1,,c:1",
            "ringpop node --listen a:1 --peers b:1 --label zone",
            "ringpop node --listen a:1 --peers b:1 --for 30",
            "ringpop node --listen a:1 --peers b:1 --for 0s",
            "ringpop dev --nodes 0",
            "ringpop dev --nodes 65",
            "ringpop lookup a:1 k -n 0",
        ] {
            let message = message(line);
            assert!(!message.contains('\n'), "{line}: {message}");
            assert!(!message.contains("Usage"), "{line}: {message}");
            assert!(message.contains("try `"), "{line}: {message}");
        }
        let unknown = message("ringpop node --lisen a:1 --peers b:1");
        assert_eq!(
            unknown,
            "unexpected argument '--lisen' found; tip: a similar argument exists: '--listen'; try `--help`"
        );
    }

    #[test]
    fn the_times_of_attempts_can_be_set() {
        let times = |options: &str| {
            let line = format!("ringpop node --listen a:1 --peers b:1{options}");
            let Ok(Command::Node(args)) = parse_line(&line) else {
                panic!("the line is complete");
            };
            (args.attempt_timeout, args.hedge_after)
        };
        assert_eq!(times(""), (Duration::from_secs(3), None));
        let set = times(" --attempt-timeout 500ms --hedge-after 20ms");
        assert_eq!(set, (Duration::from_millis(500), Some(Duration::from_millis(20))));
    }

    #[test]
    fn labels_keep_what_follows_the_first_sign() {
        let Ok(Command::Node(args)) =
            parse_line("ringpop node --listen a:1 --peers b:1 --label a=b=c --label d=")
        else {
            panic!("the line is complete");
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(args.labels, [pair("a", "b=c"), pair("d", "")]);
    }
}
