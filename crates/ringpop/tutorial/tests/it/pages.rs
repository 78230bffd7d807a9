//! Reading pages, and the command that they name.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A fenced block and the comment right before it that says how it is checked.
pub struct Block {
    pub directive: String,
    /// What stands behind the opening fence.
    pub language: String,
    pub lines: Vec<String>,
    /// Where it begins, for people.
    pub line: usize,
}

/// The blocks of a page, those in lists too.
pub fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut directive, mut open) = (Vec::new(), String::new(), None::<Block>);
    for (number, line) in page.lines().enumerate() {
        let trimmed = line.trim_start();
        match open.take() {
            Some(block) if trimmed == "```" => blocks.push(block),
            Some(mut block) => {
                block.lines.push(line.to_owned());
                open = Some(block);
            }
            None => {
                if let Some(language) = trimmed.strip_prefix("```") {
                    let directive = std::mem::take(&mut directive);
                    let (language, line) = (language.to_owned(), number + 1);
                    open = Some(Block { directive, language, lines: Vec::new(), line });
                } else {
                    let comment = trimmed.strip_prefix("<!-- ");
                    let comment = comment.and_then(|comment| comment.strip_suffix(" -->"));
                    directive = comment.unwrap_or_default().to_owned();
                }
            }
        }
    }
    blocks
}

/// The `ringpop` command, which a test of the whole workspace has built already.
pub fn ringpop() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_client")).with_file_name("ringpop");
    if !beside.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "-p", "ringpop-cli"]).status();
        assert!(built.unwrap().success(), "the command can be built");
    }
    beside
}
