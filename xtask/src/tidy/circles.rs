//! Modules that import each other in a circle, parents and their children aside.
//!
//! A reader of one of them has to read them all. What a builder builds may name its builder; such
//! pairs, and circles that are left, are listed with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::File;

/// Circles that may be, by crate and modules in the order of the alphabet, with the reason.
const ALLOWED: &[(&str, &[&str])] = &[
    // A builder and what it builds.
    ("ringpop-forward", &["builder", "direct", "forwarder"]),
];

static USE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\buse\s+([^;]+);").expect("the pattern is a constant"));

static PATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").expect("the pattern is a constant")
});

/// One breach for each circle that is not listed, and for each that is listed and gone.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut packages: BTreeMap<&str, Vec<(Vec<String>, &str)>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some((package, path)) =
            file.path.strip_prefix("crates/").and_then(|path| path.split_once("/src/"))
        else {
            continue;
        };
        if let Some(module) = module(path) {
            packages.entry(package).or_default().push((module, &file.text));
        }
    }
    for (package, modules) in packages {
        let found: Vec<String> =
            circles(&imports(&modules)).into_iter().map(|circle| circle.join(", ")).collect();
        let allowed = ALLOWED.iter().filter(|(name, _)| *name == package);
        let allowed: Vec<String> = allowed.map(|(_, circle)| circle.join(", ")).collect();
        for circle in found.iter().filter(|circle| !allowed.contains(circle)) {
            breaches.push(format!("crates/{package}/src: modules import each other: {circle}"));
        }
        for circle in allowed.iter().filter(|circle| !found.contains(circle)) {
            breaches.push(format!(
                "xtask/src/tidy/circles.rs: {package} has no circle {circle} any more"
            ));
        }
    }
    breaches
}

/// The path of the module in a file; `None` for tests and for programs.
fn module(path: &str) -> Option<Vec<String>> {
    let module: Vec<String> = path.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    match module.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["main"] | ["bin", ..] | [.., "tests" | "models"] => None,
        ["lib"] => Some(Vec::new()),
        _ => Some(module),
    }
}

type Graph = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// The imports of each module. Exports of the root are left out, for they may be from anywhere.
fn imports(modules: &[(Vec<String>, &str)]) -> Graph {
    let known: BTreeSet<&Vec<String>> = modules.iter().map(|(module, _)| module).collect();
    let mut graph = Graph::new();
    for (module, text) in modules.iter().filter(|(module, _)| !module.is_empty()) {
        let targets = graph.entry(module.clone()).or_default();
        for path in paths(text) {
            let Some(mut target) = resolve(module, &path, &known) else { continue };
            while !known.contains(&target) && target.pop().is_some() {}
            let is_relative = target.starts_with(module) || module.starts_with(&target);
            if !is_relative {
                targets.insert(target);
            }
        }
    }
    graph
}

/// All paths in code, without comments and unit tests.
fn paths(text: &str) -> Vec<Vec<String>> {
    let code = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    let code: Vec<&str> = code.map(|line| line.split_once("//").map_or(line, |it| it.0)).collect();
    let code = code.join("\n");
    let mut paths = Vec::new();
    for tree in USE.captures_iter(&code).filter_map(|found| found.get(1)) {
        expand(tree.as_str(), &[], &mut paths);
    }
    let rest = USE.replace_all(&code, "");
    let names = |path: &str| path.split("::").map(str::to_owned).collect();
    paths.extend(PATH.find_iter(&rest).map(|path| names(path.as_str())));
    paths
}

/// The paths in the tree of a `use`.
fn expand(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (head, inner) = match tree.split_once('{') {
        Some((head, inner)) => (head, inner.strip_suffix('}')),
        None => (tree, None),
    };
    let head = head.split(" as ").next().unwrap_or_default();
    let names = head.split("::").map(str::trim).filter(|name| !name.is_empty());
    let path: Vec<String> = before.iter().cloned().chain(names.map(str::to_owned)).collect();
    let Some(inner) = inner else {
        paths.push(path);
        return;
    };
    let (mut depth, mut start) = (0, 0);
    for (place, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[start..place].trim().is_empty() {
                    expand(&inner[start..place], &path, paths);
                }
                start = (place + 1).min(inner.len());
            }
            _ => {}
        }
    }
}

/// A path from the root of the crate; `None` for one into another crate.
fn resolve(
    module: &[String],
    path: &[String],
    known: &BTreeSet<&Vec<String>>,
) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            let parent = &module[..module.len().saturating_sub(ups)];
            Some([parent, &path[ups..]].concat())
        }
        _ => {
            let child = [module, std::slice::from_ref(first)].concat();
            known.contains(&child).then(|| [module, path].concat())
        }
    }
}

/// The sets of modules each of which leads to each other, by name and sorted.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let reached: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> =
        graph.keys().map(|module| (module, reach(graph, module))).collect();
    let mut circles = BTreeSet::new();
    for (module, targets) in &reached {
        let back =
            |other: &&&Vec<String>| reached.get(**other).is_some_and(|it| it.contains(*module));
        let circle: BTreeSet<&Vec<String>> = targets.iter().filter(back).copied().collect();
        if circle.len() > 1 {
            circles.insert(circle.into_iter().map(|module| module.join("::")).collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

/// All modules that one leads to.
fn reach<'a>(graph: &'a Graph, from: &[String]) -> BTreeSet<&'a Vec<String>> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&Vec<String>> = graph.get(from).into_iter().flatten().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(graph.get(module).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let modules: Vec<(Vec<String>, &str)> =
            files.iter().filter_map(|(path, text)| Some((module(path)?, *text))).collect();
        circles(&imports(&modules))
    }

    #[test]
    fn circles_are_found_through_every_way_to_write_a_path() {
        let files = [
            ("a.rs", "use crate::{b::{self, B as Other}, c};"),
            ("b.rs", "fn f() { super::c::g(); }"),
            ("c.rs", "use super::a::A;\n"),
            ("d.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files), [["a", "b", "c"]]);
    }

    #[test]
    fn parents_tests_and_comments_make_no_circle() {
        let files = [
            ("lib.rs", "mod a; use a::A;"),
            ("a.rs", "mod b; use b::B; // use crate::c::C;"),
            ("a/b.rs", "use super::A; use crate::c::C;"),
            ("c.rs", "#[cfg(test)]\nmod tests { use crate::a::b::B; }"),
            ("c/tests.rs", "use crate::a::b::B;"),
        ];
        assert_eq!(found(&files), Vec::<Vec<String>>::new());
    }
}
