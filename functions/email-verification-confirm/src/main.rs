//! Serves the route of this function.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve(email_verification_confirm::ROUTE, email_verification_confirm::handle).await
}
