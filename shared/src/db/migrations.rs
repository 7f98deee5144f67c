//! What the function `migrate` needs of the database. The migrations themselves are in `migrations/`.

use deadpool_postgres::{Object, PoolError};
use tokio_postgres::Client;

use super::{Database, Error, refused, unreachable_database};

/// A connection that holds the lock by which migrations run one at a time. Dropped, it is closed, which gives the lock back.
pub struct LockedConnection(deadpool_postgres::ClientWrapper);

/// The lock's number: any that nothing else in the database uses. These are the bytes of "keyhold".
const LOCK: i64 = 0x006b_6579_686f_6c64;

/// How often somebody who does not answer is called, for some seconds each time. An Aurora that has paused takes 15 s to
/// wake, and 30 s or more after a day:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html>.
const CALLS: usize = 15;

impl Database {
    /// Takes a connection out of the pool, waits until no other migration runs, and keeps others waiting. A database that
    /// sleeps is woken.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn lock_for_migrations(&self) -> Result<LockedConnection, Error> {
        let client = Object::take(self.wake().await?);
        client.batch_execute(&format!("select pg_advisory_lock({LOCK})")).await.map_err(refused)?;
        Ok(LockedConnection(client))
    }

    async fn wake(&self) -> Result<Object, Error> {
        let mut calls = 1;
        loop {
            match self.pool.get().await {
                Err(PoolError::Timeout(_)) if calls < CALLS => calls += 1,
                outcome => return outcome.map_err(unreachable_database),
            }
        }
    }
}

impl LockedConnection {
    /// The connection.
    pub fn client(&mut self) -> &mut Client {
        &mut self.0
    }

    /// Gives the lock back now, so that the next one does not have to wait for the server to notice the closed connection.
    ///
    /// # Errors
    /// The connection was lost, and the lock with it.
    pub async fn unlock(self) -> Result<(), Error> {
        self.0.batch_execute(&format!("select pg_advisory_unlock({LOCK})")).await.map_err(refused)
    }
}
