//! The callers that may give commands to a member.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ringpop_forward::ConnectionEnds;
use tonic::{Request, Status};

use crate::limits::{ADMIN_NAMES_MAX, ADMIN_TOKEN_BYTES_MAX, ADMIN_TOKEN_BYTES_MIN};

/// The metadata that carries a token, after `Bearer ` (RFC 6750, section 2.1).
const AUTHORIZATION: &str = "authorization";

pub(crate) const BEARER: &str = "Bearer ";

/// The callers that may have a member do something by its administration service: leave the ring,
/// change labels or settings, reap, heal, stop gossip. Reading is open to all callers that reach
/// the port.
///
/// By default nobody may. Each method admits some callers; one of them is enough.
///
/// ```
/// use ringpop::{AdminAccess, Ringpop};
///
/// let access = AdminAccess::read_only().loopback().token_file("/run/secrets/ringpop-admin");
/// let builder = Ringpop::builder("rides").admin_access(access);
/// # drop(builder);
/// ```
#[derive(Debug, Clone, Default)]
pub struct AdminAccess {
    loopback: bool,
    unix_socket: bool,
    names: Vec<Pattern>,
    organizations: Vec<Pattern>,
    token_file: Option<PathBuf>,
}

/// Why callers cannot be admitted as was set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminAccessError {
    /// Names of certificates are authorised, and there are no certificates.
    #[error(
        "access to administration: names of certificates are authorised, and connections are not \
         encrypted; set `Builder::tls` as well"
    )]
    Unencrypted,
    /// There are too many names and organisations.
    #[error(
        "access to administration: {names} names are given, at most {ADMIN_NAMES_MAX} may be; use a \
         pattern for several"
    )]
    TooManyNames {
        /// How many there are.
        names: usize,
    },
    /// A name or an organisation is no pattern.
    #[error("access to administration: {text:?} is no pattern; write a text with at most one `*`")]
    Pattern {
        /// The text.
        text: String,
    },
    /// The token file cannot be read.
    #[error("access to administration: {} cannot be read; check path and permissions", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The token file has no token.
    #[error("access to administration: {} has no token; {TOKEN}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
    },
}

/// A text, or one with a single `*` that stands for any text.
#[derive(Debug, Clone)]
struct Pattern(String);

impl Pattern {
    #[cfg(any(test, feature = "tls"))]
    fn matches(&self, text: &str) -> bool {
        match self.0.split_once('*') {
            Some((before, after)) => {
                let rest = text.strip_prefix(before);
                rest.is_some_and(|rest| rest.ends_with(after))
            }
            None => self.0 == text,
        }
    }

    fn is_valid(&self) -> bool {
        !self.0.is_empty() && self.0.matches('*').count() <= 1
    }
}

