//! What the tests speak through: the service as its users see it.

mod answer;
mod client;
mod database;
mod endpoints;
mod event;
mod forged;
mod local;
mod look_alike;
mod proxy;
mod response_url;
mod secrets_manager;
mod served;
mod service;
pub mod sql;

pub use answer::Answer;
pub use client::{Client, Gateway, account, password, race};
pub use database::{Database, database, database_like_dsql, migration_app, postgresql_16};
pub use endpoints::endpoints;
pub use event::event;
pub use forged::{Forged, SECRET, SECRET_ID};
pub use local::{binaries, emulate, guard, silence, tools};
pub use proxy::Proxy;
pub use response_url::{Received, ResponseUrl};
pub use secrets_manager::SecretsManager;
pub use served::served;
pub use service::{HandClock, Service, in_process, settings};

/// What a test returns: `?` on whatever goes wrong.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;
