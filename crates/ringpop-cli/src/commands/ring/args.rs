//! What can be typed behind `ringpop ring`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hashring::NODES_MAX;

use super::layout::LayoutArgs;
use super::limits::OWNERS_MAX;
use super::placed::PlacementName;
use crate::failure::EXIT_CODES;
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
    pub(super) command: RingCommand,
}

/// The questions to a ring.
#[derive(Debug, Subcommand)]
pub(super) enum RingCommand {
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
pub(super) struct PickArgs {
    /// JSON file of backends
    #[arg(long, value_name = "FILE")]
    pub(super) backends: Source,

    #[command(flatten)]
    pub(super) layout: LayoutArgs,

    #[command(flatten)]
    pub(super) tokens: TokenArgs,

    /// Show this many distinct owners of each token, best first: where to go on when the ones
    /// before fail
    #[arg(short = 'n', value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(OWNERS_MAX)))]
    pub(super) owners: Option<u32>,

    /// Take owners of different zones while there are any
    #[arg(long, requires = "owners")]
    pub(super) spread: bool,

    /// Write one JSON object from token to backend; this is the default where the output is not a
    /// terminal
    #[arg(long, conflicts_with = "table")]
    pub(super) json: bool,

    /// Write a table; this is the default on a terminal
    #[arg(long)]
    pub(super) table: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct TokenArgs {
    /// Tokens to look up, such as session ids
    #[arg(long = "token", value_name = "TOKEN", num_args = 1.., value_parser = parse_token)]
    pub(super) given: Vec<String>,

    /// File with one token per line; blank lines are skipped, and `-` reads standard input
    #[arg(long = "tokens", value_name = "FILE")]
    pub(super) listed: Option<Source>,
}

#[derive(Args, Debug)]
#[command(after_help = format!("{FILE_FORMAT}\n{EXIT_CODES}"))]
pub(super) struct OwnershipArgs {
    /// JSON file of backends
    #[arg(long, value_name = "FILE")]
    pub(super) backends: Source,

    #[command(flatten)]
    pub(super) layout: LayoutArgs,

    /// Draw the circle, and the expected and the actual shares, to this SVG file
    #[arg(long, value_name = "FILE", value_parser = parse_picture)]
    pub(super) svg: Option<PathBuf>,

    /// Draw the same to this PNG file; takes a command that was built with the cargo feature `png`
    #[arg(long, value_name = "FILE", value_parser = parse_picture)]
    pub(super) png: Option<PathBuf>,

    /// Font for the text in the PNG file [default: a sans-serif font of this machine]
    #[arg(long, value_name = "FILE", requires = "png")]
    pub(super) font: Option<PathBuf>,

    /// Write one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = format!("{FILE_FORMAT}\n{EXIT_CODES}"))]
pub(super) struct DiffArgs {
    /// JSON file of the backends that were
    #[arg(long, value_name = "FILE")]
    pub(super) before: Source,

    /// JSON file of the backends that will be
    #[arg(long, value_name = "FILE")]
    pub(super) after: Source,

    #[command(flatten)]
    pub(super) layout: LayoutArgs,

    /// Show every range of the circle that moves
    #[arg(long)]
    pub(super) ranges: bool,

    /// Write one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct PlanArgs {
    /// How many times its fair share the busiest backend may own, such as 1.10
    #[arg(long, value_name = "RATIO", value_parser = parse_peak)]
    pub(super) target_peak: f64,

    /// How many backends there will be
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=NODES_MAX as i64))]
    pub(super) backends: u32,

    /// Weights of the backends; a list that is shorter than the backends is used again and again
    #[arg(long, value_name = "W,...", value_delimiter = ',', default_value = "1")]
    pub(super) weights: Vec<u32>,

    /// How keys are placed on backends; several are compared
    #[arg(
        long,
        value_enum,
        value_name = "PLACEMENT,...",
        value_delimiter = ',',
        default_value = "ring"
    )]
    pub(super) placement: Vec<PlacementName>,

    /// Write one JSON object
    #[arg(long)]
    pub(super) json: bool,
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
