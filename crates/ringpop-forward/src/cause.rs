//! Why a connection failed, in one sentence for people.

use std::error::Error;
use std::io;

#[cfg(feature = "tls")]
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

use crate::transport::Unresolved;

/// Says why a connection could not be opened or used: what the innermost error says, and what to
/// check where that is known. `error` may be wrapped in others, as in the status of a call.
///
/// ```
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let text = ringpop_forward::explain_failure(&refused);
/// assert!(text.starts_with("connection refused (nothing listens there: check the address"));
/// ```
#[must_use]
pub fn explain_failure(error: &(dyn Error + 'static)) -> String {
    explain(error)
}

/// What an error says, and after it what each of its causes says: for errors that leave their
/// causes to [`Error::source`]. A cause that says what the error before it said is left out.
///
/// ```
/// use ringpop_forward::{TlsFiles, Tls, with_causes};
///
/// # #[cfg(feature = "tls")] {
/// let error = Tls::new(TlsFiles::new("/none.pem", "/none.key", "/none.ca")).unwrap_err();
/// assert!(with_causes(&error).contains("/none"));
/// # }
/// ```
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

pub(crate) fn explain(error: &(dyn Error + 'static)) -> String {
    let (mut cause, mut advice) = (error, None);
    loop {
        advice = advise(cause).or(advice);
        match next(cause) {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    match advice {
        Some(advice) => format!("{cause} ({advice})"),
        None => cause.to_string(),
    }
}

/// The error inside. An `io::Error` passes over its own content, which is where TLS puts its
/// errors.
fn next<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(inner);
    }
    if let Some(inner) = error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io) {
        return Some(inner);
    }
    error.source()
}

/// A server of another kind answers in a way that is not understood, or not at all.
const CLOSED: &str = "the other side closed the connection: check that no other kind of server has the port, and that both \
                      sides use TLS, or neither does";

fn advise(error: &(dyn Error + 'static)) -> Option<&'static str> {
    #[cfg(feature = "tls")]
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return advise_tls(error);
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return advise_http(error);
    }
    if error.is::<Unresolved>() {
        return Some("the resolver is slow or silent: check the name servers of this host");
    }
    let Some(error) = error.downcast_ref::<io::Error>() else {
        // hyper's, whose type is not one of this crate's.
        let text = error.to_string();
        return matches!(text.as_str(), "connection closed" | "operation was canceled")
            .then_some(CLOSED);
    };
    if error.to_string().starts_with("failed to lookup address information") {
        return Some("the name does not resolve: check its spelling and the resolver");
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Some("nothing listens there: check the address and that the process runs")
        }
        io::ErrorKind::TimedOut => {
            Some("no answer from there: check the address, the network and firewalls")
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("no way there: check the address and the network")
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted => Some(CLOSED),
        _ => None,
    }
}

/// What an HTTP/2 client hears from something else: the bytes of HTTP/1 or of a TLS alert, read as
/// a frame.
fn advise_http(error: &h2::Error) -> Option<&'static str> {
    let is_strange = error.is_library()
        && matches!(
            error.reason(),
            Some(h2::Reason::FRAME_SIZE_ERROR | h2::Reason::PROTOCOL_ERROR)
        );
    is_strange.then_some(
        "no HTTP/2 is spoken there: check that no other kind of server has the port, and that both sides use TLS, or \
         neither does",
    )
}

#[cfg(feature = "tls")]
fn advise_tls(error: &rustls::Error) -> Option<&'static str> {
    use rustls::Error as Tls;

    match error {
        Tls::InvalidCertificate(reason) => {
            match reason {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(
                    "its certificate is of another authority: check the authority on both sides",
                ),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Some("its certificate has expired: renew it, or check the clocks")
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Some("its certificate is not valid yet: check the clocks")
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Some(
                    "its certificate bears another name: it must bear the host of its address, or one name must be set for all",
                ),
                CertificateError::InvalidPurpose
                | CertificateError::InvalidPurposeContext { .. } => Some(
                    "its certificate must be for servers and for clients: check the extended key usage",
                ),
                _ => None,
            }
        }
        Tls::NoCertificatesPresented => Some("it presented no certificate"),
        Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. } => {
            Some("no TLS is spoken there: check that both sides use TLS, or neither does")
        }
        Tls::AlertReceived(alert) => advise_alert(*alert),
        _ => None,
    }
}

/// What the other side says of this one.
#[cfg(feature = "tls")]
const fn advise_alert(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => Some(
            "it does not know the authority of this certificate: check the authority on both sides",
        ),
        AlertDescription::CertificateExpired => {
            Some("it finds that this certificate has expired: renew it, or check the clocks")
        }
        AlertDescription::CertificateRequired => Some("it wants a certificate"),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => {
            Some("it does not accept this certificate: check its name, purpose and authority")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_error_is_named_with_what_to_check() {
        let inner =
            io::Error::other("failed to lookup address information: Name or service not known");
        let outer = io::Error::other(inner);
        let text = explain(&outer);
        assert!(text.starts_with("failed to lookup address information"), "{text}");
        assert!(text.contains("the name does not resolve"), "{text}");
        let text = explain(&io::Error::from(io::ErrorKind::UnexpectedEof));
        assert!(text.contains("sides use TLS"), "{text}");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn certificates_that_are_refused_say_what_is_wrong_with_them() {
        for (error, word) in [
            (CertificateError::UnknownIssuer, "authority"),
            (CertificateError::Expired, "expired"),
            (CertificateError::NotValidForName, "another name"),
        ] {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                rustls::Error::InvalidCertificate(error),
            );
            let text = explain(&error);
            assert!(text.contains(word), "{text}");
        }
    }
}
