//! What the functions share: the rules of the contract, sign-in, the database, and the way from an event to an answer.
//!
//! # Invariants
//!
//! What a machine holds is named in brackets; the rest is held by whoever reads this.
//!
//! - `domain`, `auth` and `db` do not know HTTP, and `domain` does no I/O.
//! - A function depends on `shared` and on no other function. \[test `layout`\]
//! - Only [`runtime::respond`] makes a response, and no handler names a status for a failure: that is [`error`]'s.
//! - Each hazard has one home: the environment in [`config`], the clock in [`clock`], bcrypt in
//!   [`auth::password_hash`], `jsonwebtoken` in [`auth::access_token`], [`auth::key_ring`] and [`auth::jwt_crypto`], the
//!   AWS SDK in [`secrets`], its HTTP client in [`https`], the Lambda runtime in [`runtime`]. \[clippy `disallowed-methods`\]
//! - A route stands in its function's `ROUTE`, `template.yaml`, the OpenAPI document, `events/`, the README and the watch
//!   router in `Cargo.toml`. \[test `routes`\]
//! - A function signs in to the database as its role in [`db::roles`], which can do what its statements do and nothing
//!   else. \[test `roles`\]
//! - Nothing a client sends can panic, and if it did, it would cost that request only. \[test `panics`\]
//! - A request for values is one statement or, as a batch, one transaction, and the session check is part of it.
//! - Every answer is one that the OpenAPI document describes. \[`tests/openapi/check.py`\]

pub mod app;
pub mod audit;
pub mod auth;
pub mod clock;
pub mod config;
pub mod db;
pub mod domain;
pub mod error;
pub mod http;
pub mod https;
mod request_log;
pub mod runtime;
pub mod secrets;
pub mod telemetry;
mod traces;

pub use app::App;
pub use error::ApiError;
