//! Text in a picture.

use svg::node::element::Text;

use crate::output::printable;

/// The first of these that a machine has. All are about as wide, which [`fitting`] relies on.
pub(super) const BODY_FONTS: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";
/// The colour of what matters.
pub(super) const INK: &str = "#22262b";
/// The colour of what explains.
pub(super) const GREY: &str = "#646b73";
/// The colour of what lies in the background.
pub(super) const PALE: &str = "#e3e7eb";

/// The width of an average letter of the widest of the fonts, in multiples of the size.
const LETTER_WIDTH: f64 = 0.61;

/// Text that begins at a position on its base line.
pub(super) fn label(at: (f64, f64), size: f64, text: impl Into<String>) -> Text {
    Text::new(text).set("x", round(at.0)).set("y", round(at.1)).set("font-size", size)
}

/// A name as an XML document can hold it: control characters are written out, and the two other
/// characters that XML forbids are replaced.
pub(super) fn legible(name: &str) -> String {
    printable(name).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// About how wide a name is.
pub(super) fn width_of(name: &str, size: f64) -> f64 {
    legible(name).chars().count() as f64 * size * LETTER_WIDTH
}

/// A name that fits a width: of a longer one both ends are kept, because names of one fleet often
/// differ only there.
pub(super) fn fitting(name: &str, size: f64, width: f64) -> String {
    let name = legible(name);
    let letters: Vec<char> = name.chars().collect();
    let room = ((width / (size * LETTER_WIDTH)).round() as usize).max(3);
    if letters.len() <= room {
        return name;
    }
    let (start, end) = ((room - 1).div_ceil(2), (room - 1) / 2);
    let mut short: String = letters[..start].iter().collect();
    short.push('…');
    short.extend(&letters[letters.len() - end..]);
    short
}

/// A coordinate without digits that nobody sees.
pub(super) fn round(coordinate: f64) -> f64 {
    (coordinate * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(fitting("cache-1", 10.0, 100.0), "cache-1");
        assert_eq!(fitting("checkout-7f9c4d-x2k1p", 10.0, 61.0), "check…2k1p");
        assert_eq!(fitting("a\u{1b}b\u{ffff}", 10.0, 100.0), "a\\u{1b}b\u{fffd}");
        assert_eq!(fitting("äöüäöü", 10.0, 1.0), "ä…ü");
    }
}
