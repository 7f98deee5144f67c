//! The services that tests and `cargo dev` run against. They are started from pinned tools and always stopped.
//!
//! | module | contains |
//! |---|---|
//! | [`tools`] | the pinned programs from PyPI, in a virtual environment under `target/` |
//! | [`process`] | child processes that end when this process ends, however it ends |
//! | [`postgres`] | PostgreSQL 18 or 16, durable for development or temporary for a test |
//! | [`binaries`] | the functions, built once |
//! | [`watch`] | `cargo lambda watch`, which serves every function on its route |
//! | [`emulator`] | one function under the AWS Lambda Runtime Interface Emulator |
//! | [`port`] | free and used ports of this machine |
//!
//! All functions block: they start processes and wait for them.

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
pub use log::relative;

/// The root of the workspace, in which cargo and cargo-lambda run.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
