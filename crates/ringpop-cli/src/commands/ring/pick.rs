//! `ringpop ring pick`: which backends own tokens.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use hashring::Node;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::backends::{BackendRing, Backends};
use super::limits::TOKENS_BYTES_MAX;
use super::placed::Numbers;
use crate::args::{PickArgs, TokenArgs};
use crate::failure::Failure;
use crate::output::{Output, columns, printable};
use crate::source::check_stdin_is_read_once;

pub(super) fn run(args: PickArgs) -> Result<(), Failure> {
    if let Some(listed) = &args.tokens.listed {
        check_stdin_is_read_once(&args.backends, listed)?;
    }
    let ring = args.layout.owned_ring(&Backends::read(&args.backends)?)?;
    let placed = args.layout.placed(ring.clone(), &Numbers::new(&ring, &Numbers::default()))?;
    let tokens = read_tokens(args.tokens)?;
    let wanted = args.owners.unwrap_or(1) as usize;
    let picks = tokens.into_iter().map(|token| {
        let owners = match &placed {
            Some(placed) => placed.owners(&token, wanted, args.spread),
            None => owners(&ring, &token, wanted, args.spread),
        };
        (token, owners)
    });
    let picks = Picks { picks: picks.collect(), several: args.owners.is_some() };
    let json = args.json || !args.table && !io::stdout().is_terminal();
    Output::new(json).emit(&picks);
    Ok(())
}

/// The tokens in their order, each once.
fn read_tokens(args: TokenArgs) -> Result<Vec<String>, Failure> {
    let mut tokens = args.given;
    if let Some(source) = args.listed {
        let text = source.read("tokens", TOKENS_BYTES_MAX)?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        tokens.extend(lines.map(str::to_owned));
        if tokens.is_empty() {
            return Err(Failure::Failed(format!(
                "cannot use the tokens from {source}: there are none; write one per line"
            )));
        }
    }
    let mut seen = HashSet::new();
    tokens.retain(|token| seen.insert(token.clone()));
    Ok(tokens)
}

/// Best first.
fn owners(ring: &BackendRing, token: &str, wanted: usize, spread: bool) -> Vec<String> {
    let mut owners: Vec<&Arc<Node<Option<String>>>> = Vec::new();
    if spread {
        ring.owners_spread(token.as_bytes(), wanted, Node::data, &mut owners);
    } else {
        ring.lookup_n(token.as_bytes(), wanted, &mut owners);
    }
    owners.into_iter().map(|owner| owner.id().to_owned()).collect()
}

/// Tokens with their owners.
struct Picks {
    picks: Vec<(String, Vec<String>)>,
    /// Whether a number of owners was asked for; then each token has a list, also of one.
    several: bool,
}

/// An object from token to backend, or to a list of backends.
impl Serialize for Picks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.picks.len()))?;
        for (token, owners) in &self.picks {
            match owners.as_slice() {
                [owner] if !self.several => map.serialize_entry(token, owner)?,
                owners => map.serialize_entry(token, owners)?,
            }
        }
        map.end()
    }
}

impl fmt::Display for Picks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![[
            "TOKEN".to_owned(),
            if self.several { "BACKENDS" } else { "BACKEND" }.to_owned(),
        ]];
        rows.extend(self.picks.iter().map(|(token, owners)| {
            let owners: Vec<_> = owners.iter().map(|owner| printable(owner)).collect();
            [printable(token), owners.join("  ")]
        }));
        f.write_str(columns(&rows).trim_end())
    }
}
