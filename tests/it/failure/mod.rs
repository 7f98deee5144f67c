//! Failures: dependencies that are unavailable, slow, or wrong, missing settings, and panics.

mod database_gone;
mod dsql;
mod failover;
mod iam_sign_in;
mod key_age;
mod panics;
mod prepared_statements;
mod secrets;
mod start;
mod tls;
