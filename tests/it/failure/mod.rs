//! Failures: dependencies that are gone, slow or wrong, settings that are missing, and panics.

mod database_gone;
mod dsql;
mod iam_sign_in;
mod panics;
mod secrets;
mod start;
mod tls;
