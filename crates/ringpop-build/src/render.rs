//! Rust text. It is indented as rustfmt would, because committed code is read by people.

use std::fmt::Write;

use heck::{ToShoutySnakeCase, ToSnakeCase, ToUpperCamelCase};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::field::{KeyPath, KeyPlace};
use crate::method::Method;

/// Names that are no identifiers without `r#`; those of the 2024 edition.
const KEYWORDS: [&str; 47] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static",
    "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Names that are none even with `r#`.
const NEVER_RAW: [&str; 5] = ["super", "self", "Self", "extern", "crate"];

/// Writes code that names `ringpop-forward` by `forward_path`.
pub(crate) struct Renderer<'a> {
    pub(crate) forward_path: &'a str,
}

impl Renderer<'_> {
    /// The constant table of a service.
    pub(crate) fn table(&self, full_name: &str, name: &str, methods: &[Method]) -> String {
        let route = format!("{}::MethodRoute", self.forward_path);
        let mut code =
            format!("/// The methods of `{full_name}` that have a key, for `Routes::table`.\n");
        let name = name.to_shouty_snake_case();
        let _ = writeln!(code, "pub const {name}_ROUTES: &[{route}] = &[");
        for method in methods {
            let path = &method.path;
            let _ = match &method.place {
                KeyPlace::Header => write!(code, "    {route}::header({path:?})"),
                KeyPlace::Field(fields) => {
                    let numbers: Vec<_> = fields.iter().map(|f| f.number().to_string()).collect();
                    write!(code, "    {route}::field({path:?}, &[{}])", numbers.join(", "))
                }
            };
            code.push_str(if method.unary { ".unary()" } else { "" });
            code.push_str(if method.idempotent { ".idempotent()" } else { "" });
            code.push_str(if method.end_when_moved { ".end_when_moved()" } else { "" });
            code.push_str(",\n");
        }
        code.push_str("];\n");
        code
    }

    /// `RoutingKey` of a message. It finds what the server's scan of the encoded message finds.
    pub(crate) fn accessor(&self, message: &MessageDescriptor, path: &KeyPath) -> String {
        let forward = self.forward_path;
        let names: Vec<_> = path.iter().map(FieldDescriptor::name).collect();
        let mut code = format!("/// The key is field `{}`.\n", names.join("."));
        let _ = writeln!(code, "impl {forward}::RoutingKey for {} {{", rust_type(message));
        let _ = writeln!(
            code,
            "    fn routing_key(&self) -> ::core::option::Option<{forward}::Key> {{"
        );
        let mut from = "self".to_owned();
        let (key, way) = path.split_last().expect("a path to a key has a key");
        for field in way {
            let _ = writeln!(code, "        let within = {};", self.read(field, &from));
            "within".clone_into(&mut from);
        }
        code.push_str(&self.key(key, &from));
        code.push_str("    }\n}\n");
        code
    }

    /// A reference to the value of a field; leaves the function when there is none.
    fn read(&self, field: &FieldDescriptor, from: &str) -> String {
        let name = identifier(&field.name().to_snake_case());
        let question = if has_presence(field) { ".as_ref()?" } else { "" };
        let reference = if has_presence(field) { "" } else { "&" };
        format!("{reference}{from}.{name}{question}")
    }

    fn key(&self, field: &FieldDescriptor, from: &str) -> String {
        let forward = self.forward_path;
        let read = self.read(field, from);
        let Some(number) = as_wire_number(&field.kind()) else {
            return format!(
                "        let key: &[u8] = ({read}).as_ref();\n        \
                 (!key.is_empty()).then(|| {forward}::Key::from(key))\n"
            );
        };
        let number = format!("        let key = *({read});\n        let key = {number};\n");
        if has_presence(field) {
            return format!(
                "{number}        ::core::option::Option::Some({forward}::Key::from(key))\n"
            );
        }
        // A zero that is the default is not sent, so no server will find it.
        format!("{number}        (key != 0).then(|| {forward}::Key::from(key))\n")
    }
}

/// Whether prost makes an `Option` of the field.
fn has_presence(field: &FieldDescriptor) -> bool {
    !field.is_required() && field.supports_presence()
}

/// The number that a scan of the encoded message reads, from a `key` of the field's type; `None`
/// for strings and bytes.
fn as_wire_number(kind: &Kind) -> Option<&'static str> {
    Some(match kind {
        // Negative numbers are sent as 64 bits (protobuf encoding, "signed integers").
        Kind::Int32 => "i64::from(key) as u64",
        Kind::Int64 | Kind::Sfixed64 => "key as u64",
        Kind::Uint32 | Kind::Fixed32 => "u64::from(key)",
        Kind::Uint64 | Kind::Fixed64 => "key",
        Kind::Sfixed32 => "u64::from(key as u32)",
        // ZigZag.
        Kind::Sint32 => "u64::from(((key << 1) ^ (key >> 31)) as u32)",
        Kind::Sint64 => "((key << 1) ^ (key >> 63)) as u64",
        _ => return None,
    })
}

/// The type of a message in the module of its package, as prost names it.
fn rust_type(message: &MessageDescriptor) -> String {
    let mut path = identifier(&message.name().to_upper_camel_case());
    let mut parent = message.parent_message();
    while let Some(outer) = parent {
        path = format!("{}::{path}", identifier(&outer.name().to_snake_case()));
        parent = outer.parent_message();
    }
    path
}

fn identifier(name: &str) -> String {
    if KEYWORDS.contains(&name) {
        format!("r#{name}")
    } else if NEVER_RAW.contains(&name) {
        format!("{name}_")
    } else if name.starts_with(|c: char| c.is_numeric()) {
        format!("_{name}")
    } else {
        name.to_owned()
    }
}
