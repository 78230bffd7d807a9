use std::fs;

use super::*;
use crate::limits::RECORDS_MAX;

/// What a hosts file of this content yields.
async fn peers(content: impl AsRef<[u8]>) -> Result<Vec<Record>, DiscoveryError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.json");
    fs::write(&path, content).unwrap();
    JsonFile::new(path).peers().await
}

/// Line, column and reason of the complaint about a malformed file.
async fn complaint(content: &str) -> (usize, usize, String) {
    match peers(content).await {
        Err(DiscoveryError::FileMalformed { line, column, reason, .. }) => (line, column, reason),
        other => panic!("{content}: {other:?}"),
    }
}

#[tokio::test]
async fn reads_the_addresses_of_ringpop() {
    let peers = peers(r#"["127.0.0.1:3001", "127.0.0.1:3000", "127.0.0.1:3001"]"#).await.unwrap();
    assert_eq!(
        peers,
        ["127.0.0.1:3000", "127.0.0.1:3001"].map(|address| Record::new(address.parse().unwrap()))
    );
}

#[tokio::test]
async fn reads_records_and_fills_in_what_they_leave_out() {
    let peers = peers(
        r#"[
            {"id": "b", "address": "b:1", "weight": 3, "healthy": false, "zone": "z",
             "labels": {"build": "42"}},
            {"address": "a:1"},
            "c:1"
        ]"#,
    )
    .await
    .unwrap();
    let plain = |address: &str| Record::new(address.parse().unwrap());
    let mut full = plain("b:1");
    full.id = "b".to_owned();
    full.weight = 3;
    full.healthy = false;
    full.zone = Some("z".to_owned());
    full.labels = BTreeMap::from([("build".to_owned(), "42".to_owned())]);
    assert_eq!(peers, [plain("a:1"), full, plain("c:1")]);
}

#[tokio::test]
async fn the_file_is_read_anew_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.json");
    let file = JsonFile::new(&path);
    assert!(file.peers().await.is_err());
    for address in ["a:1", "b:1"] {
        fs::write(&path, format!("[\"{address}\"]")).unwrap();
        assert_eq!(file.peers().await.unwrap()[0].id, address);
    }
}

#[tokio::test]
async fn a_mistake_is_named_with_its_place() {
    for (content, line, column, reason) in [
        ("", 1, 0, "EOF while parsing a value"),
        ("[\"a:1\"", 1, 6, "EOF while parsing a list"),
        ("[\"a:1\",\n]", 2, 1, "trailing comma"),
        ("[\"a:1\"] x", 1, 9, "trailing characters"),
        ("{\"a\": 1}", 1, 0, "invalid type: map, expected an array of \"host:port\""),
        ("\"a:1\"", 1, 5, "invalid type: string \"a:1\", expected an array of \"host:port\""),
        (
            "[\n  \"a:1\",\n  5\n]",
            3,
            3,
            "invalid type: integer `5`, expected \"host:port\" or an object with an `address`",
        ),
        ("[\n  \"a\"\n]", 2, 5, "address \"a\" has no port: write it as host:port"),
        ("[{\"id\": \"a\"}]", 1, 12, "missing field `address`"),
        (
            "[{\"address\": \"a:1\", \"weight\": -1}]",
            1,
            32,
            "invalid value: integer `-1`, expected u32",
        ),
        ("[{\"address\": \"a:1\", \"id\": \"\"}]", 1, 29, "the id of \"a:1\" is empty"),
    ] {
        let (line_found, column_found, found) = complaint(content).await;
        assert_eq!((line_found, column_found, found.as_str()), (line, column, reason), "{content}");
    }
}

#[tokio::test]
async fn a_misspelt_field_is_refused() {
    let (_, _, reason) = complaint(r#"[{"address": "a:1", "wieght": 2}]"#).await;
    assert!(reason.starts_with("unknown field `wieght`, expected one of `id`"), "{reason}");
}

#[tokio::test]
async fn deep_nesting_is_a_mistake_and_not_an_overflow() {
    let (line, _, _) = complaint(&"[".repeat(1_000_000)).await;
    assert_eq!(line, 1);
}

#[tokio::test]
async fn an_empty_list_is_refused() {
    let error = peers("[]").await.unwrap_err().to_string();
    assert!(error.ends_with("hosts.json\" lists no peers: add at least one host:port"), "{error}");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    assert!(matches!(
        peers(b"[\"\xff\xfe:1\"]").await,
        Err(DiscoveryError::FileMalformed { line: 1, .. })
    ));
}

#[tokio::test]
async fn the_size_of_the_file_and_of_the_list_are_bounded() {
    let limit = usize::try_from(FILE_BYTES_MAX).unwrap();
    let mut content = b"[\"a:1\"]".to_vec();
    content.resize(limit, b' ');
    assert_eq!(peers(&content).await.unwrap().len(), 1);
    content.push(b' ');
    assert!(matches!(peers(&content).await, Err(DiscoveryError::FileTooLarge { .. })));

    let addresses =
        |count| (0..count).map(|i| format!("\"a-{i}:1\"")).collect::<Vec<_>>().join(",");
    assert!(peers(format!("[{}]", addresses(RECORDS_MAX))).await.is_ok());
    assert!(matches!(
        peers(format!("[{}]", addresses(RECORDS_MAX + 1))).await,
        Err(DiscoveryError::TooMany { .. })
    ));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("hosts.json");
    let error = JsonFile::new(&missing).peers().await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read the hosts file {missing:?} (")), "{error}");
    assert!(error.ends_with("): give the path of a readable JSON file"), "{error}");

    // A directory stands for everything that is no regular file; pipes take the same way.
    let error = JsonFile::new(directory.path()).peers().await.unwrap_err().to_string();
    assert!(error.contains("it is not a regular file"), "{error}");
}

#[tokio::test]
async fn one_contradicting_id_does_not_stop_the_news_of_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.json");
    let file = JsonFile::new(&path);
    let ids = |records: Vec<Record>| records.into_iter().map(|r| r.id).collect::<Vec<_>>();
    for (text, expected, contradictions) in [
        (
            r#"[{"id":"pod-1","address":"a:1"},{"id":"pod-2","address":"b:1"}]"#,
            vec!["pod-1", "pod-2"],
            0,
        ),
        (
            r#"[{"id":"pod-1","address":"a:1"},{"id":"pod-1","address":"a:1","healthy":false},
                {"id":"pod-2","address":"b:1"}]"#,
            vec!["pod-1", "pod-2"],
            0,
        ),
        (
            r#"[{"id":"svc","address":"a:1"},{"id":"svc","address":"a:2"},{"id":"new","address":"c:1"}]"#,
            vec!["new"],
            1,
        ),
    ] {
        fs::write(&path, text).unwrap();
        let before = file.contradictions();
        assert_eq!(ids(file.peers().await.unwrap()), expected, "{text}");
        assert_eq!(file.contradictions() - before, contradictions, "{text}");
    }
    // Clones are the same file.
    assert_eq!(file.clone().contradictions(), 1);
}
