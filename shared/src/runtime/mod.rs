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
use futures_util::future::{BoxFuture, LocalBoxFuture, try_join};
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use tokio::time::MissedTickBehavior;

pub use self::respond::respond;
use self::respond::respond_in_scope;
use self::settle::SettleLayer;
use self::start_failure::report_start_failure;
pub use self::task::{Invocation, serve_invocations, serve_task};
use crate::app::App;
use crate::auth::digest_keys::DigestKeys;
use crate::auth::key_ring::KeyRing;
use crate::auth::verifying_keys::VerifyingKeys;
use crate::clock::{Stopwatch, SystemClock};
use crate::db::{Database, PoolSettings};
use crate::env::{self, EnvError};
use crate::error::ApiError;
use crate::http::{Payload, Reply, Request, Route};
use crate::report::{self, BoxError};
use crate::secrets::{Keys, NoKeys, Secrets, Unfetched};
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
    fn start() -> BoxFuture<'static, Result<Self, BoxError>>;

    /// Returns the maximum time for a request. It is less than the timeout of the function, at which the gateway would respond with
    /// an error of its own.
    fn request_timeout(&self) -> Duration {
        REQUEST_TIMEOUT
    }

    /// Completes what a request has left to do after its response was sent and before the next event is requested.
    /// Lambda may freeze the environment then.
    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

/// Implements [`Context`] for each type and not for all `K`, so that this crate compiles the start, and not each function.
macro_rules! context_with_keys {
    ($($keys:ty),*) => {$(
        impl Context for App<$keys> {
            fn start() -> BoxFuture<'static, Result<Self, BoxError>> {
                Box::pin(start())
            }

            fn request_timeout(&self) -> Duration {
                REQUEST_TIMEOUT_WITHOUT_CONNECTING + self.db().connect_timeout()
            }

            fn settle(&self) -> BoxFuture<'_, ()> {
                Box::pin(Self::settle(self))
            }
        }
    )*};
}
context_with_keys!(DigestKeys, KeyRing, NoKeys, VerifyingKeys);

/// Makes the context of a function with a database. Also opens a connection. If the database is unavailable, the start succeeds
/// nevertheless.
async fn start<K: Keys>() -> Result<App<K>, BoxError> {
    let settings = Settings::from_env()?;
    let pool = PoolSettings::from_env(max_concurrency()?)?;
    let clock = Arc::new(SystemClock);
    let secrets = Unfetched::from_env::<K>(clock.clone())?;
    let Some(credentials) = secrets.credentials()? else {
        let app = App::new(settings, Arc::new(secrets.fetch().await?), clock, pool);
        app.db().warm_up().await;
        return Ok(app);
    };
    // The database needs no secret, so the connection is opened while the signing keys are fetched.
    let database = Database::new(credentials, clock.clone(), pool);
    let (secrets, ()) = try_join(secrets.fetch(), database.warm_up().map(Ok)).await?;
    Ok(App::with_database(settings, database, Arc::new(secrets), clock))
}

/// The context of a function that uses keys and no database.
impl Context for Arc<Secrets<VerifyingKeys>> {
    fn start() -> BoxFuture<'static, Result<Self, BoxError>> {
        Box::pin(async { Ok(Self::new(Secrets::load_keys(Arc::new(SystemClock)).await?)) })
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(Secrets::settle(self))
    }
}

/// The context of a function that uses neither a database nor a secret. Its binary does not contain their code.
impl Context for () {
    fn start() -> BoxFuture<'static, Result<Self, BoxError>> {
        Box::pin(ready(Ok(())))
    }
}

/// The type of the function `handle` of an endpoint, which returns a reply or an error.
pub trait Handler<C: Context>: Fn(C, Request) -> Self::Future + Send + Sync + 'static {
    /// The future that the handler returns.
    type Future: Future<Output = Result<Reply, ApiError>> + Send + 'static;
}

impl<C: Context, H, F> Handler<C> for H
where
    H: Fn(C, Request) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Reply, ApiError>> + Send + 'static,
{
    type Future = F;
}

/// An endpoint without its types, so that this crate compiles the code that serves it, and not each function.
trait Endpoint: Send + Sync {
    fn handle(&self, request: Request) -> BoxFuture<'static, Result<Reply, ApiError>>;
    fn request_timeout(&self) -> Duration;
    fn settle(&self) -> BoxFuture<'_, ()>;
}

struct TypedEndpoint<C, H> {
    context: C,
    handle: H,
}

impl<C: Context, H: Handler<C>> Endpoint for TypedEndpoint<C, H> {
    fn handle(&self, request: Request) -> BoxFuture<'static, Result<Reply, ApiError>> {
        Box::pin((self.handle)(self.context.clone(), request))
    }

    fn request_timeout(&self) -> Duration {
        self.context.request_timeout()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        self.context.settle()
    }
}

/// Serves an endpoint until the environment ends. If the start fails, reports the reason and returns a failure.
pub fn serve<C: Context>(route: Route, handle: impl Handler<C>) -> LocalBoxFuture<'static, ExitCode> {
    let start = async { Ok(Arc::new(TypedEndpoint { context: C::start().await?, handle }) as Arc<dyn Endpoint>) };
    serve_endpoint(route, Box::pin(start))
}

/// The future is boxed here, because an async function is compiled by the crate that awaits or boxes it.
fn serve_endpoint(
    route: Route,
    start: BoxFuture<'static, Result<Arc<dyn Endpoint>, BoxError>>,
) -> LocalBoxFuture<'static, ExitCode> {
    Box::pin(async move {
        let telemetry = telemetry::init();
        let stopwatch = Stopwatch::start();
        let served = async {
            telemetry?;
            let endpoint = start.await?;
            let settle = SettleLayer(Arc::clone(&endpoint));
            stats::record_init_time(stopwatch.elapsed());
            let service = service_fn(move |event: LambdaEvent<Payload>| {
                let (endpoint, route) = (Arc::clone(&endpoint), route.clone());
                async move {
                    let LambdaEvent { payload, context: invocation, .. } = event;
                    Ok::<_, Infallible>(respond_in_scope(&*endpoint, &route, payload.as_str(), &invocation).await)
                }
            });
            let timer = tokio::spawn(keep_early_timer());
            log_end(Runtime::new(service).layer(settle).run_concurrent().await);
            timer.abort();
            Ok(())
        };
        exit_code(served.await).await
    })
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
