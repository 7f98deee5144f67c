//! The service and its clients in this process, and local replacements for the services that it uses.

mod client;
pub mod custom_resource;
mod database;
pub mod deployment;
mod endpoints;
mod fake_dsql;
pub mod fake_secrets_manager;
mod forged;
mod gateway;
pub mod guesses;
pub mod http_server;
mod http_service;
mod keys;
mod machine;
mod mailbox;
mod pooler;
mod proxy;
mod refresh_token;
mod response;
mod response_url;
pub mod scenarios;
mod secrets_manager;
mod service;
pub mod sql;
pub mod tls;
pub mod workspace;

pub use client::{Client, Gateway, password, race, registration};
pub use database::{Database, database, fake_dsql_database, migration_app, postgresql_16};
pub use endpoints::{endpoints, roles};
pub use forged::Forged;
pub use gateway::GatewayRequest;
pub use http_service::watched_service;
pub use keys::{ADMIN_TOKEN, KEY_ID, SECRET, private_key};
pub use machine::{binaries, emulate, guard, silence, tools};
pub use mailbox::Mailbox;
pub use pooler::Pooler;
pub use proxy::Proxy;
pub use refresh_token::RefreshTokenParts;
pub use response::Response;
pub use response_url::{Received, ResponseUrl};
pub use secrets_manager::{SecretsManager, authorization};
pub use service::{KeyedSecrets, ManualClock, Service, in_process, pool, settings};

/// The result of a test.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;
