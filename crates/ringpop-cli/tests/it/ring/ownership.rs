use roxmltree::Document;
use serde_json::json;

use super::{BACKENDS, Files, array, json, number, places, run_with, text};

#[tokio::test]
async fn shares_are_exact_and_add_up() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    for (scheme, bits) in
        [("xxh3", 64), ("crc32", 32), ("ringpop", 32), ("envoy", 64), ("ketama", 32)]
    {
        let report =
            json(&["ownership", "--scheme", scheme, "--backends", &backends, "--json"]).await;
        assert_eq!(report["scheme"], scheme);
        assert_eq!(report["circle_bits"], bits);
        assert_eq!(report["left_out"], json!(["cache-4"]));
        let owned = array(&report, "backends");
        let ids: Vec<_> = owned.iter().map(|owned| owned["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["cache-1", "cache-2", "cache-3"], "{scheme}");
        assert_eq!(owned.iter().map(places).sum::<u128>(), 1_u128 << bits, "{scheme}");
        let sum = |field| owned.iter().map(|owned| number(owned, field)).sum::<f64>();
        assert!((sum("share") - 1.0).abs() < 1e-12, "{scheme}");
        assert!((sum("expected") - 1.0).abs() < 1e-12, "{scheme}");
        assert_eq!(sum("points"), number(&report, "points"), "{scheme}");
        assert_eq!(number(&owned[0], "expected"), 0.5);
        let busiest = owned.iter().map(|owned| number(owned, "ratio")).fold(0.0, f64::max);
        assert_eq!(busiest, number(&report, "peak_to_average"), "{scheme}");
    }
}

#[tokio::test]
async fn people_get_a_table() {
    let files = Files::new();
    let listed = r#"[{"id":"b","weight":2,"zone":"z"},{"id":"a"},{"id":"off","weight":0},{"id":"sick","healthy":false}]"#;
    let backends = files.with("backends.json", listed);
    // Computed by a `zlib.crc32` and a sorted list elsewhere.
    let expected = "\
BACKEND  ZONE  WEIGHT    POINTS     SHARE  EXPECTED  DEVIATION  PEAK/AVG
a        -          1       100   38.64 %   33.33 %   +15.93 %     1.159
b        z          2       200   61.36 %   66.67 %    -7.97 %     0.920
off      -          0         0    0.00 %    0.00 %          -         -

scheme crc32, 300 points, peak to average 1.159, standard deviation 12.60 %
not healthy and left out: sick
";
    assert_eq!(text(&["ownership", "--scheme", "crc32", "--backends", &backends]).await, expected);
}

/// All texts of a picture, in their order.
fn texts(document: &Document<'_>) -> Vec<String> {
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.map(|node| node.text().unwrap_or_default().trim().to_owned()).collect()
}

#[tokio::test]
async fn the_picture_is_well_formed_and_shows_every_backend() {
    let files = Files::new();
    let path = files.named("ring.svg");
    for count in [1, 3, 50, 300] {
        let ids: Vec<_> = (0..count).map(|i| json!({"id": format!("node-{i:03}")})).collect();
        let backends = files.with("backends.json", serde_json::to_string(&ids).unwrap());
        let report = json(&["ownership", "--backends", &backends, "--svg", &path, "--json"]).await;
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.len() < 500_000, "{count} backends: {} bytes", svg.len());
        let document = Document::parse(&svg).expect("XML");
        assert!(document.root_element().has_tag_name(("http://www.w3.org/2000/svg", "svg")));
        let texts = texts(&document);
        let peak = format!("{:.2}×", number(&report, "peak_to_average"));
        assert!(texts.contains(&peak), "{count} backends: {peak}");
        let named = texts.iter().filter(|text| text.starts_with("node-")).count();
        assert_eq!(named, count.min(60), "{count} backends");
        let rest = texts.iter().any(|text| text.starts_with("240 more"));
        assert_eq!(rest, count == 300);
        for number in ["NaN", "inf"] {
            assert!(!svg.contains(&format!("\"{number}")), "{count} backends: {number}");
        }
    }
}

#[tokio::test]
async fn names_cannot_break_the_picture() {
    let files = Files::new();
    let path = files.named("ring.svg");
    let listed =
        json!([{"id": "</text><script>&\"'"}, {"id": "bell\u{7}\u{ffff}"}, {"id": "日本"}]);
    let backends = files.with("backends.json", listed.to_string());
    text(&["ownership", "--backends", &backends, "--svg", &path]).await;
    let svg = std::fs::read_to_string(&path).unwrap();
    let document = Document::parse(&svg).expect("XML");
    assert!(!document.descendants().any(|node| node.has_tag_name("script")));
    let texts = texts(&document);
    for name in ["</text><script>&\"'", "bell\\u{7}\u{fffd}", "日本"] {
        assert!(texts.iter().any(|text| text == name), "{name}: {texts:?}");
    }
}

#[cfg(feature = "png")]
#[tokio::test]
async fn png_is_drawn_where_there_is_a_font() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let path = files.path("ring.png");
    let arguments = ["ownership", "--backends", &backends, "--png", path.to_str().unwrap()];
    let output = run_with(&arguments, b"").await;
    if output.status.success() {
        assert!(std::fs::read(&path).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
    } else {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("no font") && stderr.contains("--font"), "{stderr}");
    }
}

#[cfg(not(feature = "png"))]
#[tokio::test]
async fn a_command_without_png_says_how_to_get_it() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let path = files.path("ring.png");
    let arguments = ["ownership", "--backends", &backends, "--png", path.to_str().unwrap()];
    let output = run_with(&arguments, b"").await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--features png") && stderr.contains("--svg"), "{stderr}");
    assert!(!path.exists());
}
