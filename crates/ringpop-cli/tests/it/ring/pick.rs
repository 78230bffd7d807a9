use serde_json::{Value, json};

use super::{BACKENDS, Files, array, json, text, text_with};

fn java_vectors() -> Value {
    let text = include_str!("../../../../hashring/tests/it/vectors/java_ring_vectors.json");
    serde_json::from_str(text).expect("the file is JSON")
}

/// The sets whose Java ring does not depend on the order of insertion, or that were inserted in
/// ascending order.
const AGREEING_SETS: [&str; 4] = [
    "weighted-1-2-3",
    "addr-mixed-with-zero-weight",
    "collision-ascending-insert",
    "single-backend-single-point",
];

#[tokio::test]
async fn tokens_go_where_a_java_ring_sends_them() {
    let vectors = java_vectors();
    let files = Files::new();
    let tokens: Vec<&str> =
        array(&vectors, "tokens").iter().map(|token| token.as_str().unwrap()).collect();
    let token_file = files.with("tokens", tokens.join("\n"));
    for name in AGREEING_SETS {
        let sets = array(&vectors, "sets");
        let set = sets.iter().find(|set| set["name"] == name).expect("the set exists");
        let listed = array(set, "backends");
        let backends: Vec<_> = listed
            .iter()
            .map(|backend| json!({"id": backend["id"], "weight": backend["weight"]}))
            .collect();
        let backend_file = files.with("backends.json", Value::from(backends).to_string());
        let points = set["pointsPerWeightUnit"].to_string();
        let picked = json(&[
            "pick",
            "--scheme",
            "crc32",
            "--backends",
            &backend_file,
            "--points",
            &points,
            "--tokens",
            &token_file,
            "--json",
        ])
        .await;
        assert_eq!(picked.as_object().unwrap().len(), tokens.len(), "set {name}");
        for (token, pick) in tokens.iter().zip(array(set, "picks")) {
            let expected = &listed[pick.as_u64().unwrap() as usize]["id"];
            assert_eq!(&picked[token], expected, "set {name}, token {token:?}");
        }
    }
}

// The expected owners of the next two were computed by a `zlib.crc32` and a sorted list elsewhere.

#[tokio::test]
async fn programs_get_an_object_and_people_a_table() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let pick =
        ["pick", "--scheme", "crc32", "--backends", &backends, "--token", "h", "a", "d", "h"];
    let object = r#"{"h":"cache-3","a":"cache-2","d":"cache-1"}"#;
    assert_eq!(text(&[&pick[..], &["--json"]].concat()).await.trim_end(), object);
    // A pipe is no terminal.
    assert_eq!(text(&pick).await.trim_end(), object);
    let table = "TOKEN  BACKEND\nh      cache-3\na      cache-2\nd      cache-1\n";
    assert_eq!(text(&[&pick[..], &["--table"]].concat()).await, table);
}

#[tokio::test]
async fn several_owners_are_a_list_whatever_their_number() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let pick = ["pick", "--scheme", "crc32", "--backends", &backends, "--token", "e"];
    let one = json(&[&pick[..], &["-n", "1"]].concat()).await;
    assert_eq!(one, json!({"e": ["cache-1"]}));
    // The fourth is not healthy.
    let all = json(&[&pick[..], &["-n", "64"]].concat()).await;
    assert_eq!(all, json!({"e": ["cache-1", "cache-3", "cache-2"]}));
    let table = text(&[&pick[..], &["-n", "2", "--table"]].concat()).await;
    assert_eq!(table, "TOKEN  BACKENDS\ne      cache-1  cache-3\n");
    // The first and the third are in one zone.
    let spread = json(&[&pick[..], &["-n", "2", "--spread"]].concat()).await;
    assert_eq!(spread, json!({"e": ["cache-1", "cache-2"]}));
}

#[tokio::test]
async fn an_unhealthy_backend_is_as_good_as_absent() {
    let files = Files::new();
    let tokens: Vec<String> = (0..500).map(|i| format!("user-{i}")).collect();
    let tokens = files.with("tokens", tokens.join("\n"));
    let sick = files.with("sick.json", r#"[{"id":"a"},{"id":"b","healthy":false},{"id":"c"}]"#);
    let gone = files.with("gone.json", r#"[{"id":"c"},{"id":"a"}]"#);
    for scheme in ["xxh3", "crc32", "ringpop", "envoy", "ketama"] {
        let pick = |file| ["pick", "--scheme", scheme, "--backends", file, "--tokens", &tokens];
        assert_eq!(json(&pick(&sick)).await, json(&pick(&gone)).await, "{scheme}");
    }
}

#[tokio::test]
async fn every_scheme_is_its_own_ring() {
    let files = Files::new();
    let backends = files.with("backends.json", r#"[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"}]"#);
    let tokens: Vec<String> = (0..200).map(|i| format!("user-{i}")).collect();
    let tokens = files.with("tokens", tokens.join("\n"));
    let mut seen = Vec::new();
    for more in [
        &["--scheme", "xxh3"][..],
        &["--scheme", "crc32"],
        &["--scheme", "ringpop"],
        &["--scheme", "envoy"],
        &["--scheme", "envoy", "--min-ring-size", "12", "--max-ring-size", "4096"],
        &["--scheme", "ketama"],
        &["--points", "3"],
    ] {
        let pick = ["pick", "--backends", &backends, "--tokens", &tokens];
        let picked = json(&[&pick[..], more].concat()).await;
        assert!(!seen.contains(&picked), "{more:?}");
        seen.push(picked);
    }
    // Without the option the ring is the one of the default scheme.
    assert_eq!(json(&["pick", "--backends", &backends, "--tokens", &tokens]).await, seen[0]);
}

#[tokio::test]
async fn standard_input_is_a_file_as_well() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let from_file = text(&["pick", "--backends", &backends, "--token", "b", "a"]).await;
    let pick = ["pick", "--backends", "-", "--token", "b", "--token", "a"];
    assert_eq!(text_with(&pick, BACKENDS.as_bytes()).await, from_file);
    let pick = ["pick", "--backends", &backends, "--tokens", "-"];
    assert_eq!(text_with(&pick, b"b\r\n\n  \na\nb").await, from_file);
}
