use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio_postgres::Config;

use super::Dialect;

/// The source of connection parameters. It is a trait so that `db` depends neither on Secrets Manager nor on signing
/// keys.
pub trait Credentials: Send + Sync {
    /// Returns the parameters for a new connection.
    fn current(&self) -> Arc<Config>;

    /// Fetches newer parameters after the server rejected the current ones. A failure is logged and keeps the current
    /// ones.
    fn renew(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Returns the kind of the server.
    fn dialect(&self) -> Dialect;
}
