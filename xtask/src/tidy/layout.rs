//! Where files are, how long they are, and how bounds are named.

use super::File;

/// Lines of a file that a reader still takes in; long tests move to a file of their own.
const LINES_MAX: usize = 600;

/// Columns of a comment.
const COLUMNS_MAX: usize = 100;

/// Breaches of all rules about the layout.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        breaches.extend(length(file));
        breaches.extend(wide_comments(file));
        breaches.extend(bound_names(file));
        breaches.extend(module_file(file));
        breaches.extend(test_binary(file, files));
    }
    breaches
}

fn length(file: &File) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > LINES_MAX).then(|| format!("{}: {lines} lines, at most {LINES_MAX}", file.path))
}

/// A line that holds one word, such as a link, cannot be broken, nor can a row of a table or a
/// line of code.
fn wide_comments(file: &File) -> Vec<String> {
    let (mut breaches, mut fenced) = (Vec::new(), false);
    for (index, line) in file.text.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
        let text = comment.trim_start_matches(['/', '!']).trim_start();
        fenced ^= text.starts_with("```");
        let can_be_broken =
            !fenced && !text.starts_with('|') && text.split_whitespace().count() > 1;
        if can_be_broken && line.chars().count() > COLUMNS_MAX {
            let line = index + 1;
            breaches.push(format!(
                "{}:{line}: a comment of more than {COLUMNS_MAX} columns",
                file.path
            ));
        }
    }
    breaches
}

/// `MEMBERS_MAX` sorts beside what it bounds; `MAX_MEMBERS` sorts among all other bounds.
fn bound_names(file: &File) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let (name, _) = line.split_once("const MAX_")?.1.split_once(':')?;
            let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            is_name.then_some(())?;
            let line = index + 1;
            Some(format!("{}:{line}: call MAX_{name} `{name}_MAX`", file.path))
        })
        .collect()
}

/// One way to write a module with children: `x.rs` beside `x/`. Test helpers keep `mod.rs`, which
/// hides them from cargo.
fn module_file(file: &File) -> Option<String> {
    let directory = file.path.strip_suffix("/mod.rs")?;
    let is_source = directory.contains("/src/");
    is_source.then(|| format!("{}: name it {directory}.rs", file.path))
}

/// Each integration binary is linked by itself: a crate has one, `tests/it`, and names the others
/// in its manifest, with the reason.
fn test_binary(file: &File, files: &[File]) -> Option<String> {
    let (package, name) = file.path.strip_suffix(".rs")?.split_once("/tests/")?;
    if name.contains('/') || !package.starts_with("crates/") {
        return None;
    }
    let manifest = format!("{package}/Cargo.toml");
    let manifest = files.iter().find(|file| file.path == manifest)?;
    let entry = format!("name = \"{name}\"");
    (!manifest.text.contains(&entry)).then(|| {
        format!("{}: move it to tests/it, or name it in Cargo.toml with the reason", file.path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn long_files_and_wide_comments_are_breaches() {
        let long = file("crates/a/src/lib.rs", &"\n".repeat(LINES_MAX + 1));
        assert!(length(&long).is_some());
        assert!(length(&file("a.rs", &"\n".repeat(LINES_MAX))).is_none());
        let wide =
            file("a.rs", &format!("/// {}\n// https://{}", "word ".repeat(20), "x".repeat(99)));
        assert_eq!(wide_comments(&wide), ["a.rs:1: a comment of more than 100 columns"]);
    }

    #[test]
    fn bounds_end_with_max() {
        let bounds =
            file("a.rs", &format!("const MEMBERS_MAX: u8;\npub const {}_BYTES: u8;", "MAX"));
        assert_eq!(bound_names(&bounds), ["a.rs:2: call MAX_BYTES `BYTES_MAX`"]);
    }

    #[test]
    fn modules_are_named_in_one_way() {
        assert!(module_file(&file("crates/a/src/x/mod.rs", "")).is_some());
        assert!(module_file(&file("crates/a/src/x.rs", "")).is_none());
        assert!(module_file(&file("crates/a/tests/common/mod.rs", "")).is_none());
    }

    #[test]
    fn test_binaries_beside_it_are_named_in_the_manifest() {
        let manifest = file("crates/a/Cargo.toml", "[[test]]\nname = \"allocations\"\n");
        let files = [
            manifest,
            file("crates/a/tests/allocations.rs", ""),
            file("crates/a/tests/other.rs", ""),
            file("crates/a/tests/it/main.rs", ""),
        ];
        assert_eq!(
            files.iter().filter_map(|file| test_binary(file, &files)).collect::<Vec<_>>(),
            [
                "crates/a/tests/other.rs: move it to tests/it, or name it in Cargo.toml with the reason"
            ]
        );
    }
}
