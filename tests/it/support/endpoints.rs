//! The list of endpoints, and the call of an endpoint's function.
//!
//! `tests/build.rs` generates the list from the functions, which declare a `ROUTE` and a `ROLE`.

use std::collections::HashMap;
use std::sync::Arc;

use lambda_runtime::Context;
use shared::App;
use shared::auth::digest_keys::DigestKeys;
use shared::auth::key_ring::KeyRing;
use shared::auth::verifying_keys::VerifyingKeys;
use shared::db::Role;
use shared::http::{Response, Route};
use shared::runtime::respond;
use shared::secrets::{NoKeys, Secrets};

/// The contexts of the functions. Each function has its own app, because it signs in as its own role.
#[derive(Clone)]
pub struct Apps {
    pub without_keys: HashMap<&'static str, App<NoKeys>>,
    pub verifying: HashMap<&'static str, App>,
    pub signing: HashMap<&'static str, App<KeyRing>>,
    pub digests: HashMap<&'static str, App<DigestKeys>>,
    pub public_keys: Arc<Secrets<VerifyingKeys>>,
}

/// A type of context that a `handle` function takes.
trait FromApps {
    fn from_apps(apps: &Apps, function: &str) -> Self;
}

impl FromApps for App<NoKeys> {
    fn from_apps(apps: &Apps, function: &str) -> Self {
        apps.without_keys[function].clone()
    }
}

impl FromApps for App {
    fn from_apps(apps: &Apps, function: &str) -> Self {
        apps.verifying[function].clone()
    }
}

impl FromApps for App<KeyRing> {
    fn from_apps(apps: &Apps, function: &str) -> Self {
        apps.signing[function].clone()
    }
}

impl FromApps for App<DigestKeys> {
    fn from_apps(apps: &Apps, function: &str) -> Self {
        apps.digests[function].clone()
    }
}

impl FromApps for Arc<Secrets<VerifyingKeys>> {
    fn from_apps(apps: &Apps, _: &str) -> Self {
        Self::clone(&apps.public_keys)
    }
}

impl FromApps for () {
    fn from_apps(_: &Apps, _: &str) -> Self {}
}

macro_rules! endpoints {
    ($($name:literal $function:ident ($role:expr))*) => {
        /// All endpoints: the name of the function and the route.
        pub fn endpoints() -> Vec<(&'static str, Route)> {
            vec![$(($name, $function::ROUTE)),*]
        }

        const ENDPOINT_ROLES: &[(&str, Option<Role>)] = &[$(($name, $role)),*];

        /// Calls the function of a route with an event.
        pub async fn invoke(apps: &Apps, route: &Route, event: &str) -> Response {
            $(if *route == $function::ROUTE {
                let (app, invocation) = (FromApps::from_apps(apps, $name), Context::default());
                // Boxed, because this future would otherwise hold the states of all functions.
                return Box::pin(respond(app, route, $function::handle, event, &invocation)).await;
            })*
            panic!("no function serves {route}")
        }
    };
}

macro_rules! tasks {
    ($($name:literal ($role:expr))*) => {
        const TASK_ROLES: &[(&str, Option<Role>)] = &[$(($name, $role)),*];
    };
}

include!(concat!(env!("OUT_DIR"), "/functions.rs"));

/// Every function that has a database role, and the role.
pub fn roles() -> impl Iterator<Item = (&'static str, Role)> {
    ENDPOINT_ROLES.iter().chain(TASK_ROLES).filter_map(|(function, role)| Some((*function, (*role)?)))
}
