//! Serves the route of this function.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve(password_reset_confirm::ROUTE, password_reset_confirm::handle).await
}
