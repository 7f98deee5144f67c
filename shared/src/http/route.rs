use std::fmt;

use lambda_http::http::Method;

/// The method and path that a function answers, as API Gateway spells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces; `{key+}` takes the rest of the path, slashes and all.
    pub path: &'static str,
}

impl Route {
    /// `GET path`.
    pub const fn get(path: &'static str) -> Self {
        Self { method: Method::GET, path }
    }

    /// `POST path`.
    pub const fn post(path: &'static str) -> Self {
        Self { method: Method::POST, path }
    }

    /// `PUT path`.
    pub const fn put(path: &'static str) -> Self {
        Self { method: Method::PUT, path }
    }

    /// `PATCH path`.
    pub const fn patch(path: &'static str) -> Self {
        Self { method: Method::PATCH, path }
    }

    /// `DELETE path`.
    pub const fn delete(path: &'static str) -> Self {
        Self { method: Method::DELETE, path }
    }
}

/// The form of a `routeKey`: `GET /api/data/{key+}`.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
