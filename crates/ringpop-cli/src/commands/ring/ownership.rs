//! `ringpop ring ownership`: how much of the circle each backend owns.

use std::fs;
use std::path::Path;

use super::backends::Backends;
use super::picture;
use super::placed::Numbers;
use super::report::Report;
use crate::args::OwnershipArgs;
use crate::failure::Failure;
use crate::output::Output;

pub(super) fn run(args: OwnershipArgs) -> Result<(), Failure> {
    let backends = Backends::read(&args.backends)?;
    let ring = args.layout.owned_ring(&backends)?;
    let placed = args.layout.placed(ring.clone(), &Numbers::new(&ring, &Numbers::default()))?;
    let report = match &placed {
        Some(placed) => Report::placed(&**placed, &ring, backends.left_out),
        None => Report::new(&ring, backends.left_out),
    };
    if args.svg.is_some() || args.png.is_some() {
        let svg = picture::draw(placed.is_none().then_some(&ring), &report)?;
        if let Some(path) = &args.png {
            write(path, picture::png(&svg, args.font.as_deref())?)?;
        }
        if let Some(path) = &args.svg {
            write(path, svg)?;
        }
    }
    Output::new(args.json).emit(&report);
    Ok(())
}

fn write(path: &Path, picture: impl AsRef<[u8]>) -> Result<(), Failure> {
    fs::write(path, picture).map_err(|error| {
        Failure::Failed(format!("cannot write the picture {}: {error}", path.display()))
    })
}
