use super::{BACKENDS, Files, run_with};

const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// Asserts that a run says one sentence with all of `words`, and fails with this code.
async fn complains(arguments: &[&str], code: i32, words: &[&str]) {
    let output = run_with(arguments, b"").await;
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    let lines: Vec<_> = stderr.lines().collect();
    let [line] = lines[..] else {
        panic!("{arguments:?} says more than one line: {stderr}");
    };
    assert!(line.starts_with("error: ") && !line.contains("panicked"), "{arguments:?}: {line}");
    for word in words {
        assert!(line.contains(word), "{arguments:?} does not say {word:?}: {line}");
    }
}

#[tokio::test]
async fn a_wrong_command_line() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let pick = |more: &[&'static str]| {
        [&["pick", "--backends", &backends], more].concat().into_iter().map(str::to_owned).collect()
    };
    let cases: [(Vec<String>, &[&str]); 15] = [
        (pick(&[]), &["--token", "--tokens"]),
        (pick(&["--token", ""]), &["blank"]),
        (pick(&["--token", "a", "--tokens", "f"]), &["cannot be used with"]),
        (pick(&["--token", "a", "--json", "--table"]), &["cannot be used with"]),
        (pick(&["--token", "a", "-n", "0"]), &["1..=64"]),
        (pick(&["--token", "a", "-n", "65"]), &["1..=64"]),
        (pick(&["--token", "a", "--spread"]), &["-n"]),
        (pick(&["--token", "a", "--points", "0"]), &["--points"]),
        (pick(&["--token", "a", "--points", "-1"]), &["'-1'"]),
        (pick(&["--token", "a", "--points", "NaN"]), &["NaN"]),
        (
            pick(&["--token", "a", "--scheme", "md5"]),
            &["'md5'", "xxh3", "crc32", "ringpop", "envoy", "ketama"],
        ),
        (pick(&["--token", "a", "--scheme", "ketama", "--points", "9"]), &["ketama", "--points"]),
        (
            pick(&["--token", "a", "--min-ring-size", "1", "--max-ring-size", "2"]),
            &["--scheme envoy"],
        ),
        (
            pick(&[
                "--token",
                "a",
                "--scheme",
                "envoy",
                "--min-ring-size",
                "3",
                "--max-ring-size",
                "2",
            ]),
            &["minimum ring size 3"],
        ),
        (
            pick(&["--token", "a", "--scheme", "envoy", "--min-ring-size", "3"]),
            &["--max-ring-size"],
        ),
    ];
    for (arguments, words) in cases {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        complains(&arguments, USAGE, words).await;
    }
    complains(&["pick", "--backends", "-", "--tokens", "-"], USAGE, &["only once"]).await;
    complains(&["diff", "--before", "-", "--after", "-"], USAGE, &["only once"]).await;
    complains(&["diff", "--before", &backends], USAGE, &["--after"]).await;
    let ownership = ["ownership", "--backends", &backends];
    complains(&[&ownership[..], &["--svg", "-"]].concat(), USAGE, &["file"]).await;
    complains(&[&ownership[..], &["--font", "f"]].concat(), USAGE, &["--png"]).await;
}

#[tokio::test]
async fn a_plan_that_cannot_be() {
    for peak in ["1", "0.9", "-2", "NaN", "inf", "much", ""] {
        let peak = format!("--target-peak={peak}");
        complains(&["plan", &peak, "--backends", "9"], USAGE, &["above 1"]).await;
    }
    let plan = ["plan", "--target-peak", "1.1"];
    for backends in ["0", "-1", "16777217", "x"] {
        let backends = format!("--backends={backends}");
        complains(&[&plan[..], &[&backends]].concat(), USAGE, &["--backends"]).await;
    }
    let plan = [&plan[..], &["--backends", "9"]].concat();
    for weights in ["-1", "1,,2", "1.5", "NaN", "", "4294967296"] {
        let weights = format!("--weights={weights}");
        complains(&[&plan[..], &[&weights]].concat(), USAGE, &["--weights"]).await;
    }
    complains(&[&plan[..], &["--weights", "0,0"]].concat(), USAGE, &["all weights are 0"]).await;
    for peak in ["1.0000001", "1.001"] {
        let plan = ["plan", "--target-peak", peak, "--backends", "1000"];
        complains(&plan, FAILED, &["268,435,456", "higher"]).await;
    }
    let heavy =
        ["plan", "--target-peak", "1.1", "--backends", "16777216", "--weights", "4294967295,1"];
    complains(&heavy, FAILED, &["268,435,456"]).await;
}

