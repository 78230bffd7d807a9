//! Colours of backends.
//!
//! The nine hues are the "muted" scheme of Paul Tol (SRON technical note 09-002, 2021), which keeps
//! its differences for people with any of the usual deficiencies of colour vision. Nine more are
//! the same mixed with white, which differ in lightness. Beyond those, colours repeat: the number
//! of a backend tells it apart.

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour([u8; 3]);

const HUES: [Colour; 9] = [
    Colour([0x33, 0x22, 0x88]),
    Colour([0xdd, 0xcc, 0x77]),
    Colour([0x11, 0x77, 0x33]),
    Colour([0xcc, 0x66, 0x77]),
    Colour([0x88, 0xcc, 0xee]),
    Colour([0x88, 0x22, 0x55]),
    Colour([0x44, 0xaa, 0x99]),
    Colour([0x99, 0x99, 0x33]),
    Colour([0xaa, 0x44, 0x99]),
];

/// How much white the second nine have.
const WHITE: f64 = 0.42;

/// The colour of the backend at an index.
pub(super) fn of(backend: usize) -> Colour {
    let hue = HUES[backend % HUES.len()];
    if (backend / HUES.len()).is_multiple_of(2) { hue } else { hue.mixed_with_white() }
}

impl Colour {
    fn mixed_with_white(self) -> Self {
        Self(self.0.map(|part| (f64::from(part) + (255.0 - f64::from(part)) * WHITE).round() as u8))
    }

    pub(super) fn hex(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// The colour of text upon this one: white or ink, whichever has the higher contrast by WCAG
    /// 2.1.
    pub(super) fn text(self) -> &'static str {
        // Contrast with white is 1.05 / (l + 0.05) and with black (l + 0.05) / 0.05; they are equal
        // at 0.179.
        if self.luminance() > 0.179 { super::INK } else { "#ffffff" }
    }

    /// The relative luminance of WCAG 2.1.
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

#[cfg(test)]
mod tests {
    use super::{HUES, of};

    #[test]
    fn the_first_colours_differ_and_so_do_neighbours() {
        let first: std::collections::BTreeSet<_> =
            (0..HUES.len() * 2).map(|i| of(i).hex()).collect();
        assert_eq!(first.len(), HUES.len() * 2);
        assert!((0..100).all(|backend| of(backend) != of(backend + 1)));
    }

    #[test]
    fn text_is_readable_on_every_colour() {
        assert_eq!(of(0).text(), "#ffffff");
        assert_eq!(of(1).text(), super::super::INK);
    }
}
