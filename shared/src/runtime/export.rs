//! Sends the spans of a request after the runtime has handed over its response and before it asks for the next event,
//! at which point Lambda may freeze the environment.
//!
//! The runtime's own `OpenTelemetryLayer` does this too, but blocks the only thread, on which the export has to run.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use lambda_runtime::LambdaInvocation;
use lambda_runtime::tower::{Layer, Service};

use crate::report::BoxError;
use crate::telemetry::otlp;

/// The layer of the Lambda runtime.
pub(super) struct ExportLayer;

impl<S> Layer<S> for ExportLayer {
    type Service = ExportService<S>;

    fn layer(&self, inner: S) -> ExportService<S> {
        ExportService(inner)
    }
}

/// The service of [`ExportLayer`].
#[derive(Clone)]
pub(super) struct ExportService<S>(S);

impl<S> Service<LambdaInvocation> for ExportService<S>
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
        let answered = self.0.call(invocation);
        Box::pin(async move {
            let outcome = answered.await;
            otlp::send().await;
            outcome
        })
    }
}
