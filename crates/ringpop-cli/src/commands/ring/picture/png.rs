//! An SVG picture as PNG.

use std::path::Path;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use crate::failure::Failure;

/// Pixels of the PNG for each of the SVG, so that text is sharp on a fine screen.
const SCALE: f32 = 2.0;

/// Renders a picture with the given font, or with those of the machine.
pub(super) fn render(svg: &str, font: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let mut options = Options::default();
    load_fonts(options.fontdb_mut(), font)?;
    let tree = Tree::from_str(svg, &options).map_err(cannot_render)?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let pixmap = size.and_then(|size| Pixmap::new(size.width(), size.height()));
    let mut pixmap = pixmap.ok_or_else(|| cannot_render("it is too large"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(cannot_render)
}

fn cannot_render(reason: impl std::fmt::Display) -> Failure {
    Failure::Failed(format!("cannot render the picture: {reason}; draw it with --svg instead"))
}

/// Makes sure that there is a sans-serif font, which is what the picture falls back to.
fn load_fonts(fonts: &mut Database, font: Option<&Path>) -> Result<(), Failure> {
    match font {
        Some(path) => fonts.load_font_file(path).map_err(|error| {
            Failure::Failed(format!("cannot read the font {}: {error}", path.display()))
        })?,
        None => fonts.load_system_fonts(),
    }
    let mut families = fonts.faces().flat_map(|face| &face.families).map(|(name, _)| name.clone());
    let first = families.next();
    let is_sans = |name: &String| name.contains("Sans") && !name.contains("Mono");
    let sans = first.clone().into_iter().chain(families).find(is_sans).or(first);
    let Some(family) = sans else {
        return Err(Failure::Failed(match font {
            Some(path) => format!("{} is not a font: give a TrueType or OpenType file", path.display()),
            None => "this machine has no font for the text of a PNG: install one, give --font, or draw with --svg".to_owned(),
        }));
    };
    fonts.set_sans_serif_family(family);
    Ok(())
}
