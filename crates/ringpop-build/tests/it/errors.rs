//! A key that cannot be one is an error that names the file, the method or message, and the field.

use std::fs;

use ringpop_build::{Error, Schemas};

/// Compiles a schema and returns the faults of its keys.
fn check(schema: &str) -> Result<Vec<ringpop_build::Glue>, Error> {
    let directory = tempfile::tempdir().unwrap();
    let head = "syntax = \"proto3\"; package p.v1; import \"ringpop/options.proto\";\n";
    fs::write(directory.path().join("s.proto"), format!("{head}{schema}")).unwrap();
    Schemas::load(&["s.proto"], &[directory.path()])?.glue("::ringpop_forward")
}

fn error(schema: &str) -> String {
    check(schema).unwrap_err().to_string()
}

/// A method whose request is `message`, with an option.
fn method(option: &str, message: &str) -> String {
    format!("service S {{ rpc M(R) returns (R) {{ {option} }} }} message R {{ {message} }}")
}

fn route(key: &str) -> String {
    format!("option (ringpop.route) = {{ {key} }};")
}

#[test]
fn a_wrong_field_is_named_with_what_would_be_right() {
    let cases = [
        (
            r#"key: "nmae""#,
            "string name = 1;",
            r#"names field "nmae", and p.v1.R has none; its fields: name"#,
        ),
        (
            r#"key: "name.first""#,
            "string name = 1;",
            "goes on behind field name, which is no message",
        ),
        (r#"key: "names""#, "repeated string names = 1;", "key field names is repeated"),
        (
            r#"key: "inner.id""#,
            "repeated R inner = 1; string id = 2;",
            "key field inner is repeated",
        ),
        (r#"key: "m""#, "map<string, string> m = 1;", "key field m is a map"),
        (r#"key: "f""#, "float f = 1;", "key field f is of type float"),
        (r#"key: "b""#, "bool b = 1;", "key field b is of type bool"),
        (r#"key: "e""#, "E e = 1; } enum E { A = 0;", "key field e is of type enum p.v1.E"),
        (r#"key: "o""#, "oneof one { string o = 1; int32 i = 2; }", "key field o is in oneof one"),
        (
            r#"key: "inner""#,
            "Q inner = 1; } message Q { string id = 1;",
            "holds a p.v1.Q, in which no field has",
        ),
        (r#"key: "id" header: true"#, "string id = 1;", "both key \"id\" and header"),
        ("", "string id = 1;", "names no key"),
    ];
    for (option, message, expected) in cases {
        let error = error(&method(&route(option), message));
        assert!(error.starts_with("s.proto: method p.v1.S.M: "), "{error}");
        assert!(error.contains(expected), "{error} should say {expected:?}");
    }
}

#[test]
fn a_wrongly_marked_field_is_named() {
    let key = "[(ringpop.key) = true]";
    let cases = [
        (format!("string a = 1 {key}; string b = 2 {key};"), "fields a and b all have"),
        (format!("repeated string a = 1 {key};"), "key field a is repeated"),
        (format!("double a = 1 {key};"), "of type double"),
        (format!("R a = 1 {key};"), "key field a leads back to p.v1.R"),
        (format!("oneof one {{ string a = 1 {key}; }}"), "in oneof one"),
    ];
    for (fields, expected) in cases {
        // With and without a method that uses it, and inside of another message.
        let error_in_method = error(&method("", &fields));
        assert!(error_in_method.contains("method p.v1.S.M: "), "{error_in_method}");
        let error_in_message = error(&format!("message R {{ {fields} }}"));
        assert!(error_in_message.contains("message p.v1.R: "), "{error_in_message}");
        let nested = error(&format!("message O {{ message R {{ {fields} }} }}"));
        assert!(nested.contains("message p.v1.O.R: "), "{nested}");
        for error in [error_in_method, error_in_message] {
            assert!(error.starts_with("s.proto: ") && error.contains(expected), "{error}");
        }
    }
}

#[test]
fn a_schema_that_does_not_compile_tells_the_place() {
    let error = error("message R { strin id = 1; }");
    assert!(error.contains("strin"), "{error}");
    let error = Schemas::load(&["missing.proto"], &["nowhere"]).unwrap_err().to_string();
    assert!(error.contains("missing.proto"), "{error}");
}

#[test]
fn methods_that_disagree_about_a_message_leave_it_without_an_accessor() {
    let glue = check(
        "service S { rpc A(R) returns (R) { option (ringpop.route) = { key: \"a\" }; }
                     rpc B(R) returns (R) { option (ringpop.route) = { key: \"b\" }; } }
         message R { string a = 1; string b = 2; }",
    )
    .unwrap();
    assert!(
        glue[0].code.contains("/p.v1.S/A\", &[1]") && glue[0].code.contains("/p.v1.S/B\", &[2]")
    );
    assert!(!glue[0].code.contains("RoutingKey"), "{}", glue[0].code);
}

#[test]
fn a_schema_without_keys_needs_no_glue() {
    assert_eq!(
        check("service S { rpc A(R) returns (R); } message R { string a = 1; }").unwrap(),
        []
    );
}

fn table(method: &str) -> String {
    let schema =
        format!("service S {{ {method} }} message R {{ string id = 1 [(ringpop.key) = true]; }}");
    let glue = check(&schema).unwrap();
    let code = &glue[0].code;
    let line = code.lines().find(|line| line.contains("MethodRoute::")).unwrap();
    line.trim().to_owned()
}

#[test]
fn streams_end_when_their_key_moves_if_the_method_says_so() {
    let ends = "end_when_moved: true";
    for (option, key) in [
        (ends.to_owned(), "field(\"/p.v1.S/M\", &[1])"),
        (format!("key: \"id\" {ends}"), "field(\"/p.v1.S/M\", &[1])"),
        (format!("header: true {ends}"), "header(\"/p.v1.S/M\")"),
    ] {
        for (request, response) in [("R", "stream R"), ("stream R", "R"), ("stream R", "stream R")]
        {
            let option = route(&option);
            let method = format!("rpc M({request}) returns ({response}) {{ {option} }}");
            let expected = format!("::ringpop_forward::MethodRoute::{key}.end_when_moved(),");
            assert_eq!(table(&method), expected);
        }
    }
    let kept = table("rpc M(R) returns (stream R);");
    assert!(!kept.contains("end_when_moved"), "{kept}");
}

#[test]
fn a_method_without_a_stream_or_a_key_has_nothing_to_end() {
    let ends = route("end_when_moved: true");
    let unary = error(&method(&ends, "string id = 1 [(ringpop.key) = true];"));
    assert!(
        unary.contains("M: (ringpop.route) has end_when_moved, and the method streams nothing")
    );
    let schema = format!(
        "service S {{ rpc M(R) returns (stream R) {{ {ends} }} }} message R {{ string id = 1; }}"
    );
    assert!(error(&schema).contains("names no key"));
}
