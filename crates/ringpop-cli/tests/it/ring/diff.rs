use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Files, array, json, number, places, text, text_with};

const THREE: &str = r#"[{"id":"a"},{"id":"b"},{"id":"c"}]"#;
const FOUR: &str = r#"[{"id":"d"},{"id":"c"},{"id":"b"},{"id":"a"}]"#;

async fn diff(before: &str, after: &str, more: &[&str]) -> Value {
    let files = Files::new();
    let (before, after) = (files.with("before.json", before), files.with("after.json", after));
    let arguments = ["diff", "--before", &before, "--after", &after, "--json"];
    json(&[&arguments[..], more].concat()).await
}

#[tokio::test]
async fn a_new_backend_takes_and_nothing_else_moves() {
    for scheme in ["xxh3", "crc32", "ringpop"] {
        let report = diff(THREE, FOUR, &["--scheme", scheme]).await;
        let moves = array(&report, "moves");
        assert_eq!(moves.len(), 3, "{scheme}");
        assert!(moves.iter().all(|flow| flow["to"] == "d"), "{scheme}: {report}");
        assert_eq!(moves.iter().map(places).sum::<u128>(), places(&report), "{scheme}");
        assert!(report["ranges"].is_null(), "{scheme}");

        // What moves is what the new backend owns afterwards.
        let files = Files::new();
        let after = files.with("after.json", FOUR);
        let owned = json(&["ownership", "--scheme", scheme, "--backends", &after, "--json"]).await;
        assert_eq!(places(&array(&owned, "backends")[3]), places(&report), "{scheme}");
    }
}

#[tokio::test]
async fn taking_it_away_again_moves_the_same_back() {
    let there = diff(THREE, FOUR, &[]).await;
    let back = diff(FOUR, THREE, &[]).await;
    assert_eq!(there["places"], back["places"]);
    let turned: Vec<_> =
        array(&back, "moves").iter().map(|flow| (&flow["to"], &flow["share"])).collect();
    let went: Vec<_> =
        array(&there, "moves").iter().map(|flow| (&flow["from"], &flow["share"])).collect();
    assert_eq!(went, turned);
}

#[tokio::test]
async fn ranges_are_the_moves_one_by_one() {
    let report = diff(THREE, FOUR, &["--ranges", "--scheme", "crc32"]).await;
    let ranges = array(&report, "ranges");
    assert_eq!(ranges.len() as f64, number(&report, "range_count"));
    let mut sums: BTreeMap<String, u128> = BTreeMap::new();
    for range in ranges {
        let end = |field: &str| {
            let text = range[field].as_str().unwrap();
            assert_eq!(text.len(), 8, "{text}");
            u32::from_str_radix(text, 16).unwrap()
        };
        let length = end("through").wrapping_sub(end("after"));
        *sums.entry(range["from"].as_str().unwrap().to_owned()).or_default() += u128::from(length);
    }
    for flow in array(&report, "moves") {
        assert_eq!(sums[flow["from"].as_str().unwrap()], places(flow));
    }
}

#[tokio::test]
async fn order_and_zones_move_nothing_and_health_does() {
    let shuffled = r#"[{"id":"c","zone":"z"},{"id":"a","weight":1},{"id":"b"}]"#;
    let report = diff(THREE, shuffled, &[]).await;
    let nothing =
        json!({"scheme": "xxh3", "share": 0.0, "places": "0", "range_count": 0, "moves": []});
    assert_eq!(report, nothing);
    let sick = r#"[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d","healthy":false}]"#;
    assert_eq!(diff(FOUR, sick, &[]).await, diff(FOUR, THREE, &[]).await);
}

#[tokio::test]
async fn a_ring_of_nobody_is_named_null() {
    let sick = r#"[{"id":"a","healthy":false}]"#;
    let report = diff(sick, r#"[{"id":"b"}]"#, &["--ranges", "--points", "1"]).await;
    assert_eq!(number(&report, "share"), 1.0);
    assert_eq!(array(&report, "moves")[0]["from"], Value::Null);
    assert_eq!(array(&report, "ranges")[0]["to"], "b");
}

#[tokio::test]
async fn people_get_tables() {
    let files = Files::new();
    let before = files.with("before.json", r#"[{"id":"a"}]"#);
    let diff = [
        "diff", "--before", &before, "--after", "-", "--scheme", "crc32", "--points", "1",
        "--ranges",
    ];
    let table = text_with(&diff, br#"[{"id":"a"},{"id":"b"}]"#).await;
    let pattern = "\
50.00 % of the keys move, in 1 range

FROM  TO     SHARE  RANGES
a     b    50.00 %       1

AFTER     THROUGH   FROM  TO
00000000  00000000  a     b
";
    // The points are known from any CRC-32: a#0 and b#0.
    let (a, b) = (crc32(b"a#0"), crc32(b"b#0"));
    let share = f64::from(b.wrapping_sub(a)) / 2_f64.powi(32) * 100.0;
    let expected = pattern
        .replace("50.00 %", &format!("{share:.2} %"))
        .replace("00000000  00000000", &format!("{a:08x}  {b:08x}"));
    let spaces = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(spaces(&table), spaces(&expected));
    let same = ["diff", "--before", &before, "--after", &before];
    assert_eq!(text(&same).await, "nothing moves\n");
}

/// CRC-32 by its definition, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let register = bytes.iter().fold(u32::MAX, |register, byte| {
        (0..8).fold(register ^ u32::from(*byte), |register, _| {
            (register >> 1) ^ if register & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    !register
}