/// A caller whose commands are carried out, as the log names it.
#[derive(Debug, Clone)]
pub(crate) struct Caller(String);

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AdminAccess {
    /// Nobody may give commands.
    #[must_use]
    pub fn read_only() -> Self {
        Self::default()
    }

    /// Admits callers whose connection begins and ends at a loopback address: processes of this
    /// machine, when the member listens on loopback.
    ///
    /// A proxy on the machine that passes on requests of others opens this to them.
    #[must_use]
    pub const fn loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Admits callers that come over a Unix socket, on a [`FrontEnd`](crate::FrontEnd): the
    /// processes that the permissions of its file let in. The log names their users.
    #[must_use]
    pub const fn unix_socket(mut self) -> Self {
        self.unix_socket = true;
        self
    }

    /// Admits callers with a certificate of the cluster's authority that has this alternative
    /// name: a DNS name in lower case, a URI, an email address or an IP address. One `*` stands
    /// for any text, as in `spiffe://prod/operators/*`. Such callers exist with
    /// `Builder::tls` (feature `tls`) only.
    #[must_use]
    pub fn name(mut self, pattern: impl Into<String>) -> Self {
        self.names.push(Pattern(pattern.into()));
        self
    }

    /// Admits callers with a certificate of the cluster's authority that names this organisation.
    /// One `*` stands for any text. As [`name`](Self::name) otherwise.
    #[must_use]
    pub fn organization(mut self, pattern: impl Into<String>) -> Self {
        self.organizations.push(Pattern(pattern.into()));
        self
    }

    /// Admits callers that send the content of this file, without white space around it, as the
    /// metadata `authorization: Bearer TOKEN`. The file is read for each command: a new token
    /// counts at once. It has 16 to 1,024 visible ASCII characters.
    ///
    /// Without TLS everybody on the way reads the token.
    #[must_use]
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_file = Some(path.into());
        self
    }

    /// Refuses what admits nobody or cannot be read. `encrypted`: callers may have certificates.
    pub(crate) fn check(&self, encrypted: bool) -> Result<(), AdminAccessError> {
        let names = self.names.len() + self.organizations.len();
        if names > 0 && !encrypted {
            return Err(AdminAccessError::Unencrypted);
        }
        if names > ADMIN_NAMES_MAX {
            return Err(AdminAccessError::TooManyNames { names });
        }
        let mut patterns = self.names.iter().chain(&self.organizations);
        if let Some(Pattern(text)) = patterns.find(|pattern| !pattern.is_valid()) {
            return Err(AdminAccessError::Pattern { text: text.clone() });
        }
        let Some(path) = &self.token_file else { return Ok(()) };
        match std::fs::read(path).map(|content| is_token(content.trim_ascii())) {
            Ok(true) => Ok(()),
            Ok(false) => Err(AdminAccessError::Token { path: path.clone() }),
            Err(source) => Err(AdminAccessError::TokenFile { path: path.clone(), source }),
        }
    }

    /// Admits a caller to commands, or says how one is admitted.
    pub(crate) async fn admit<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let ends = ConnectionEnds::of(request.extensions());
        let peer = ends.remote;
        if self.loopback && is_loopback(peer) && is_loopback(ends.local) {
            return Ok(Caller(format!("a process of this machine at {}", shown(peer))));
        }
        #[cfg(unix)]
        if self.unix_socket
            && let Some(user) = unix_user(request.extensions())
        {
            return Ok(Caller(user));
        }
        #[cfg(feature = "tls")]
        if let Some(name) = self.authorized_name(request.extensions()) {
            return Ok(Caller(format!("{name} at {}", shown(peer))));
        }
        if self.has_token(request).await {
            return Ok(Caller(format!("the holder of the token at {}", shown(peer))));
        }
        Err(Status::permission_denied(self.advice()))
    }

    #[cfg(feature = "tls")]
    fn authorized_name(&self, extensions: &http::Extensions) -> Option<String> {
        let names = ringpop_forward::caller_names(extensions)?;
        let found = |patterns: &[Pattern], names: Vec<String>| {
            names.into_iter().find(|name| patterns.iter().any(|pattern| pattern.matches(name)))
        };
        let alternative = found(&self.names, names.alternative);
        alternative.or_else(|| found(&self.organizations, names.organizations))
    }

    async fn has_token<T>(&self, request: &Request<T>) -> bool {
        let Some(path) = &self.token_file else { return false };
        let Some(given) = request.metadata().get(AUTHORIZATION) else { return false };
        let Some(given) = given.as_bytes().strip_prefix(BEARER.as_bytes()) else { return false };
        match read_token(path).await {
            Some(token) => is_same(&token, given),
            None => false,
        }
    }

    fn advice(&self) -> String {
        let mut ways = Vec::new();
        if self.loopback {
            ways.push("from this machine over loopback");
        }
        if self.unix_socket {
            ways.push("over its Unix socket");
        }
        if !self.names.is_empty() || !self.organizations.is_empty() {
            ways.push("with a certificate that has one of the names in its settings");
        }
        if self.token_file.is_some() {
            ways.push("with its token");
        }
        if ways.is_empty() {
            return "this member takes no commands: start it with `Builder::admin_access` (the \
                    command: --admin-loopback, --admin-name, --admin-organization or \
                    --admin-token-file)"
                .to_owned();
        }
        format!("this member takes commands only {}", ways.join(", or "))
    }
}

/// What a token file holds.
const TOKEN: &str = "it has 16 to 1,024 visible ASCII characters";

