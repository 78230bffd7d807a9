//! Which fields the published schemas want and allow in each body.

use serde_json::Value;

use super::fakes::Asked;
use super::{JOIN, PING, PING_REQ};

/// Checks that an object has all fields of the first list and no others than
/// those of both.
#[track_caller]
fn check(what: &str, object: &Value, wanted: &[&str], allowed: &[&str]) {
    let fields = object.as_object().unwrap_or_else(|| panic!("{what} is no object: {object}"));
    for field in wanted {
        assert!(fields.contains_key(*field), "{what} lacks {field}: {object}");
    }
    for field in fields.keys() {
        let known = wanted.contains(&field.as_str()) || allowed.contains(&field.as_str());
        assert!(known, "{what} has {field}: {object}");
    }
}

fn check_changes(what: &str, changes: &Value, with_source: bool) {
    for change in changes.as_array().unwrap_or_else(|| panic!("{what} is no array: {changes}")) {
        let wanted = ["address", "status", "incarnationNumber"];
        let more = ["source", "sourceIncarnationNumber", "id", "timestamp", "tombstone", "labels"];
        check(what, change, &wanted, &more);
        assert!(!with_source || change["source"].is_string(), "{what} without source: {change}");
        assert_ne!(change["status"], "tombstone", "sent as faulty with a mark: {change}");
    }
}

pub fn check_request(asked: &Asked) {
    let (what, body) = (asked.endpoint.as_str(), &asked.body);
    let probe = ["checksum", "changes", "source", "sourceIncarnationNumber"];
    match what {
        JOIN => check(what, body, &["app", "source", "incarnationNumber"], &["timeout", "labels"]),
        PING => check(what, body, &probe, &["app"]),
        PING_REQ => check(what, body, &probe, &["target"]),
        other => panic!("no implementation has {other}"),
    }
    if what != JOIN {
        check_changes(what, &body["changes"], false);
    }
}

pub fn check_answer(endpoint: &str, body: &Value) {
    match endpoint {
        JOIN => {
            let wanted = ["app", "coordinator", "membership", "membershipChecksum"];
            check(endpoint, body, &wanted, &[]);
            check_changes(endpoint, &body["membership"], true);
        }
        PING => {
            let more = ["checksum", "source", "sourceIncarnationNumber", "app", "target"];
            check(endpoint, body, &["changes"], &more);
            check_changes(endpoint, &body["changes"], false);
        }
        PING_REQ => {
            check(endpoint, body, &["changes", "pingStatus", "target"], &[]);
            check_changes(endpoint, &body["changes"], false);
        }
        "/admin/lookup" => check(endpoint, body, &["dest"], &[]),
        "/admin/stats" => check_stats(body),
        _ => {}
    }
}

fn check_stats(body: &Value) {
    let top =
        ["hooks", "membership", "process", "protocol", "ring", "version", "timestamp", "uptime"];
    check("stats", body, &[&top[..], &["tchannelVersion"]].concat(), &[]);
    check("membership", &body["membership"], &["checksum", "members"], &[]);
    for member in body["membership"]["members"].as_array().unwrap() {
        let wanted = ["address", "status", "incarnationNumber"];
        check("member", member, &wanted, &["dampScore", "labels"]);
    }
    check("process", &body["process"], &["memory", "pid"], &[]);
    check("memory", &body["process"]["memory"], &["rss", "heapTotal", "heapUsed"], &[]);
    let rates = ["timing", "protocolRate", "clientRate", "serverRate", "totalRate"];
    check("protocol", &body["protocol"], &rates, &[]);
    check("ring", &body["ring"], &["checksum", "servers"], &["checksums"]);
}
