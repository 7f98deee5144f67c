//! Tasks: functions without a route. In Lambda they run once for each event, elsewhere once as a program.

use std::future::Future;
use std::process::ExitCode;
use std::time::SystemTime;

use futures_util::TryFutureExt;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde::Serialize;

use super::{Context, exit_code, is_lambda, log_end};
use crate::app::App;
use crate::http::Payload;
use crate::report::{self, BoxError};
use crate::secrets::NoKeys;
use crate::telemetry;

/// An invocation of a task.
pub struct Invocation {
    /// The event as JSON text. It is `null` if the task runs as a program.
    pub event: String,
    /// The time at which Lambda ends the invocation. It is none if the task runs as a program.
    pub deadline: Option<SystemTime>,
}

/// Serves a task with a database, for example `data-sweep`. As a program, it prints the result.
pub async fn serve_task<F, T>(task: impl Fn(App<NoKeys>, Invocation) -> F + Clone + Send + 'static) -> ExitCode
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    serve_after(async {
        let app = App::<NoKeys>::start().await?;
        Ok(move |invocation| task(app.clone(), invocation))
    })
    .await
}

/// Serves a task without a database, or with one of its own. The start reads no settings or secrets, so that the task can report
/// a wrong one to the invoker.
pub async fn serve_invocations<F, T>(task: impl Fn(Invocation) -> F + Clone + Send + 'static) -> ExitCode
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    serve_after(std::future::ready(Ok(task))).await
}

/// Awaits `start` and serves the task that it returns.
async fn serve_after<W, F, T>(start: impl Future<Output = Result<W, BoxError>>) -> ExitCode
where
    W: Fn(Invocation) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    let telemetry = telemetry::init();
    let served = async {
        telemetry?;
        let task = start.await?;
        if is_lambda() {
            let service = service_fn(move |event: LambdaEvent<Payload>| {
                let (event, deadline) = (event.payload.as_str().to_owned(), Some(event.context.deadline()));
                task(Invocation { event, deadline }).map_err(|error| diagnose(&error))
            });
            log_end(Runtime::new(service).run_concurrent().await);
        } else {
            let result = task(Invocation { event: "null".to_owned(), deadline: None }).await?;
            println!("{}", serde_json::to_string(&result)?);
        }
        Ok(())
    };
    exit_code(served.await).await
}

/// Logs why a task failed and returns the error for the invoker.
fn diagnose(error: &BoxError) -> Diagnostic {
    let error_message = report::chain(error.as_ref());
    tracing::error!("the task failed: {error_message}");
    Diagnostic { error_type: "TaskFailed".to_owned(), error_message }
}
