//! The table of methods that are sharded: where each finds its key and what may be done with it.
//!
//! [`MethodRoute`] is what a constant table holds, the kind that `ringpop-build` writes; [`Routes`]
//! is what a forwarder looks paths up in.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::request::Parts;

use crate::error::ConfigError;
use crate::observe::OTHER_METHOD;
use crate::resolver::Resolver;
use crate::route::key::{HeadFn, Key, KeySource};

/// Largest protobuf field number.
const FIELD_NUMBER_MAX: u32 = (1 << 29) - 1;

/// One method in a constant table, for [`Routes::table`].
///
/// ```
/// use ringpop_forward::{MethodRoute, Routes};
///
/// const KV_ROUTES: &[MethodRoute] = &[
///     MethodRoute::field("/kv.v1.Kv/Get", &[1]).unary().idempotent(),
///     MethodRoute::header("/kv.v1.Kv/Watch"),
/// ];
/// let routes = Routes::new().table(KV_ROUTES);
/// # let _ = routes;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct MethodRoute {
    path: &'static str,
    /// `None` when the key is in metadata.
    field: Option<&'static [u32]>,
    unary: bool,
    idempotent: bool,
    end_when_moved: bool,
}

impl MethodRoute {
    /// A method that is routed by a field of its first message; see [`Routes::field`].
    pub const fn field(path: &'static str, field: &'static [u32]) -> Self {
        Self { field: Some(field), ..Self::header(path) }
    }

    /// A method that is routed by metadata; see [`Routes::header`].
    pub const fn header(path: &'static str) -> Self {
        Self { path, field: None, unary: false, idempotent: false, end_when_moved: false }
    }

    /// The method takes one message and answers one message.
    pub const fn unary(mut self) -> Self {
        self.unary = true;
        self
    }

    /// Executing a call of the method twice has the effect of executing it once.
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// A stream of the method ends when its key moves; see [`Routes::end_when_moved`].
    pub const fn end_when_moved(mut self) -> Self {
        self.end_when_moved = true;
        self
    }
}

/// The methods that are sharded. A path without a route is always handled locally.
///
/// Each method starts as the careful case: a stream that stays where it began, and not to be
/// executed twice. [`unary`](Self::unary), [`idempotent`](Self::idempotent) and
/// [`end_when_moved`](Self::end_when_moved) refine the method that was named last. Mistakes are
/// reported by [`Builder::build`](crate::Builder::build).
///
/// ```
/// use ringpop_forward::Routes;
///
/// let routes = Routes::new()
///     .field("/kv.v1.Kv/Get", &[1]).unary().idempotent()
///     .field("/kv.v1.Kv/Put", &[2, 1]).unary()
///     .header("/kv.v1.Kv/Watch");
/// ```
#[derive(Default)]
pub struct Routes {
    by_path: HashMap<String, Arc<Route>>,
    fallback: Option<Arc<Route>>,
    last: Option<String>,
    error: Option<ConfigError>,
}

/// How the calls of one method are treated.
#[derive(Clone)]
pub(crate) struct Route {
    /// The path, unless the route stands for many.
    path: Option<Box<str>>,
    pub(crate) key: KeySource,
    /// One message each way: the request can be collected before it is sent.
    pub(crate) unary: bool,
    /// Executing a call twice has the same effect as once.
    pub(crate) idempotent: bool,
    /// A stream does not outlive the ownership of its key.
    pub(crate) end_when_moved: bool,
    /// Names the owners of the keys in place of the resolver of the forwarder.
    pub(crate) resolver: Option<Arc<dyn Resolver>>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("path", &self.path)
            .field("key", &self.key)
            .field("unary", &self.unary)
            .field("idempotent", &self.idempotent)
            .field("end_when_moved", &self.end_when_moved)
            .field("has_own_resolver", &self.resolver.is_some())
            .finish()
    }
}

impl Route {
    pub(crate) fn new(key: KeySource) -> Self {
        let [unary, idempotent, end_when_moved] = [false; 3];
        Self { path: None, key, unary, idempotent, end_when_moved, resolver: None }
    }

