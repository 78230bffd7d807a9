//! `cargo xtask tidy`: the rules of the house that a program can check.
//!
//! Clippy and rustfmt check the rest; each rule here stands in CONTRIBUTING.md.

mod circles;
mod examples;
mod invariants;
mod layout;
mod migration;
mod prose;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{bounds, workspace};

/// Directories and files that nobody of the project writes by hand.
const NOT_OURS: &[&str] =
    &["target", "generated", "generated.rs", "corpus", "vectors", "node_modules", ".git"];

/// A text file of the project.
struct File {
    /// Relative to the root of the workspace, with slashes.
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    fn is_page(&self) -> bool {
        has_extension(&self.path, "md")
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Prints each breach of a rule; fails when there is one.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let mut files = Vec::new();
    read_below(&root, &root, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut breaches = layout::check(&files);
    breaches.extend(prose::check(&files));
    breaches.extend(examples::check(&files));
    breaches.extend(words::check(&files));
    breaches.extend(circles::check(&files));
    breaches.extend(invariants::check(&files));
    breaches.extend(migration::check(&files));
    breaches.extend(bounds::check(&root).err().map(|error| error.to_string()));
    for breach in &breaches {
        println!("{breach}");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the rules in CONTRIBUTING.md", breaches.len());
    }
    println!("{} files keep the rules", files.len());
    Ok(())
}

fn read_below(root: &Path, directory: &Path, files: &mut Vec<File>) -> Result<()> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot list {}", directory.display()))?
        .collect::<std::io::Result<Vec<_>>>()?;
    for path in entries.iter().map(fs::DirEntry::path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if NOT_OURS.contains(&&*name) {
            continue;
        }
        if path.is_dir() {
            read_below(root, &path, files)?;
        } else if matches!(path.extension().and_then(|it| it.to_str()), Some("rs" | "md" | "toml"))
        {
            files.push(File { path: relative(root, &path), text: read(&path)? });
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn read(path: &PathBuf) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
