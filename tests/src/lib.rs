//! The services a test or `cargo dev` runs against, started from pinned tools and never left behind.
//!
//! | module | what it holds |
//! |---|---|
//! | [`tools`] | the pinned programs from PyPI, in one virtual environment under `target/` |
//! | [`process`] | children that end when this process does, however it does |
//! | [`postgres`] | PostgreSQL 18 or 16, for development (durable) or for one test (thrown away) |
//! | [`binaries`] | the functions, built once |
//! | [`watch`] | `cargo lambda watch`: every function behind its route |
//! | [`emulator`] | one function under the AWS Lambda Runtime Interface Emulator |
//! | [`port`] | free and taken ports of this machine |
//!
//! Everything here blocks: it starts processes and waits for them.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for processes and read their own environment; `.clippy.toml` names modules for functions"
)]

pub mod binaries;
pub mod emulator;
mod error;
mod log;
pub mod port;
pub mod postgres;
pub mod process;
pub mod tools;
pub mod watch;

pub use error::Error;

/// The root of the workspace, where cargo and cargo-lambda are run.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
