//! Starts functions and serves invocations: the only home of the Lambda runtime.

#![expect(clippy::disallowed_methods, reason = "the home of the Lambda runtime")]

#[cfg(feature = "otlp")]
mod export;
mod respond;
mod task;

use std::convert::Infallible;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{LambdaEvent, Runtime, service_fn};

pub use self::respond::respond;
pub use self::task::{Invocation, serve_invocations, serve_task};
use crate::app::App;
use crate::auth::key_ring::KeyRing;
use crate::clock::{Stopwatch, SystemClock};
use crate::env::{self, EnvError};
use crate::error::ApiError;
use crate::http::{Payload, Reply, Request, Route};
use crate::report::{self, BoxError};
use crate::secrets::{Keys, Secrets};
use crate::settings::Settings;
use crate::telemetry;
use crate::telemetry::stats;

/// The context that a function gets with each request: everything that it needs and nothing else, made ready at the start.
pub trait Context: Clone + Send + Sync + 'static {
    /// Makes the context.
    ///
    /// # Errors
    /// A setting or a secret is missing or wrong.
    fn start() -> impl Future<Output = Result<Self, BoxError>> + Send;
}

impl<K: Keys> Context for App<K> {
    /// An unavailable database does not fail the start.
    async fn start() -> Result<Self, BoxError> {
        let settings = Settings::from_env()?;
        let connections = max_concurrency()?;
        let clock = Arc::new(SystemClock);
        let secrets = Arc::new(Secrets::load(clock.clone()).await?);
        let app = Self::new(settings, secrets, clock, connections);
        app.db().warm_up().await;
        Ok(app)
    }
}

/// The context of a function with signing keys and without a database.
impl Context for Arc<Secrets<KeyRing>> {
    async fn start() -> Result<Self, BoxError> {
        Ok(Self::new(Secrets::load_keys(Arc::new(SystemClock)).await?))
    }
}

/// The context of a function that needs neither a database nor a secret, and links neither.
impl Context for () {
    async fn start() -> Result<Self, BoxError> {
        Ok(())
    }
}

/// The type of an endpoint: it turns a context and a request into a reply or an error.
pub trait Handler<C: Context>: Fn(C, Request) -> Self::Future + Clone + Send + 'static {
    /// The future that the handler returns.
    type Future: Future<Output = Result<Reply, ApiError>> + Send + 'static;
}

impl<C: Context, H, F> Handler<C> for H
where
    H: Fn(C, Request) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Reply, ApiError>> + Send + 'static,
{
    type Future = F;
}

/// Serves an endpoint until the environment ends. Fails only if the start fails, and then logs the reason.
pub async fn serve<C: Context>(route: Route, handle: impl Handler<C>) -> ExitCode {
    telemetry::init();
    let stopwatch = Stopwatch::start();
    let served = async {
        let context = C::start().await?;
        stats::record_init_time(stopwatch.elapsed());
        let service = service_fn(move |event: LambdaEvent<Payload>| {
            let (context, handle, route) = (context.clone(), handle.clone(), route.clone());
            async move {
                let LambdaEvent { payload, context: invocation, .. } = event;
                Ok::<_, Infallible>(respond(context, &route, handle, payload.as_str(), &invocation).await)
            }
        });
        let runtime = Runtime::new(service);
        #[cfg(feature = "otlp")]
        let runtime = runtime.layer(export::ExportLayer);
        log_end(runtime.run_concurrent().await);
        Ok(())
    };
    exit_code(served.await)
}

/// Reads `AWS_LAMBDA_MAX_CONCURRENCY`: the requests that this process serves at a time. Only Lambda Managed Instances set
/// it; elsewhere it is one.
fn max_concurrency() -> Result<usize, EnvError> {
    env::integer("AWS_LAMBDA_MAX_CONCURRENCY", 1, 1000, 1)
}

/// The runtime reports the end of an environment, at which the Runtime API hangs up, as an error.
fn log_end(outcome: Result<(), BoxError>) {
    if let Err(error) = outcome {
        tracing::warn!("the environment ended: {}", report::chain(error.as_ref()));
    }
}

fn exit_code(served: Result<(), BoxError>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the function failed to start: {}", report::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
