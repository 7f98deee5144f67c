//! Completes the work of a request after its response was sent and before the runtime requests the next event, so that the
//! client does not wait for it: the log line, fetches of secrets, and, with the feature `otlp`, the export of spans. After
//! that, Lambda may freeze the environment.
//!
//! The runtime's own `OpenTelemetryLayer` is not used: it blocks the only thread, on which the export has to run.

use std::sync::Arc;
use std::task::{self, Poll};

use futures_util::future::BoxFuture;
use lambda_runtime::LambdaInvocation;
use lambda_runtime::tower::{Layer, Service};

use super::Endpoint;
use crate::report::BoxError;
#[cfg(feature = "otlp")]
use crate::telemetry::otlp;
use crate::telemetry::request_line;

/// The layer that adds the log line and [`Endpoint::settle`] to the Lambda runtime.
pub(super) struct SettleLayer(pub(super) Arc<dyn Endpoint>);

impl<S> Layer<S> for SettleLayer {
    type Service = SettleService<S>;

    fn layer(&self, inner: S) -> SettleService<S> {
        SettleService { endpoint: Arc::clone(&self.0), inner }
    }
}

/// The service of [`SettleLayer`].
#[derive(Clone)]
pub(super) struct SettleService<S> {
    endpoint: Arc<dyn Endpoint>,
    inner: S,
}

impl<S> Service<LambdaInvocation> for SettleService<S>
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
        let (response_sent, endpoint) = (self.inner.call(invocation), Arc::clone(&self.endpoint));
        Box::pin(async move {
            let outcome = request_line::scope(response_sent).await;
            endpoint.settle().await;
            #[cfg(feature = "otlp")]
            otlp::send().await;
            outcome
        })
    }
}
