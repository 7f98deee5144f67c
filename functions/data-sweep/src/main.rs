//! Runs this function for each event.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve_task(|app, _| data_sweep::run(app)).await
}