    /// The method as figures name it.
    pub(crate) fn method(&self) -> &str {
        self.path.as_deref().unwrap_or(OTHER_METHOD)
    }
}

impl Routes {
    /// A table without routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Routes `path`, such as `/pkg.Service/Method`, by a field of its first message.
    ///
    /// `field` is the path of field numbers from the message to the key: `&[4, 3]` is field 3 of
    /// the message in field 4. Strings and bytes are the key as they are; an integer is its decimal
    /// digits, read as unsigned from its wire form. Messages in gzip are searched with feature
    /// `gzip`, and no others that are compressed. Without the field the metadata
    /// [`KEY_HEADER`](crate::KEY_HEADER) decides, which also wins when both are present.
    #[must_use]
    pub fn field(mut self, path: &str, field: &[u32]) -> Self {
        if field.is_empty() || field.iter().any(|&n| n == 0 || n > FIELD_NUMBER_MAX) {
            self.fail(ConfigError::Field { path: path.to_owned(), field: field.to_vec() });
        }
        self.insert(path, KeySource::Field(field.into()))
    }

    /// Adds every method of a table, such as one that `ringpop-build` made from the options of a
    /// schema.
    #[must_use]
    pub fn table(self, table: &[MethodRoute]) -> Self {
        table.iter().fold(self, |routes, method| {
            let mut routes = match method.field {
                Some(field) => routes.field(method.path, field),
                None => routes.header(method.path),
            };
            if method.unary {
                routes = routes.unary();
            }
            if method.idempotent {
                routes = routes.idempotent();
            }
            if method.end_when_moved {
                routes = routes.end_when_moved();
            }
            routes
        })
    }

    /// Routes `path` by metadata [`KEY_HEADER`](crate::KEY_HEADER) or
    /// [`KEY_BIN_HEADER`](crate::KEY_BIN_HEADER).
    #[must_use]
    pub fn header(self, path: &str) -> Self {
        self.insert(path, KeySource::Header)
    }

    /// Routes `path` by what `key` reads from the head of the request.
    #[must_use]
    pub fn head(
        self,
        path: &str,
        key: impl Fn(&Parts) -> Option<Key> + Send + Sync + 'static,
    ) -> Self {
        self.insert(path, KeySource::Head(Arc::new(key)))
    }

    /// Routes every method without a route of its own, as far as `key` finds one in the head of the
    /// request; the rest stays local. Meant for paths that cannot be listed, such as `/users/{id}`
    /// of an HTTP service on the same port.
    #[must_use]
    pub fn any_head(mut self, key: impl Fn(&Parts) -> Option<Key> + Send + Sync + 'static) -> Self {
        self.last = None;
        let source = KeySource::Head(Arc::new(key) as HeadFn);
        self.fallback = Some(Arc::new(Route::new(source)));
        self
    }

    /// States that the last method takes one message and answers one message.
    #[must_use]
    pub fn unary(self) -> Self {
        self.refine("unary", |route| route.unary = true)
    }

    /// States that executing a call of the last method twice has the effect of executing it once,
    /// so that it is sent again when it is unknown whether it was executed.
    #[must_use]
    pub fn idempotent(self) -> Self {
        self.refine("idempotent", |route| route.idempotent = true)
    }

    /// Ends the streams of the last method when their key moves to another owner than the process
    /// that handles them: with ABORTED, the new owner in the message and in metadata
    /// [`MOVED_TO_HEADER`](crate::MOVED_TO_HEADER). The caller begins the stream again, and comes
    /// to the new owner.
    ///
    /// Both the process that handles the call and the one that forwards it end it, so it ends
    /// even when the two cannot reach each other any more. A handler that has not answered yet is
    /// dropped.
    ///
    /// By default streams are kept: an upload or a session goes on where it began, with the process
    /// that began it, and its handler learns of the move by [`Ownership`](crate::Ownership). A
    /// stream of updates goes stale that way without a sign, because updates come to the new owner;
    /// end it.
    ///
    /// Without an effect where the resolver has no [epoch](crate::Resolver::changed) that changes.
    #[must_use]
    pub fn end_when_moved(self) -> Self {
        self.refine("end_when_moved", |route| route.end_when_moved = true)
    }

