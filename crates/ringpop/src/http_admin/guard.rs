//! Which requests of browsers are taken, and what browsers may do with the answers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::refusal::Refusal;
use super::token::Token;
use crate::limits::HTTP_ADMIN_REQUESTS_MAX;

/// What every answer says to browsers: nothing from elsewhere is loaded, no script or style stands
/// in the page itself, no other page may frame it or read it.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What all requests share.
#[derive(Clone)]
pub(super) struct Guard {
    hosts: Arc<[String]>,
    token: Option<Token>,
    places: Arc<Semaphore>,
}

impl Guard {
    pub(super) fn new(hosts: Vec<String>, token: Option<Token>) -> Self {
        let places = Arc::new(Semaphore::new(HTTP_ADMIN_REQUESTS_MAX));
        Self { hosts: hosts.into(), token, places }
    }

    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = asked_for(uri, headers).ok_or_else(|| {
            Refusal::new(StatusCode::MISDIRECTED_REQUEST, "the request names no host")
        })?;
        if !self.is_known(host.host()) {
            // A name of another site that leads here: DNS rebinding.
            let reason = format!(
                "{} is no name of this listener: use an IP address or localhost, or give the name \
                 to the member (AdminHttp::host, --admin-http-host)",
                host.host()
            );
            return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, reason));
        }
        let foreign = || Refusal::new(StatusCode::FORBIDDEN, "pages of other origins may not ask");
        if let Some(origin) = headers.get(header::ORIGIN)
            && !is_of(origin, &host)
        {
            return Err(foreign());
        }
        // A link from elsewhere may open the page. It may neither read nor command.
        let from = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        let is_foreign = matches!(from, Some(b"cross-site" | b"same-site"));
        let opens_page = *method == Method::GET && !uri.path().starts_with("/api/");
        if is_foreign && !opens_page {
            return Err(foreign());
        }
        self.token.as_ref().map_or(Ok(()), |token| token.check(method, uri.path(), headers))
    }

    fn is_known(&self, host: &str) -> bool {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// The host and port that a request is for.
fn asked_for(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    Authority::try_from(headers.get(header::HOST)?.as_bytes()).ok()
}

/// Whether an origin is that of this listener.
fn is_of(origin: &HeaderValue, host: &Authority) -> bool {
    let Ok(origin) = Uri::try_from(origin.as_bytes()) else { return false };
    let default_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
    origin.authority().is_some_and(|authority| {
        authority.host().eq_ignore_ascii_case(host.host()) && port(authority) == port(host)
    })
}

/// Lets a request pass that no page of another site sent, and few at a time.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let checked = guard.check(request.method(), request.uri(), request.headers());
    let place = guard.places.try_acquire();
    let mut response = match (checked, place) {
        (Err(refusal), _) => refusal.into_response(),
        (Ok(()), Err(_)) => {
            let reason = format!("{HTTP_ADMIN_REQUESTS_MAX} requests are under way: try again");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
        }
        (Ok(()), Ok(_place)) => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::try_from(*name).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let headers: HeaderMap = headers.collect();
        let checked = guard.check(&method, &path.parse().unwrap(), &headers);
        checked.map_or_else(|refusal| refusal.into_response().status().as_u16(), |()| 200)
    }

    #[test]
    fn names_that_others_may_point_here_are_refused() {
        let guard = Guard::new(vec!["ring.example".to_owned()], None);
        for host in
            ["127.0.0.1", "127.0.0.1:80", "[::1]:9", "localhost:7", "10.0.0.1:1", "Ring.example:9"]
        {
            assert_eq!(check(&guard, Method::GET, "/", &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil.example",
            "ring.example.",
            "",
        ] {
            assert_eq!(check(&guard, Method::GET, "/", &[("host", host)]), 421, "{host}");
        }
        assert_eq!(check(&guard, Method::GET, "/", &[]), 421, "no host");
        // HTTP/2 names the host in the URI.
        assert_eq!(
            check(&guard, Method::GET, "http://evil.example/", &[("host", "localhost")]),
            421
        );
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let guard = Guard::new(Vec::new(), None);
        let from = |origin: &str| {
            let headers = [("host", "127.0.0.1:90"), ("origin", origin)];
            check(&guard, Method::POST, "/api/v1/leave", &headers)
        };
        assert_eq!(from("http://127.0.0.1:90"), 200);
        for origin in [
            "http://127.0.0.1:91",
            "http://localhost:90",
            "https://evil.example",
            "null",
            "http://127.0.0.1",
        ] {
            assert_eq!(from(origin), 403, "{origin}");
        }
        let site = |site: &str, method: Method, path: &str| {
            check(&guard, method, path, &[("host", "127.0.0.1"), ("sec-fetch-site", site)])
        };
        assert_eq!(site("same-origin", Method::POST, "/api/v1/leave"), 200);
        assert_eq!(site("none", Method::GET, "/api/v1/status"), 200);
        assert_eq!(site("cross-site", Method::GET, "/"), 200, "a link leads to the page");
        assert_eq!(site("cross-site", Method::GET, "/api/v1/status"), 403);
        assert_eq!(site("same-site", Method::POST, "/"), 403);
    }

    #[test]
    fn commands_need_the_token_where_there_is_one() {
        let guard = Guard::new(Vec::new(), Some(Token::new("correct-horse".to_owned())));
        let with = |method: Method, headers: &[(&str, &str)]| {
            let headers = [&[("host", "127.0.0.1")], headers].concat();
            check(&guard, method, "/api/v1/leave", &headers)
        };
        assert_eq!(with(Method::GET, &[]), 200, "questions are open");
        let keys = check(&guard, Method::GET, "/api/v1/hot-keys", &[("host", "127.0.0.1")]);
        assert_eq!(keys, 401, "but for the one about keys");
        assert_eq!(with(Method::POST, &[]), 401);
        for wrong in ["correct-horse", "Bearer correct-hors", "Bearer correct-horses", "Bearer "] {
            assert_eq!(with(Method::POST, &[("authorization", wrong)]), 401, "{wrong}");
        }
        assert_eq!(with(Method::POST, &[("authorization", "Bearer correct-horse")]), 200);
        let elsewhere =
            [("authorization", "Bearer correct-horse"), ("origin", "http://evil.example")];
        assert_eq!(with(Method::POST, &elsewhere), 403, "it opens nothing to other origins");
    }
}
