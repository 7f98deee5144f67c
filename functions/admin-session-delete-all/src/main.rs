//! Serves the route of this function.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve(admin_session_delete_all::ROUTE, admin_session_delete_all::handle).await
}
