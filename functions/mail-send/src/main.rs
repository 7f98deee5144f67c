//! Runs this function for each event.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve_invocations(mail_send::handle).await
}
