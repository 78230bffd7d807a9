//! Where tonic's settings want the descriptor set.

use std::path::PathBuf;

use tonic_prost_build::Builder;

/// The path of `Builder::file_descriptor_set_path`, which tonic hands to `protoc` and no further: a
/// builder that compiles descriptors ignores it in silence. There is no way to ask for it but to
/// look at how the builder is shown.
pub(crate) fn path_in(tonic: &Builder) -> Option<PathBuf> {
    let shown = format!("{tonic:?}");
    let (_, rest) = shown.split_once("file_descriptor_set_path: Some(\"")?;
    let mut path = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(path.into()),
            // Quotes and the separators of Windows. Anything else that is escaped is no path that
            // anybody writes.
            '\\' => path.push(characters.next()?),
            character => path.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_found_if_it_is_set() {
        assert_eq!(path_in(&tonic_prost_build::configure()), None);
        for path in ["set.bin", "/a b/\"set\".bin", r"C:\out\set.bin", "ä/set.bin"] {
            let tonic = tonic_prost_build::configure().file_descriptor_set_path(path);
            assert_eq!(path_in(&tonic), Some(path.into()));
        }
    }
}
