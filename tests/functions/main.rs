//! Prints the declarations of each function as JSON: `{"functions":[{"name","route","role","keys"}, …]}`. The tests of
//! `template.yaml` compare them with the roles and permissions in the template.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::App;
use shared::auth::digest_keys::DigestKeys;
use shared::auth::key_ring::KeyRing;
use shared::auth::verifying_keys::VerifyingKeys;
use shared::db::Role;
use shared::http::{Request, Route};
use shared::secrets::{NoKeys, Secrets};

/// A context that the `handle` of some function takes.
trait Context {
    /// The use of functions with this context for keys: `none`, `verify`, `digest`, or `sign`.
    const KEYS: &str;
}

impl Context for () {
    const KEYS: &str = "none";
}

impl Context for App<NoKeys> {
    const KEYS: &str = "none";
}

impl Context for App<KeyRing> {
    const KEYS: &str = "sign";
}

impl Context for App<DigestKeys> {
    const KEYS: &str = "digest";
}

impl Context for App {
    const KEYS: &str = "verify";
}

impl Context for Arc<Secrets<VerifyingKeys>> {
    const KEYS: &str = "verify";
}

fn use_of_keys<C: Context, F>(_: impl Fn(C, Request) -> F) -> &'static str {
    C::KEYS
}

fn describe(name: &str, route: Option<Route>, role: Option<Role>, keys: &str) -> Value {
    json!({ "name": name, "route": route.map(|route| route.to_string()), "role": role.map(Role::name), "keys": keys })
}

macro_rules! endpoints {
    ($($name:literal $function:ident ($role:expr))*) => {
        fn endpoints() -> Vec<Value> {
            vec![$(describe($name, Some($function::ROUTE), $role, use_of_keys($function::handle))),*]
        }
    };
}

macro_rules! tasks {
    ($($name:literal ($role:expr))*) => {
        fn tasks() -> Vec<Value> {
            // A task takes an `App<NoKeys>` or creates its own context.
            vec![$(describe($name, None, $role, "none")),*]
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/functions.rs"));

fn main() {
    let functions = [endpoints(), tasks()].concat();
    println!("{}", json!({ "functions": functions }));
}
