//! From an option to the fields that lead to a key.

use prost_reflect::{
    Cardinality, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, Value,
};

use crate::error::KeyProblem;

/// The fields from a message to its key; the last one is the key.
pub(crate) type KeyPath = Vec<FieldDescriptor>;

/// Where a method finds its key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KeyPlace {
    Field(KeyPath),
    Header,
}

/// What the option of a method, or else its request message, says.
pub(crate) fn of_method(method: &MethodDescriptor) -> Result<Option<KeyPlace>, KeyProblem> {
    let input = method.input();
    let Some(route) = route(method) else {
        return Ok(marked(&input)?.map(KeyPlace::Field));
    };
    let key = route.get_field_by_name("key");
    let key = key.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned();
    match (key.as_str(), flag(&route, "header")) {
        ("", false) if ends_when_moved(method) => {
            marked(&input)?.map(|path| Some(KeyPlace::Field(path))).ok_or(KeyProblem::Empty)
        }
        ("", false) => Err(KeyProblem::Empty),
        ("", true) => Ok(Some(KeyPlace::Header)),
        (path, true) => Err(KeyProblem::FieldAndHeader { path: path.to_owned() }),
        (path, false) => named(&input, path).map(|path| Some(KeyPlace::Field(path))),
    }
}

/// Whether the option of a method says that its streams end when their key moves.
pub(crate) fn ends_when_moved(method: &MethodDescriptor) -> bool {
    route(method).is_some_and(|route| flag(&route, "end_when_moved"))
}

fn route(method: &MethodDescriptor) -> Option<DynamicMessage> {
    let option = method.parent_pool().get_extension_by_name("ringpop.route");
    message_option(option, &method.options())
}

fn flag(route: &DynamicMessage, name: &str) -> bool {
    let value = route.get_field_by_name(name);
    value.and_then(|value| value.as_bool()).unwrap_or_default()
}

/// The fields that `(ringpop.key)` marks, beginning with `message`.
pub(crate) fn marked(message: &MessageDescriptor) -> Result<Option<KeyPath>, KeyProblem> {
    marked_within(message, &mut Vec::new())
}

fn marked_within(
    message: &MessageDescriptor,
    around: &mut Vec<MessageDescriptor>,
) -> Result<Option<KeyPath>, KeyProblem> {
    let Some(option) = message.parent_pool().get_extension_by_name("ringpop.key") else {
        return Ok(None);
    };
    let is_marked =
        |field: &FieldDescriptor| field.options().get_extension(&option).as_bool() == Some(true);
    let fields: Vec<_> = message.fields().filter(is_marked).collect();
    let field = match fields.as_slice() {
        [] => return Ok(None),
        [field] => field,
        _ => {
            let fields: Vec<_> = fields.iter().map(FieldDescriptor::name).collect();
            return Err(KeyProblem::Ambiguous { fields: fields.join(" and ") });
        }
    };
    around.push(message.clone());
    down_to_key(vec![field.clone()], around).map(Some)
}

/// The fields of a path such as `user.id`.
fn named(message: &MessageDescriptor, path: &str) -> Result<KeyPath, KeyProblem> {
    let (mut fields, mut inside) = (KeyPath::new(), Some(message.clone()));
    for name in path.split('.') {
        let Some(message) = inside else {
            let field = fields.last().map(FieldDescriptor::name).unwrap_or_default().to_owned();
            return Err(KeyProblem::NotAMessage { path: path.to_owned(), field });
        };
        let Some(field) = message.get_field_by_name(name) else {
            let known: Vec<_> = message.fields().map(|field| field.name().to_owned()).collect();
            return Err(KeyProblem::Unknown {
                path: path.to_owned(),
                field: name.to_owned(),
                message: message.full_name().to_owned(),
                known: known.join(", "),
            });
        };
        has_one_value(&field)?;
        inside = field.kind().as_message().cloned();
        fields.push(field);
    }
    down_to_key(fields, &mut vec![message.clone()])
}

/// Goes on from a path that ends at a message to the key in it, and checks the key.
fn down_to_key(
    mut fields: KeyPath,
    around: &mut Vec<MessageDescriptor>,
) -> Result<KeyPath, KeyProblem> {
    let last = fields.last().expect("both callers have found a field");
    has_one_value(last)?;
    let field = last.name().to_owned();
    let kind = last.kind();
    if let Some(inner) = kind.as_message() {
        let message = inner.full_name().to_owned();
        if around.contains(inner) {
            return Err(KeyProblem::Circle { field, message });
        }
        let Some(rest) = marked_within(inner, around)? else {
            return Err(KeyProblem::NoKeyWithin { field, message });
        };
        fields.extend(rest);
        return Ok(fields);
    }
    let kind = match kind {
        Kind::Double => "double".to_owned(),
        Kind::Float => "float".to_owned(),
        Kind::Bool => "bool".to_owned(),
        Kind::Enum(kind) => format!("enum {}", kind.full_name()),
        _ => return Ok(fields),
    };
    Err(KeyProblem::Type { field, kind })
}

fn has_one_value(field: &FieldDescriptor) -> Result<(), KeyProblem> {
    let name = field.name().to_owned();
    if field.is_map() {
        return Err(KeyProblem::ManyValues { field: name, what: "a map" });
    }
    if field.cardinality() == Cardinality::Repeated {
        return Err(KeyProblem::ManyValues { field: name, what: "repeated" });
    }
    // The optional fields of proto3 are each in a oneof that only descriptors know.
    match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
        Some(oneof) => Err(KeyProblem::OneOf { field: name, oneof: oneof.name().to_owned() }),
        None => Ok(()),
    }
}

/// The value of a message-typed option, if it is set.
fn message_option(
    option: Option<ExtensionDescriptor>,
    options: &DynamicMessage,
) -> Option<DynamicMessage> {
    let option = option?;
    if !options.has_extension(&option) {
        return None;
    }
    options.get_extension(&option).as_message().cloned()
}
