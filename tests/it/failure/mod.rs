//! Failures: dependencies that are unavailable, slow, or wrong, missing settings, and panics.

mod database_gone;
mod dsql;
mod iam_sign_in;
mod panics;
mod secrets;
mod start;
mod tls;
