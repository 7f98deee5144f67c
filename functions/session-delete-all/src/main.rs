//! Serves the route of this function.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve(session_delete_all::ROUTE, session_delete_all::handle).await
}
