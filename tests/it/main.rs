//! The integration tests: one binary, a file for each endpoint and for each promise that spans several.

mod authorization;
mod bad_input;
mod data_create;
mod data_delete;
mod data_get;
mod data_update;
mod database_gone;
mod events;
mod journey;
mod keys_and_values;
mod layout;
mod migrate_;
mod panics;
mod register_;
mod routes;
mod secrets;
mod start;
mod support;
mod tls;
mod token_;
