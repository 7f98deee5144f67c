//! Serves the route of this function.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve(data_delete::ROUTE, data_delete::handle).await
}
