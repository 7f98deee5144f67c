//! Completes the work of a request after its response was sent and before the runtime requests the next event, so that the
//! client does not wait for it: the log line, fetches of secrets, and, with the feature `otlp`, the export of spans. After
//! that, Lambda may freeze the environment.
//!
//! The runtime's own `OpenTelemetryLayer` is not used: it blocks the only thread, on which the export has to run.

use std::task::{self, Poll};

use futures_util::future::BoxFuture;
use lambda_runtime::LambdaInvocation;
use lambda_runtime::tower::{Layer, Service};

use super::Context;
use crate::report::BoxError;
#[cfg(feature = "otlp")]
use crate::telemetry::otlp;
use crate::telemetry::request_line;

/// The layer that adds the log line and [`Context::settle`] to the Lambda runtime.
pub(super) struct SettleLayer<C>(pub(super) C);

impl<C: Context, S> Layer<S> for SettleLayer<C> {
    type Service = SettleService<C, S>;

    fn layer(&self, inner: S) -> SettleService<C, S> {
        SettleService { context: self.0.clone(), inner }
    }
}

/// The service of [`SettleLayer`].
#[derive(Clone)]
pub(super) struct SettleService<C, S> {
    context: C,
    inner: S,
}

impl<C: Context, S> Service<LambdaInvocation> for SettleService<C, S>
where
    S: Service<LambdaInvocation, Response = (), Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let (response_sent, context) = (self.inner.call(invocation), self.context.clone());
        Box::pin(async move {
            let outcome = request_line::scope(response_sent).await;
            context.settle().await;
            #[cfg(feature = "otlp")]
            otlp::send().await;
            outcome
        })
    }
}
