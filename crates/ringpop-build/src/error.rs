//! What can be wrong with a schema.

use std::path::PathBuf;

use thiserror::Error;

/// Why schemas could not be compiled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A schema is not found, or is not protobuf.
    #[error("cannot compile the schemas: {0}")]
    Compile(#[from] Box<protox::Error>),
    /// A key that cannot be one.
    #[error("{file}: {item}: {problem}")]
    Key {
        /// The file of the schema.
        file: String,
        /// `method pkg.Service.Method` or `message pkg.Message`.
        item: String,
        /// What is wrong.
        problem: Box<KeyProblem>,
    },
    /// The environment does not say where to write.
    #[error("OUT_DIR is not set; call this from a build script, or set out_dir")]
    NoOutDir,
    /// A generated file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or its directory.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// Why a field cannot be a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// No such field.
    #[error("key {path:?} names field {field:?}, and {message} has none; its fields: {known}")]
    Unknown {
        /// The path as it was given.
        path: String,
        /// The name that is not found.
        field: String,
        /// The message that was looked in.
        message: String,
        /// The names that would have been found.
        known: String,
    },
    /// The path goes on behind a field that holds no message.
    #[error("key {path:?} goes on behind field {field}, which is no message")]
    NotAMessage {
        /// The path as it was given.
        path: String,
        /// The field.
        field: String,
    },
    /// The path ends at a message in which no field is marked.
    #[error(
        "key field {field} holds a {message}, in which no field has (ringpop.key); name a field within it or mark one"
    )]
    NoKeyWithin {
        /// The field.
        field: String,
        /// Its message.
        message: String,
    },
    /// A message that holds itself.
    #[error("key field {field} leads back to {message}, which is being looked at")]
    Circle {
        /// The field.
        field: String,
        /// The message.
        message: String,
    },
    /// The field has any number of values.
    #[error("key field {field} is {what}; a key has exactly one value")]
    ManyValues {
        /// The field.
        field: String,
        /// "repeated" or "a map".
        what: &'static str,
    },
    /// The field is one of several alternatives.
    #[error("key field {field} is in oneof {oneof}, so a message need not have it; move it out")]
    OneOf {
        /// The field.
        field: String,
        /// The oneof.
        oneof: String,
    },
    /// The type of the field is not that of a key.
    #[error("key field {field} is of type {kind}; a key is a string, bytes or an integer")]
    Type {
        /// The field.
        field: String,
        /// Its type.
        kind: String,
    },
    /// Several fields are marked.
    #[error("fields {fields} all have (ringpop.key); a message has one key, mark one of them")]
    Ambiguous {
        /// The fields.
        fields: String,
    },
    /// The method names two places.
    #[error("(ringpop.route) has both key {path:?} and header; give one of them")]
    FieldAndHeader {
        /// The path.
        path: String,
    },
    /// The option says nothing.
    #[error(
        "(ringpop.route) names no key; give key or header, or mark a field of the request with (ringpop.key)"
    )]
    Empty,
    /// The method is no stream and is to end as one does.
    #[error("(ringpop.route) has end_when_moved, and the method streams nothing; leave it out")]
    UnaryEnds,
}