    /// Has `resolver` say who owns the keys of all these methods, in place of the resolver of the
    /// forwarder: for services whose keys are spread over other members, such as those of one role.
    ///
    /// ```
    /// use ringpop_forward::{Forwarder, Routes, StaticResolver};
    ///
    /// let all = ["10.0.0.1:7100", "10.0.0.2:7100", "10.0.0.3:7100"];
    /// let workers = StaticResolver::new("10.0.0.1:7100", ["10.0.0.2:7100", "10.0.0.3:7100"])?;
    /// let forwarder = Forwarder::builder(StaticResolver::new("10.0.0.1:7100", all)?)
    ///     .name("10.0.0.1:7100")
    ///     .routes(
    ///         Routes::new()
    ///             .header("/kv.v1.Kv/Get")
    ///             .and(Routes::new().header("/jobs.v1.Jobs/Run").owned_by(workers)),
    ///     )
    ///     .build()?;
    /// # let _ = forwarder;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn owned_by(mut self, resolver: impl Resolver) -> Self {
        let resolver: Arc<dyn Resolver> = Arc::new(resolver);
        for route in self.by_path.values_mut().chain(&mut self.fallback) {
            Arc::make_mut(route).resolver = Some(Arc::clone(&resolver));
        }
        self
    }

    /// Adds the methods of another table. A method may be in one of them only, and so may
    /// [`any_head`](Self::any_head).
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.last = None;
        for (path, route) in other.by_path {
            if self.by_path.contains_key(&path) {
                self.fail(ConfigError::RouteTwice { path: path.clone() });
            }
            self.by_path.insert(path, route);
        }
        if self.fallback.is_some() && other.fallback.is_some() {
            self.fail(ConfigError::RouteTwice { path: OTHER_METHOD.to_owned() });
        }
        self.fallback = other.fallback.or(self.fallback);
        if let Some(error) = other.error {
            self.fail(error);
        }
        self
    }

    /// The paths of methods that have a route of their own and find their key in a message or in
    /// metadata, which makes them methods of gRPC. Sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let is_grpc = |route: &Route| !matches!(route.key, KeySource::Head(_));
        let own = self.by_path.iter().filter(|(_, route)| is_grpc(route));
        let mut paths: Vec<_> = own.map(|(path, _)| path.clone()).collect();
        paths.sort_unstable();
        paths
    }

    /// Whether no method is routed at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty() && self.fallback.is_none()
    }

    pub(crate) fn find(&self, parts: &Parts) -> Option<&Arc<Route>> {
        if let Some(route) = self.by_path.get(parts.uri.path()) {
            return Some(route);
        }
        let fallback = self.fallback.as_ref()?;
        match fallback.key.read(parts) {
            Ok(crate::route::key::HeadKey::Missing) => None,
            _ => Some(fallback),
        }
    }

    pub(crate) fn error(&self) -> Option<&ConfigError> {
        self.error.as_ref()
    }

    fn insert(mut self, path: &str, key: KeySource) -> Self {
        if !path.starts_with('/') || path.len() < 2 {
            self.fail(ConfigError::RoutePath { path: path.to_owned() });
        }
        let route = Arc::new(Route { path: Some(path.into()), ..Route::new(key) });
        if self.by_path.insert(path.to_owned(), route).is_some() {
            self.fail(ConfigError::RouteTwice { path: path.to_owned() });
        }
        self.last = Some(path.to_owned());
        self
    }

    fn refine(mut self, what: &'static str, change: impl FnOnce(&mut Route)) -> Self {
        let last = self.last.as_ref().and_then(|path| self.by_path.get_mut(path));
        let Some(route) = last else {
            self.fail(ConfigError::NoRouteToRefine { what });
            return self;
        };
        let route = Arc::make_mut(route);
        change(route);
        if route.unary && route.end_when_moved {
            let path = route.method().to_owned();
            self.fail(ConfigError::UnaryEnds { path });
        }
        self
    }

    /// Keeps the first error: later ones often follow from it.
    fn fail(&mut self, error: ConfigError) {
        self.error.get_or_insert(error);
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.by_path).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> Parts {
        http::Request::builder().uri(path).body(()).unwrap().into_parts().0
    }

    #[test]
    fn modifiers_refine_the_method_named_last() {
        let routes =
            Routes::new().field("/a/B", &[1]).header("/a/C").unary().header("/a/D").idempotent();
        let kind = |path| routes.find(&parts(path)).map(|r| (r.unary, r.idempotent));
        assert_eq!(kind("/a/B"), Some((false, false)));
        assert_eq!(kind("/a/C"), Some((true, false)));
        assert_eq!(kind("/a/D"), Some((false, true)));
        assert_eq!(kind("/a/E"), None);
    }

    #[test]
    fn a_table_is_the_same_as_its_methods_one_by_one() {
        const TABLE: &[MethodRoute] = &[
            MethodRoute::field("/a/B", &[4, 3]).unary().idempotent(),
            MethodRoute::field("/a/C", &[1]),
            MethodRoute::header("/a/D").unary(),
            MethodRoute::header("/a/E").end_when_moved(),
        ];
        let by_hand = Routes::new()
            .field("/a/B", &[4, 3])
            .unary()
            .idempotent()
            .field("/a/C", &[1])
            .header("/a/D")
            .unary()
            .header("/a/E")
            .end_when_moved();
        let table = Routes::new().table(TABLE);
        for path in ["/a/B", "/a/C", "/a/D", "/a/E"] {
            let show = |routes: &Routes| format!("{:?}", routes.find(&parts(path)).unwrap());
            assert_eq!(show(&table), show(&by_hand));
        }
        let twice = Routes::new().table(TABLE).table(TABLE);
        assert!(twice.error().unwrap().to_string().contains("/a/B is given twice"));
    }

    #[test]
    fn two_tables_are_one_with_the_resolver_of_each() {
        let nobody = || crate::resolver::StaticResolver::from_fn(|_, _, _| {});
        let own =
            Routes::new().header("/a/C").any_head(|_| Some(Key::from("k"))).owned_by(nobody());
        let both = || Routes::new().header("/a/B").unary();
        let routes = both().and(own);
        let has_own = |path| routes.find(&parts(path)).unwrap().resolver.is_some();
        assert!(!has_own("/a/B") && has_own("/a/C") && has_own("/other"));
        assert!(routes.error().is_none());
        let error = |routes: Routes| routes.error().unwrap().to_string();
        assert!(error(both().and(both())).contains("/a/B"));
        assert!(error(both().and(Routes::new().header("none"))).contains("none"));
        assert!(
            error(both().and(Routes::new().header("/a/C")).idempotent()).contains("idempotent")
        );
        let any = || Routes::new().any_head(|_| None);
        assert!(any().and(any()).error().is_some());
    }

    #[test]
    fn a_fallback_routes_only_what_it_finds_a_key_in() {
        let routes =
            Routes::new().any_head(|p| p.uri.path().strip_prefix("/users/").map(Key::from));
        assert!(routes.find(&parts("/users/7")).is_some());
        assert!(routes.find(&parts("/users/")).is_none());
        assert!(routes.find(&parts("/health")).is_none());
    }

    #[test]
    fn mistakes_are_kept_for_the_builder() {
        let error =
            |routes: Routes| routes.error().cloned().map(|e| e.to_string()).unwrap_or_default();
        assert!(error(Routes::new().unary()).contains("unary"));
        assert!(error(Routes::new().header("no-slash")).contains("no-slash"));
        assert!(error(Routes::new().header("/a/B").field("/a/B", &[1])).contains("/a/B"));
        assert!(error(Routes::new().field("/a/B", &[])).contains("/a/B"));
        assert!(error(Routes::new().field("/a/B", &[1, 0])).contains("/a/B"));
        assert!(error(Routes::new().field("/a/B", &[1])).is_empty());
        let ends = || Routes::new().header("/a/B").end_when_moved();
        assert!(error(ends()).is_empty());
        assert!(error(ends().unary()).contains("/a/B is unary"));
        assert!(error(Routes::new().header("/a/B").unary().end_when_moved()).contains("/a/B"));
    }
}
