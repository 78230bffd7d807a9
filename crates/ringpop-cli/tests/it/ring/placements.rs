use roxmltree::Document;

use super::{BACKENDS, Files, array, json, number, run_with, text};

const PLACEMENTS: [&str; 5] =
    ["local-rendezvous", "rendezvous", "maglev", "jump", "spread-minimizing"];

#[tokio::test]
async fn every_placement_says_what_backends_own() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    // How far the busiest may be from its weight's share.
    for (placement, peak_max) in [
        ("ring", 1.5),
        ("local-rendezvous", 1.2),
        ("rendezvous", 1.0 + 1e-9),
        ("maglev", 1.001),
        ("jump", 1.0 + 1e-9),
        ("spread-minimizing", 1.002),
    ] {
        let ownership = ["ownership", "--placement", placement, "--backends", &backends];
        let report = json(&[&ownership[..], &["--json"]].concat()).await;
        assert_eq!(report["placement"], placement);
        let owned = array(&report, "backends");
        let sum: f64 = owned.iter().map(|owned| number(owned, "share")).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{placement}: {report}");
        assert_eq!(number(&owned[0], "expected"), 0.5, "{placement}");
        let peak = number(&report, "peak_to_average");
        assert!((1.0 - 1e-9..=peak_max).contains(&peak), "{placement}: {peak}");
        let table = text(&ownership).await;
        let name = if placement == "ring" { "scheme xxh3" } else { placement };
        assert!(table.contains(name) && table.contains("cache-3"), "{table}");
    }
}

#[tokio::test]
async fn every_placement_picks_owners_and_draws_a_picture() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let svg = files.named("placement.svg");
    for placement in PLACEMENTS {
        let pick = ["pick", "--placement", placement, "--backends", &backends, "--token", "a", "b"];
        let picked = json(&[&pick[..], &["-n", "3", "--json"]].concat()).await;
        for token in ["a", "b"] {
            let mut owners: Vec<_> =
                array(&picked, token).iter().map(ToString::to_string).collect();
            owners.sort();
            assert_eq!(owners, ["\"cache-1\"", "\"cache-2\"", "\"cache-3\""], "{placement}");
        }
        text(&["ownership", "--placement", placement, "--backends", &backends, "--svg", &svg])
            .await;
        let picture = std::fs::read_to_string(&svg).expect("it was drawn");
        let document = Document::parse(&picture).expect("XML");
        let shown = |word: &str| {
            document.descendants().any(|node| node.text().is_some_and(|text| text.contains(word)))
        };
        assert!(shown(placement) && shown("cache-1"), "{placement}");
        assert!(!shown("outer ring"), "{placement} has no arcs");
    }
}

/// One backend of equal weight more takes a quarter, and only Maglev moves more than that.
#[tokio::test]
async fn what_moves_is_what_has_to() {
    let files = Files::new();
    let before = files.with("before.json", r#"[{"id":"a"},{"id":"b"},{"id":"c"}]"#);
    let after = files.with("after.json", r#"[{"id":"0"},{"id":"a"},{"id":"b"},{"id":"c"}]"#);
    for placement in PLACEMENTS {
        let diff = ["diff", "--placement", placement, "--before", &before, "--after", &after];
        let report = json(&[&diff[..], &["--json"]].concat()).await;
        assert_eq!(report["placement"], placement);
        let (share, needed) = (number(&report, "share"), number(&report, "needed"));
        assert!((needed - 0.25).abs() < 0.08, "{report}");
        // A count on a sample is off by a little.
        let needless = if placement == "maglev" { 0.2 } else { 0.005 };
        assert!(share >= needed - 0.005 && share <= needed + needless, "{report}");
        assert_eq!(array(&report, "backends").len(), 4);
        assert!(text(&diff).await.contains("of the keys move"), "{placement}");
    }
}

#[tokio::test]
async fn what_a_placement_does_not_have_is_refused() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let ownership = ["ownership", "--backends", &backends, "--placement"];
    let diff = ["diff", "--before", &backends, "--after", &backends, "--placement"];
    for (arguments, words) in [
        ([&ownership[..], &["jump", "--points", "9"]].concat(), "leave --scheme and --points out"),
        ([&ownership[..], &["maglev", "--scheme", "crc32"]].concat(), "leave --scheme"),
        ([&diff[..], &["rendezvous", "--ranges"]].concat(), "only a ring has ranges"),
        ([&ownership[..], &["best"]].concat(), "local-rendezvous"),
    ] {
        let output = run_with(&arguments, b"").await;
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}
