use std::fmt;

use lambda_http::http::Method;

/// The method and path of an endpoint, in the notation of API Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces. `{key+}` matches the rest of the path, slashes included.
    pub path: &'static str,
    /// Whether the resource has entity tags, so that the handler evaluates preconditions.
    pub(crate) has_entity_tags: bool,
}

impl Route {
    /// Makes the route `GET path`.
    pub const fn get(path: &'static str) -> Self {
        Self::new(Method::GET, path)
    }

    /// Makes the route `POST path`.
    pub const fn post(path: &'static str) -> Self {
        Self::new(Method::POST, path)
    }

    /// Makes the route `PUT path`.
    pub const fn put(path: &'static str) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Makes the route `PATCH path`.
    pub const fn patch(path: &'static str) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Makes the route `DELETE path`.
    pub const fn delete(path: &'static str) -> Self {
        Self::new(Method::DELETE, path)
    }

    const fn new(method: Method, path: &'static str) -> Self {
        Self { method, path, has_entity_tags: false }
    }

    /// Declares that the resource has entity tags. Writes of other resources reject a list of tags in `If-Match`.
    #[must_use]
    pub const fn with_entity_tags(mut self) -> Self {
        self.has_entity_tags = true;
        self
    }
}

/// Formats the route like a `routeKey` of API Gateway, for example `GET /api/data/{key+}`.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
