//! Serves the route of this function.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve(jwks_get::ROUTE, jwks_get::handle).await
}
