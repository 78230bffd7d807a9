//! What a set of files needs: a table for each service, an accessor for each message with a key.

use std::collections::BTreeMap;

use prost_reflect::{FileDescriptor, MessageDescriptor, MethodDescriptor};

use crate::error::{Error, KeyProblem};
use crate::field::{self, KeyPath, KeyPlace};
use crate::method::Method;
use crate::render::Renderer;

/// Rust code that belongs into the module of one package.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Glue {
    /// The package.
    pub package: String,
    /// Rust items, to be added to the module that prost generates for the package.
    pub code: String,
}

/// The keys that methods find in a message: several if they disagree.
type KeysByMessage = BTreeMap<String, (MessageDescriptor, Vec<KeyPath>)>;

pub(crate) fn of_files(files: &[FileDescriptor], forward_path: &str) -> Result<Vec<Glue>, Error> {
    let renderer = Renderer { forward_path };
    let mut code: BTreeMap<String, String> = BTreeMap::new();
    let mut keys = KeysByMessage::new();
    for service in files.iter().flat_map(FileDescriptor::services) {
        let mut methods = Vec::new();
        for method in service.methods() {
            let Some(place) = of_method(&method)? else { continue };
            if let KeyPlace::Field(path) = &place {
                let input = method.input();
                let entry = keys.entry(input.full_name().to_owned());
                let (_, paths) = entry.or_insert((input, Vec::new()));
                if !paths.contains(path) {
                    paths.push(path.clone());
                }
            }
            methods.push(Method::of(&method, place));
        }
        if !methods.is_empty() {
            let package = code.entry(service.package_name().to_owned()).or_default();
            package.push_str(&renderer.table(service.full_name(), service.name(), &methods));
        }
    }
    for message in files.iter().flat_map(FileDescriptor::messages) {
        collect_marked(&message, &mut keys)?;
    }
    for (message, paths) in keys.values() {
        // Code of other packages is generated elsewhere. And where methods disagree, a message by
        // itself has no key.
        let is_here = files.contains(&message.parent_file());
        if let ([path], true) = (paths.as_slice(), is_here) {
            let package = code.entry(message.package_name().to_owned()).or_default();
            package.push_str(&renderer.accessor(message, path));
        }
    }
    Ok(code.into_iter().map(|(package, code)| Glue { package, code }).collect())
}

/// What a message says of itself wins over what methods say of it.
fn collect_marked(message: &MessageDescriptor, keys: &mut KeysByMessage) -> Result<(), Error> {
    let path = field::marked(message).map_err(|problem| {
        error(&message.parent_file(), "message", message.full_name(), problem)
    })?;
    if let Some(path) = path {
        keys.insert(message.full_name().to_owned(), (message.clone(), vec![path]));
    }
    message.child_messages().try_for_each(|child| collect_marked(&child, keys))
}

fn of_method(method: &MethodDescriptor) -> Result<Option<KeyPlace>, Error> {
    let file = method.parent_service().parent_file();
    let streams = method.is_client_streaming() || method.is_server_streaming();
    let place = if field::ends_when_moved(method) && !streams {
        Err(KeyProblem::UnaryEnds)
    } else {
        field::of_method(method)
    };
    place.map_err(|problem| error(&file, "method", method.full_name(), problem))
}

fn error(file: &FileDescriptor, what: &str, name: &str, problem: KeyProblem) -> Error {
    Error::Key {
        file: file.name().to_owned(),
        item: format!("{what} {name}"),
        problem: Box::new(problem),
    }
}
