use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio_postgres::Config;

use super::Dialect;

/// The source of connection parameters. It is a trait so that this module knows neither secrets nor signing keys.
pub trait Credentials: Send + Sync {
    /// Returns the parameters for a connection that is opened now.
    fn current(&self) -> Arc<Config>;

    /// Obtains newer parameters after the server rejected the current ones. A failure is logged and changes nothing.
    fn renew(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Returns the kind of server that the parameters lead to.
    fn dialect(&self) -> Dialect;
}
