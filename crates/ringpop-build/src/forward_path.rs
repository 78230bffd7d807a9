//! The name by which a package knows `ringpop-forward`.

use std::env;

use proc_macro_crate::{FoundCrate, crate_name};

/// Where the crate is unless the manifest says otherwise.
const DEFAULT: &str = "::ringpop_forward";

/// Follows the dependencies of the package whose build script runs.
pub(crate) fn of_this_package() -> String {
    println!("cargo:rerun-if-changed=Cargo.toml");
    if env::var_os("CARGO_MANIFEST_DIR").is_none() {
        return DEFAULT.to_owned();
    }
    by_name(|package| match crate_name(package) {
        Ok(FoundCrate::Name(name)) => Some(name),
        Ok(FoundCrate::Itself) => Some(package.replace('-', "_")),
        Err(_) => None,
    })
}

/// `name_of` gives the name by which a package is known, if the manifest has it.
fn by_name(name_of: impl Fn(&str) -> Option<String>) -> String {
    if let Some(name) = name_of("ringpop-forward") {
        return format!("::{name}");
    }
    match name_of("ringpop") {
        Some(name) => format!("::{name}::forward"),
        None => DEFAULT.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_way_to_the_crate_is_taken() {
        let path = |dependencies: &[(&str, &str)]| {
            by_name(|package| {
                let found = dependencies.iter().find(|(name, _)| *name == package);
                found.map(|(_, name)| (*name).to_owned())
            })
        };
        let forward = ("ringpop-forward", "ringpop_forward");
        assert_eq!(path(&[forward]), "::ringpop_forward");
        assert_eq!(path(&[("ringpop", "ringpop")]), "::ringpop::forward");
        assert_eq!(path(&[("ringpop", "ringpop"), forward]), "::ringpop_forward");
        assert_eq!(path(&[("ringpop", "sharding")]), "::sharding::forward");
        assert_eq!(path(&[("ringpop-forward", "fwd")]), "::fwd");
        assert_eq!(path(&[]), "::ringpop_forward");
    }
}
