//! Writes the log line of a request and sends its spans after its response was sent and before the runtime requests the next
//! event, so that the client does not wait for them. After that, Lambda may freeze the environment.
//!
//! The runtime's own `OpenTelemetryLayer` is not used: it blocks the only thread, on which the export has to run.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use lambda_runtime::LambdaInvocation;
use lambda_runtime::tower::{Layer, Service};

use crate::report::BoxError;
use crate::telemetry::request_line;

/// The layer around the Lambda runtime's invocations.
pub(super) struct AfterResponseLayer;

impl<S> Layer<S> for AfterResponseLayer {
    type Service = AfterResponse<S>;

    fn layer(&self, inner: S) -> AfterResponse<S> {
        AfterResponse(inner)
    }
}

/// The service of [`AfterResponseLayer`].
#[derive(Clone)]
pub(super) struct AfterResponse<S>(S);

impl<S> Service<LambdaInvocation> for AfterResponse<S>
where
    S: Service<LambdaInvocation, Response = (), Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let response_sent = self.0.call(invocation);
        Box::pin(async move {
            let outcome = request_line::scope(response_sent).await;
            #[cfg(feature = "otlp")]
            crate::telemetry::otlp::send().await;
            outcome
        })
    }
}
