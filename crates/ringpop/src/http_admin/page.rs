//! The files of the page.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::OPENAPI;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JSON: &str = "application/json";

/// A file at a path of the listener.
macro_rules! page_file {
    ($path:literal, $file:literal, $kind:expr) => {
        ($path, $kind, include_str!(concat!("page/", $file)))
    };
}

/// Paths, kinds and contents.
pub(super) const FILES: &[(&str, &str, &str)] = &[
    page_file!("/", "index.html", HTML),
    page_file!("/style.css", "style.css", CSS),
    page_file!("/icon.svg", "icon.svg", SVG),
    page_file!("/app.js", "app.js", SCRIPT),
    page_file!("/api.js", "api.js", SCRIPT),
    page_file!("/actions.js", "actions.js", SCRIPT),
    page_file!("/charts.js", "charts.js", SCRIPT),
    page_file!("/dom.js", "dom.js", SCRIPT),
    page_file!("/log.js", "log.js", SCRIPT),
    page_file!("/hot-keys.js", "hot-keys.js", SCRIPT),
    page_file!("/lookup.js", "lookup.js", SCRIPT),
    page_file!("/members.js", "members.js", SCRIPT),
    page_file!("/model.js", "model.js", SCRIPT),
    page_file!("/panels.js", "panels.js", SCRIPT),
    page_file!("/processes.js", "processes.js", SCRIPT),
    page_file!("/ring.js", "ring.js", SCRIPT),
    ("/api/v1/openapi.json", JSON, OPENAPI),
];

pub(super) fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, &(path, kind, content)| {
        router.route(path, get(move || file(kind, content)))
    })
}

async fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    // Another version of the process has another page.
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HTTP_ADMIN_PAGE_BYTES_MAX;

    /// The policy in the headers forbids it; a page that needs it would not work.
    #[test]
    fn the_page_is_small_and_has_no_script_or_style_in_its_markup() {
        let bytes: usize = FILES.iter().map(|(_, _, content)| content.len()).sum();
        assert!(bytes <= HTTP_ADMIN_PAGE_BYTES_MAX, "{bytes} bytes");
        let (_, _, html) = FILES[0];
        for forbidden in ["style=", "onclick", "onload", "<style", "javascript:"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        for (path, kind, content) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "http://",
                "https://",
            ] {
                let found = content.replace("http://www.w3.org/2000/svg", "");
                assert!(!found.contains(forbidden), "{path} ({kind}): {forbidden}");
            }
        }
    }

    /// Scripts name each other; a file that is not served would be missed only in a browser.
    #[test]
    fn every_imported_file_is_served() {
        for (path, _, content) in FILES {
            for line in content.lines().filter(|line| line.starts_with("import ")) {
                let name = line.rsplit("from ").next().unwrap_or(line);
                let name = name.trim_matches(|c| "\"';./ ".contains(c));
                assert!(
                    FILES.iter().any(|(served, ..)| *served == format!("/{name}")),
                    "{path}: {line}"
                );
            }
        }
    }
}
