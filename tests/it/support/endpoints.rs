//! Every endpoint. The tests that compare lists start from this one, and requests find their function by it.

use std::collections::HashMap;
use std::sync::Arc;

use lambda_http::Context;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use shared::App;
use shared::auth::key_ring::KeyRing;
use shared::http::Route;
use shared::runtime::respond;
use shared::secrets::{NoKeys, Secrets};

/// The contexts that the functions are handed: of a function with a database one of its own, which signs in as its role.
#[derive(Clone)]
pub struct Apps {
    pub without_keys: HashMap<&'static str, App<NoKeys>>,
    pub with_keys: HashMap<&'static str, App<KeyRing>>,
    pub keys: Arc<Secrets<KeyRing>>,
}

impl Apps {
    fn without_keys(&self, function: &str) -> App<NoKeys> {
        self.without_keys[function].clone()
    }

    fn with_keys(&self, function: &str) -> App<KeyRing> {
        self.with_keys[function].clone()
    }

    fn keys(&self, _: &str) -> Arc<Secrets<KeyRing>> {
        Arc::clone(&self.keys)
    }

    fn nothing(&self, _: &str) {}
}

macro_rules! endpoints {
    ($($name:literal $function:ident $app:ident)*) => {
        /// Every endpoint: its folder in `functions/` and its route.
        pub fn endpoints() -> Vec<(&'static str, Route)> {
            vec![$(($name, $function::ROUTE)),*]
        }

        /// Hands an event to the function of a route.
        pub async fn answer(apps: &Apps, route: &Route, event: &str) -> ApiGatewayV2httpResponse {
            $(if *route == $function::ROUTE {
                // Boxed: the compiler would lay out the states of all functions as one.
                let invocation = Context::default();
                return Box::pin(respond(apps.$app($name), route, $function::handle, event, &invocation)).await;
            })*
            panic!("no function answers {route}")
        }
    };
}

endpoints! {
    "health-get" health_get nothing
    "health-ready" health_ready without_keys
    "openapi-get" openapi_get nothing
    "docs-get" docs_get nothing
    "register" register without_keys
    "token" token with_keys
    "token-refresh" token_refresh with_keys
    "token-revoke" token_revoke without_keys
    "session-list" session_list with_keys
    "session-delete" session_delete with_keys
    "session-delete-all" session_delete_all with_keys
    "account-get" account_get with_keys
    "account-update" account_update with_keys
    "account-delete" account_delete with_keys
    "password-update" password_update with_keys
    "jwks-get" jwks_get keys
    "account-export" account_export with_keys
    "data-list" data_list with_keys
    "data-batch" data_batch with_keys
    "data-create" data_create with_keys
    "data-get" data_get with_keys
    "data-update" data_update with_keys
    "data-delete" data_delete with_keys
}