async fn read_token(path: &Path) -> Option<Vec<u8>> {
    match tokio::fs::read(path).await {
        Ok(content) => {
            let token = content.trim_ascii();
            if is_token(token) {
                return Some(token.to_vec());
            }
            tracing::warn!(path = %path.display(), "the token file has no token; {TOKEN}");
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the token file cannot be read");
        }
    }
    None
}

fn is_token(token: &[u8]) -> bool {
    (ADMIN_TOKEN_BYTES_MIN..=ADMIN_TOKEN_BYTES_MAX).contains(&token.len())
        && token.iter().all(u8::is_ascii_graphic)
}

/// Takes as long wherever the two differ: a caller cannot find a token out byte by byte.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}

/// The user of a caller that came over a Unix socket.
#[cfg(unix)]
fn unix_user(extensions: &http::Extensions) -> Option<String> {
    let caller = extensions.get::<tonic::transport::server::UdsConnectInfo>()?;
    Some(caller.peer_cred.map_or_else(
        || "an unknown user over a Unix socket".to_owned(),
        |user| format!("user {} over a Unix socket", user.uid()),
    ))
}

fn is_loopback(address: Option<SocketAddr>) -> bool {
    address.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

fn shown(peer: Option<SocketAddr>) -> String {
    peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern(pattern.to_owned()).matches(text)
    }

    #[test]
    fn a_star_stands_for_any_text_and_everything_else_for_itself() {
        assert!(matches("ops.example.com", "ops.example.com"));
        assert!(!matches("ops.example.com", "xops.example.com"));
        assert!(matches("*.ops.example.com", "alice.ops.example.com"));
        assert!(!matches("*.ops.example.com", "ops.example.com"));
        assert!(matches("spiffe://prod/*/admin", "spiffe://prod/alice/admin"));
        // Both ends do not share characters.
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("*", "anything"));
        assert!(!matches("spiffe://prod/Ops", "spiffe://prod/ops"));
    }

    #[test]
    fn settings_that_admit_nobody_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let reason = |access: &AdminAccess| access.check(true).unwrap_err().to_string();
        let access = AdminAccess::read_only().token_file(&path);
        assert!(reason(&access).contains("cannot be read"), "{}", reason(&access));
        for content in ["short", "with a blank in the middle", &"x".repeat(1025)] {
            std::fs::write(&path, content).unwrap();
            assert!(reason(&access).contains("has no token"), "{}", reason(&access));
        }
        std::fs::write(&path, "  0123456789abcdef\n").unwrap();
        access.check(true).unwrap();
        for text in ["", "*.*"] {
            let access = AdminAccess { names: vec![Pattern(text.to_owned())], ..access.clone() };
            assert!(reason(&access).contains("no pattern"), "{}", reason(&access));
        }
        let named = AdminAccess::read_only().name("ops.example.com");
        named.check(true).unwrap();
        let reason = named.check(false).unwrap_err().to_string();
        assert!(reason.contains("Builder::tls"), "{reason}");
    }

    #[tokio::test]
    async fn a_token_counts_as_long_as_it_is_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let access = AdminAccess::read_only().token_file(&path);
        let with = |value: &str| {
            let mut request = Request::new(());
            request.metadata_mut().insert(AUTHORIZATION, value.parse().unwrap());
            request
        };
        assert!(access.admit(&with("Bearer 0123456789abcdef")).await.is_ok());
        for wrong in
            ["0123456789abcdef", "Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Bearer "]
        {
            let refused = access.admit(&with(wrong)).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::PermissionDenied);
            assert!(refused.message().contains("with its token"), "{refused}");
        }
        std::fs::write(&path, "fedcba9876543210").unwrap();
        assert!(access.admit(&with("Bearer 0123456789abcdef")).await.is_err());
        assert!(access.admit(&with("Bearer fedcba9876543210")).await.is_ok());
        std::fs::write(&path, "").unwrap();
        assert!(access.admit(&with("Bearer ")).await.is_err(), "an empty file admits nobody");
    }

    #[tokio::test]
    async fn by_default_nobody_gives_commands_and_the_answer_says_what_to_set() {
        let refused = AdminAccess::default().admit(&Request::new(())).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        assert!(refused.message().contains("Builder::admin_access"), "{refused}");
    }
}
