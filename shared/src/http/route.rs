use std::fmt;

use lambda_http::http::Method;

/// The method and path of an endpoint, in the notation of API Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces. `{key+}` matches the rest of the path, slashes included.
    pub path: &'static str,
}

impl Route {
    /// Makes the route `GET path`.
    pub const fn get(path: &'static str) -> Self {
        Self { method: Method::GET, path }
    }

    /// Makes the route `POST path`.
    pub const fn post(path: &'static str) -> Self {
        Self { method: Method::POST, path }
    }

    /// Makes the route `PUT path`.
    pub const fn put(path: &'static str) -> Self {
        Self { method: Method::PUT, path }
    }

    /// Makes the route `PATCH path`.
    pub const fn patch(path: &'static str) -> Self {
        Self { method: Method::PATCH, path }
    }

    /// Makes the route `DELETE path`.
    pub const fn delete(path: &'static str) -> Self {
        Self { method: Method::DELETE, path }
    }
}

/// Formats the route like a `routeKey` of API Gateway, for example `GET /api/data/{key+}`.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
