//! What can be typed behind `ringpop ring`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use hashring::NODES_MAX;

use crate::failure::EXIT_CODES;
use crate::limits::LOOKUP_OWNERS_MAX;
use crate::source::Source;

const FILE_FORMAT: &str = "\
A file of backends is a JSON array; all but the id may be left out:
  [{\"id\": \"cache-1\", \"weight\": 1, \"healthy\": true, \"zone\": \"a\"}]
Backends that are not healthy are left out of the ring. `-` reads standard input.
";

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RingArgs {
    #[command(subcommand)]
    pub(crate) command: RingCommand,
}

/// The questions to a ring.
#[derive(Debug, Subcommand)]
pub(crate) enum RingCommand {
    /// Show which backends own tokens
    Pick(PickArgs),
    /// Show how much of the circle each backend owns, as a table and as a picture
    Ownership(OwnershipArgs),
    /// Show what moves when one list of backends replaces another
    Diff(DiffArgs),
    /// Show what it takes to keep the busiest backend below a peak
    Plan(PlanArgs),
}

#[derive(Args, Debug)]
#[command(after_help = format!("{FILE_FORMAT}\n{EXIT_CODES}"))]
pub(crate) struct PickArgs {
    /// JSON file of backends
    #[arg(long, value_name = "FILE")]
    pub(crate) backends: Source,

    #[command(flatten)]
    pub(crate) layout: LayoutArgs,

    #[command(flatten)]
    pub(crate) tokens: TokenArgs,

    /// Show this many distinct owners of each token, best first: where to go on when the ones
    /// before fail
    #[arg(short = 'n', value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(LOOKUP_OWNERS_MAX)))]
    pub(crate) owners: Option<u32>,

    /// Take owners of different zones while there are any
    #[arg(long, requires = "owners")]
    pub(crate) spread: bool,

    /// Write one JSON object from token to backend; this is the default where the output is not a
    /// terminal
    #[arg(long, conflicts_with = "table")]
    pub(crate) json: bool,

    /// Write a table; this is the default on a terminal
    #[arg(long)]
    pub(crate) table: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct TokenArgs {
    /// Tokens to look up, such as session ids
    #[arg(long = "token", value_name = "TOKEN", num_args = 1.., value_parser = parse_token)]
    pub(crate) given: Vec<String>,

    /// File with one token per line; blank lines are skipped, and `-` reads standard input
    #[arg(long = "tokens", value_name = "FILE")]
    pub(crate) listed: Option<Source>,
}

#[derive(Args, Debug)]
#[command(after_help = format!("{FILE_FORMAT}\n{EXIT_CODES}"))]
pub(crate) struct OwnershipArgs {
    /// JSON file of backends
    #[arg(long, value_name = "FILE")]
    pub(crate) backends: Source,

    #[command(flatten)]
    pub(crate) layout: LayoutArgs,

    /// Draw the circle, and the expected and the actual shares, to this SVG file
    #[arg(long, value_name = "FILE", value_parser = parse_picture)]
    pub(crate) svg: Option<PathBuf>,

    /// Draw the same to this PNG file; takes a command that was built with the cargo feature `png`
    #[arg(long, value_name = "FILE", value_parser = parse_picture)]
    pub(crate) png: Option<PathBuf>,

    /// Font for the text in the PNG file [default: a sans-serif font of this machine]
    #[arg(long, value_name = "FILE", requires = "png")]
    pub(crate) font: Option<PathBuf>,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = format!("{FILE_FORMAT}\n{EXIT_CODES}"))]
pub(crate) struct DiffArgs {
    /// JSON file of the backends that were
    #[arg(long, value_name = "FILE")]
    pub(crate) before: Source,

    /// JSON file of the backends that will be
    #[arg(long, value_name = "FILE")]
    pub(crate) after: Source,

    #[command(flatten)]
    pub(crate) layout: LayoutArgs,

    /// Show every range of the circle that moves
    #[arg(long)]
    pub(crate) ranges: bool,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct PlanArgs {
    /// How many times its fair share the busiest backend may own, such as 1.10
    #[arg(long, value_name = "RATIO", value_parser = parse_peak)]
    pub(crate) target_peak: f64,

    /// How many backends there will be
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=NODES_MAX as i64))]
    pub(crate) backends: u32,

    /// Weights of the backends; a list that is shorter than the backends is used again and again
    #[arg(long, value_name = "W,...", value_delimiter = ',', default_value = "1")]
    pub(crate) weights: Vec<u32>,

    /// How keys are placed on backends; several are compared
    #[arg(
        long,
        value_enum,
        value_name = "PLACEMENT,...",
        value_delimiter = ',',
        default_value = "ring"
    )]
    pub(crate) placement: Vec<PlacementName>,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct LayoutArgs {
    /// How keys are placed on backends; all but the first two have neither a scheme nor points
    #[arg(long, value_enum, default_value_t)]
    pub(crate) placement: PlacementName,

    /// Hash and names of the points
    #[arg(long, value_enum, default_value_t = SchemeName::Xxh3)]
    pub(crate) scheme: SchemeName,

    /// Points per weight unit, for the schemes that do not decide themselves [default: 100]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) points: Option<u32>,

    /// Fewest points of a ring of scheme envoy [default: 1024]
    #[arg(long, value_name = "POINTS", requires = "max_ring_size")]
    pub(crate) min_ring_size: Option<u32>,

    /// Most points of a ring of scheme envoy [default: 8388608, as Envoy; gRPC takes 4096]
    #[arg(long, value_name = "POINTS", requires = "min_ring_size")]
    pub(crate) max_ring_size: Option<u32>,
}

/// The schemes by the names that they have in the ring library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemeName {
    /// XXH3-64 on a circle of 64 bits: the one to take where nobody else has to agree
    Xxh3,
    /// CRC-32 on a circle of 32 bits, as Java rings of a `TreeMap` have it; shares are uneven
    Crc32,
    /// FarmHash Fingerprint32 on a circle of 32 bits, as ringpop-go and ringpop-node have it
    Ringpop,
    /// XXH64, as `ring_hash` of Envoy and gRPC has it
    Envoy,
    /// MD5 on a circle of 32 bits, as memcached clients with libketama have it
    Ketama,
}

/// The placements by the names that they have in the ring library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlacementName {
    /// A backend owns the keys before its points on a circle
    #[default]
    Ring,
    /// The best of the points near a key on such a circle: evener with the same points
    LocalRendezvous,
    /// The best of all backends: exactly by weight, in time that grows with their number
    Rendezvous,
    /// A table that all backends fill in turns: one read, and some keys move needlessly
    Maglev,
    /// Numbered backends, computed without a table
    Jump,
    /// Numbered backends whose points are chosen for even shares
    SpreadMinimizing,
}

impl PlacementName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::LocalRendezvous => "local-rendezvous",
            Self::Rendezvous => "rendezvous",
            Self::Maglev => "maglev",
            Self::Jump => "jump",
            Self::SpreadMinimizing => "spread-minimizing",
        }
    }
}

fn parse_token(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("the token is blank: give at least one character".to_owned());
    }
    Ok(text.to_owned())
}

fn parse_picture(text: &str) -> Result<PathBuf, String> {
    match text {
        "" | "-" => Err("a picture goes to a file: give it a name".to_owned()),
        name => Ok(PathBuf::from(name)),
    }
}

fn parse_peak(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(peak) if peak.is_finite() && peak > 1.0 => Ok(peak),
        _ => Err("a peak is a number above 1, such as 1.10".to_owned()),
    }
}
