//! Serves the route of this function.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve(password_update::ROUTE, password_update::handle).await
}
