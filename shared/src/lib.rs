//! The library of all functions: the rules of the API, sign-in, the database, and the conversion of events into
//! responses.
//!
//! # Modules
//!
//! From top to bottom. A module imports from modules below it only, and only from those that its line names; `domain`,
//! `report`, `env`, and `clock` may be imported everywhere above them. The test `source::layers` reads this table.
//!
//! | module | contains | imports |
//! |---|---|---|
//! | [`runtime`] | starts functions, serves invocations, answers events | all |
//! | [`app`] | the context of a handler: sessions, password checks, tokens, mailed codes | settings, db, auth, secrets, mail, http, error, audit, telemetry |
//! | [`http`] | requests, replies, responses, routes | error |
//! | [`secrets`] | cache of database credentials and signing keys, key rotation | db, aws, auth |
//! | [`error`] | codes, statuses, and messages of the contract | db, auth, mail |
//! | [`settings`] | settings of a deployment | auth, mail |
//! | [`mail`] | messages to users and the outbox | aws |
//! | [`aws`] | the AWS SDK and request signing | |
//! | [`db`] | all SQL, the connection pool, the schema's administration | auth, telemetry |
//! | [`audit`] | security events | auth, telemetry |
//! | [`auth`] | passwords and tokens: rules and cryptography | |
//! | [`telemetry`] | log, metrics, traces | |
//! | [`domain`] | value types | |
//! | [`env`], [`clock`], [`report`] | environment variables, time, error chains | |
//!
//! # Invariants
//!
//! The check of an invariant is in brackets.
//!
//! - `domain`, `auth`, and `db` do not know HTTP, and `domain` does no I/O. \[test `source::layers`\]
//! - A function depends on `shared` and on no other function. \[test `source::layout`\]
//! - Only [`http`] makes responses, and only [`error`] knows the status of an error.
//! - Each hazard has one home: the environment in [`env`], the clock in [`clock`], bcrypt in [`auth::password_hash`],
//!   `jsonwebtoken` in [`auth`], the AWS SDK in [`aws`], the Lambda runtime in [`runtime`]. \[clippy `disallowed-methods`\]
//! - A route is in its function's `ROUTE`, `template.yaml`, the OpenAPI document, `events/`, the README, and the watch router
//!   in `Cargo.toml`. \[test `contract::route_lists`\]
//! - A setting that the code reads is in `shared/README.md`, and so is each one that `template.yaml` sets.
//!   \[test `source::settings`\]
//! - A function signs in to the database as its [`db::Role`], which has the privileges that its statements need and no
//!   others. \[test `deploy::roles`\]
//! - No input from a client panics; if one did, only its request would fail. \[test `failure::panics`\]
//! - A request for values is one statement or, as a batch, one transaction, and checks the session itself.
//! - Every response is one that the OpenAPI document describes. \[`tests/openapi/check.py`\]
//!
//! [`env`]: mod@env

#![warn(clippy::missing_errors_doc)]

pub mod app;
pub mod audit;
pub mod auth;
pub mod aws;
pub mod clock;
pub mod db;
pub mod domain;
pub mod env;
pub mod error;
pub mod http;
pub mod mail;
pub mod report;
pub mod runtime;
pub mod secrets;
pub mod settings;
pub mod telemetry;

pub use app::App;
pub use error::ApiError;