#[tokio::test]
async fn a_file_of_backends_that_cannot_be_used() {
    let files = Files::new();
    let path = files.named("backends.json");
    let every_word = [
        vec!["pick", "--backends", &path, "--token", "a"],
        vec!["ownership", "--backends", &path],
        vec!["diff", "--before", &path, "--after", &path],
    ];
    for arguments in &every_word {
        complains(arguments, FAILED, &["cannot read the backends", "backends.json"]).await;
    }
    for (text, reason) in [
        (&b""[..], "EOF while parsing a value"),
        (b"{}", "expected a sequence"),
        (b"[]", "at least one backend"),
        (b"[{\"id\":\"a\"},]", "line 1 column"),
        (b"[{\"id\":\"\"}]", "not blank"),
        (b"[{\"id\":\"a\"},{\"id\":\"a\"}]", "two backends have the id \"a\""),
        (b"[{\"id\":\"a\",\"weight\":-1}]", "a whole number from 0 to 4294967295"),
        (b"[{\"id\":\"a\",\"weight\":NaN}]", "line 1 column 21"),
        (b"[{\"id\":\"a\",\"healty\":false}]", "unknown field `healty`"),
        (b"[{\"id\":\"\xff\"}]", "not UTF-8 text from byte 8 on"),
        (b"[{\"id\":\"a\",\"weight\":4294967295}]", "429496729500 points and a ring has 8388608"),
    ] {
        files.with("backends.json", text);
        for arguments in &every_word {
            complains(arguments, FAILED, &[reason]).await;
        }
    }
    for text in [r#"[{"id":"a","healthy":false}]"#, r#"[{"id":"a","weight":0}]"#] {
        files.with("backends.json", text);
        for arguments in &every_word[..2] {
            complains(arguments, FAILED, &["nobody owns anything"]).await;
        }
    }
    let directory = files.path("").to_str().unwrap().to_owned();
    complains(&["ownership", "--backends", &directory], FAILED, &["cannot read the backends"])
        .await;
    complains(&["ownership", "--backends", "-"], FAILED, &["standard input"]).await;
}

#[tokio::test]
async fn a_file_that_is_too_large() {
    let files = Files::new();
    let large = files.with("large", " ".repeat(16 * 1024 * 1024 + 1));
    complains(&["ownership", "--backends", &large], FAILED, &["more than 16777216 bytes"]).await;
}

#[tokio::test]
async fn a_file_of_tokens_that_cannot_be_used() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let path = files.named("tokens");
    let pick = ["pick", "--backends", &backends, "--tokens", &path];
    complains(&pick, FAILED, &["cannot read the tokens", "tokens"]).await;
    for (text, reason) in
        [(&b""[..], "one per line"), (b"\n \n", "one per line"), (b"a\n\xff", "byte 2")]
    {
        files.with("tokens", text);
        complains(&pick, FAILED, &["cannot use the tokens", reason]).await;
    }
}

#[tokio::test]
async fn a_picture_that_cannot_be_written() {
    let files = Files::new();
    let backends = files.with("backends.json", BACKENDS);
    let nowhere = files.named("missing/ring.svg");
    let ownership = ["ownership", "--backends", &backends, "--svg", &nowhere];
    complains(&ownership, FAILED, &["cannot write the picture", "ring.svg"]).await;
    let listed: Vec<_> = (0..4_001).map(|i| format!("{{\"id\":\"{i}\"}}")).collect();
    let many = files.with("many.json", format!("[{}]", listed.join(",")));
    let svg = files.named("ring.svg");
    let ownership = ["ownership", "--backends", &many, "--points", "1", "--svg", &svg];
    complains(&ownership, FAILED, &["4,000", "4,001", "--svg"]).await;
    if cfg!(feature = "png") {
        let png = files.named("ring.png");
        let with_font =
            |font| ["ownership", "--backends", &backends, "--png", &png, "--font", font];
        complains(&with_font("missing.ttf"), FAILED, &["missing.ttf"]).await;
        complains(&with_font(&backends), FAILED, &["backends.json", "font"]).await;
    }
}
