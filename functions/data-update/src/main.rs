//! Serves the route of this function.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve(data_update::ROUTE, data_update::handle).await
}
