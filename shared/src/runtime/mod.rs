//! Starts functions and serves invocations. No other module uses the Lambda runtime.

#![expect(clippy::disallowed_methods, reason = "the only module that uses the Lambda runtime")]

mod respond;
mod settle;
mod start_failure;
mod task;

use std::convert::Infallible;
use std::future::{Future, ready};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::try_join;
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use tokio::time::MissedTickBehavior;

pub use self::respond::respond;
use self::respond::respond_in_scope;
use self::settle::SettleLayer;
use self::start_failure::report_start_failure;
pub use self::task::{Invocation, serve_invocations, serve_task};
use crate::app::App;
use crate::auth::verifying_keys::VerifyingKeys;
use crate::clock::{Stopwatch, SystemClock};
use crate::db::{Database, PoolSettings};
use crate::env::{self, EnvError};
use crate::error::ApiError;
use crate::http::{Payload, Reply, Request, Route};
use crate::report::{self, BoxError};
use crate::secrets::{Keys, Secrets, Unfetched};
use crate::settings::Settings;
use crate::telemetry;
use crate::telemetry::stats;

/// Maximum time for a request of a function without a database. The timeout of functions is 15 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(13);
/// Maximum time for a request in addition to that for opening a connection: 13 s in all by default.
const REQUEST_TIMEOUT_WITHOUT_CONNECTING: Duration = Duration::from_secs(9);

/// The context that a handler gets with each request. Its type determines what the start prepares: database, secrets,
/// or nothing.
pub trait Context: Clone + Send + Sync + 'static {
    /// Makes the context at the start of the function.
    ///
    /// # Errors
    /// A setting or a secret is missing or invalid.
    fn start() -> impl Future<Output = Result<Self, BoxError>> + Send;

    /// Returns the maximum time for a request. It is less than the timeout of the function, at which the gateway would respond with
    /// an error of its own.
    fn request_timeout(&self) -> Duration {
        REQUEST_TIMEOUT
    }

    /// Completes what a request has left to do after its response was sent and before the next event is requested.
    /// Lambda may freeze the environment then.
    fn settle(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

impl<K: Keys> Context for App<K> {
    /// Also opens a database connection. If the database is unavailable, the start succeeds nevertheless.
    async fn start() -> Result<Self, BoxError> {
        let settings = Settings::from_env()?;
        let pool = PoolSettings::from_env(max_concurrency()?)?;
        let clock = Arc::new(SystemClock);
        let secrets = Unfetched::from_env::<K>(clock.clone())?;
        let Some(credentials) = secrets.credentials()? else {
            let app = Self::new(settings, Arc::new(secrets.fetch().await?), clock, pool);
            app.db().warm_up().await;
            return Ok(app);
        };
        // The database needs no secret, so the connection is opened while the signing keys are fetched.
        let database = Database::new(credentials, clock.clone(), pool);
        let (secrets, ()) = try_join(secrets.fetch(), database.warm_up().map(Ok)).await?;
        Ok(Self::with_database(settings, database, Arc::new(secrets), clock))
    }

    fn request_timeout(&self) -> Duration {
        REQUEST_TIMEOUT_WITHOUT_CONNECTING + self.db().connect_timeout()
    }

    async fn settle(&self) {
        Self::settle(self).await;
    }
}

/// The context of a function that uses keys and no database.
impl Context for Arc<Secrets<VerifyingKeys>> {
    async fn start() -> Result<Self, BoxError> {
        Ok(Self::new(Secrets::load_keys(Arc::new(SystemClock)).await?))
    }

    async fn settle(&self) {
        Secrets::settle(self).await;
    }
}

/// The context of a function that uses neither a database nor a secret. Its binary does not contain their code.
impl Context for () {
    async fn start() -> Result<Self, BoxError> {
        Ok(())
    }
}

/// The type of the function `handle` of an endpoint, which returns a reply or an error.
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

/// Serves an endpoint until the environment ends. If the start fails, reports the reason and returns a failure.
pub async fn serve<C: Context>(route: Route, handle: impl Handler<C>) -> ExitCode {
    let telemetry = telemetry::init();
    let stopwatch = Stopwatch::start();
    let served = async {
        telemetry?;
        let context = C::start().await?;
        let settle = SettleLayer(context.clone());
        stats::record_init_time(stopwatch.elapsed());
        let service = service_fn(move |event: LambdaEvent<Payload>| {
            let (context, handle, route) = (context.clone(), handle.clone(), route.clone());
            async move {
                let LambdaEvent { payload, context: invocation, .. } = event;
                Ok::<_, Infallible>(respond_in_scope(context, &route, handle, payload.as_str(), &invocation).await)
            }
        });
        let timer = tokio::spawn(keep_early_timer());
        log_end(Runtime::new(service).layer(settle).run_concurrent().await);
        timer.abort();
        Ok(())
    };
    exit_code(served.await).await
}

/// Always has a timer that ends before the time limits of requests and statements. Otherwise each of these would be the earliest
/// timer, for which Tokio wakes its own event loop: three system calls for a request with one statement.
async fn keep_early_timer() {
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
    }
}

/// Reads `AWS_LAMBDA_MAX_CONCURRENCY`, the number of requests that this process serves at a time. Only Lambda Managed
/// Instances set it; the default is 1.
fn max_concurrency() -> Result<usize, EnvError> {
    env::integer("AWS_LAMBDA_MAX_CONCURRENCY", 1, 1000, 1)
}

/// Logs the end of the environment. The runtime reports it as an error, because the Runtime API closes the connection.
fn log_end(outcome: Result<(), BoxError>) {
    if let Err(error) = outcome {
        tracing::warn!("the environment ended: {}", report::chain(error.as_ref()));
    }
}

/// Returns the exit code of the process, and reports why the start failed.
async fn exit_code(served: Result<(), BoxError>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report_start_failure(&error).await;
            ExitCode::FAILURE
        }
    }
}

/// Whether this process is in Lambda, or in a program that imitates it.
fn is_lambda() -> bool {
    env::optional("AWS_LAMBDA_RUNTIME_API").is_some()
}
