//! The report of a failed start to Lambda, so that its invoker and the console show the reason and not only that the process
//! ended: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror>.

use std::time::Duration;

use lambda_http::http::Request;
use lambda_runtime_api_client::Client;
use serde::Serialize;
use tokio::time::timeout;

use super::is_lambda;
use crate::report::{self, BoxError};

/// The path of the Runtime API.
const PATH: &str = "/2018-06-01/runtime/init/error";
/// The category that Lambda shows.
const KIND: &str = "Runtime.StartFailed";
/// Maximum time for the report. The Runtime API is on the same machine.
const TIME_LIMIT: Duration = Duration::from_secs(1);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartFailure<'a> {
    error_type: &'static str,
    error_message: &'a str,
    stack_trace: [&'static str; 0],
}

/// Logs why the start failed, and in Lambda reports it. No error of a start contains a secret.
pub(super) async fn report_start_failure(error: &BoxError) {
    let reason = report::chain(error.as_ref());
    tracing::error!("the function failed to start: {reason}");
    if is_lambda() {
        match timeout(TIME_LIMIT, send(&reason)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!("the failure was not reported to Lambda: {}", report::chain(error.as_ref()));
            }
            Err(_) => tracing::warn!("the failure was not reported to Lambda within {TIME_LIMIT:?}"),
        }
    }
}

async fn send(reason: &str) -> Result<(), BoxError> {
    let failure = StartFailure { error_type: KIND, error_message: reason, stack_trace: [] };
    let request = Request::post(PATH)
        .header("content-type", "application/json")
        .header("lambda-runtime-function-error-type", KIND)
        .body(serde_json::to_string(&failure)?.into())?;
    Client::builder().build()?.call(request).await?;
    Ok(())
}
