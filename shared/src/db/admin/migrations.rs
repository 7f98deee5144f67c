//! What the function `migrate` needs of the database. The migrations themselves are in `migrations/`.

use std::time::{Duration, SystemTime};

use deadpool_postgres::{ClientWrapper, PoolError};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::db::dialect::DSQL_SCHEMA;
use crate::db::{Database, Dialect, Error, Parameters, column, is_conflict, rejected};

/// A connection that migrations run on, on PostgreSQL one at a time: it holds a lock. Dropped, it is closed, which gives the
/// lock back.
pub struct MigrationConnection {
    client: ClientWrapper,
    dialect: Dialect,
}

/// A migration that runs on DSQL.
pub struct Migration<'a> {
    /// Its number.
    pub version: i32,
    /// Its name.
    pub name: &'a str,
    /// Its digest, as refinery makes it.
    pub checksum: u64,
    /// Its one statement.
    pub sql: &'a str,
}

/// Why migrations stopped.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database refused something, or is out of reach.
    #[error(transparent)]
    Database(#[from] Error),
    /// A migration was refused.
    #[error("the migration V{version}__{name} was refused")]
    Refused {
        /// Its number.
        version: i32,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Error,
    },
    /// The history has another one under the same number.
    #[error("the database has another migration V{version}: {name}")]
    Divergent {
        /// Its number.
        version: i32,
        /// The name of the one in the database.
        name: String,
    },
}

/// The lock's number: any that nothing else in the database uses. These are the bytes of "keyhold".
const LOCK: i64 = 0x006b_6579_686f_6c64;

/// How often somebody who does not answer is called, for some seconds each time. An Aurora that has paused takes 15 s to
/// wake, and 30 s or more after a day:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html>.
const CALLS: usize = 15;

/// How often a change of DSQL's catalog is tried that another one got in the way of, be it of this run: a session learns that
/// the catalog has changed by being refused. In between it waits, a little longer each time.
const CATALOG_ATTEMPTS: u32 = 10;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

impl Database {
    /// Takes a connection out of the pool, and on PostgreSQL waits until no other migration runs, and keeps others waiting. A
    /// database that sleeps is woken.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn connect_for_migrations(&self) -> Result<MigrationConnection, Error> {
        let client = self.wake().await?;
        // DSQL has no locks to wait for. What its migrations do, two runs can do at once.
        if self.dialect() == Dialect::PostgreSql {
            client.batch_execute(&format!("select pg_advisory_lock({LOCK})")).await.map_err(rejected)?;
        }
        Ok(MigrationConnection { client, dialect: self.dialect() })
    }

    async fn wake(&self) -> Result<ClientWrapper, Error> {
        let mut calls = 1;
        loop {
            match self.take_connection().await {
                Err(PoolError::Timeout(_)) if calls < CALLS => calls += 1,
                outcome => return outcome.map_err(|error| Error::Unavailable(Box::new(error))),
            }
        }
    }
}

impl MigrationConnection {
    /// The connection.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// What kind of server it leads to.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Gives the lock back now, so that the next one does not have to wait for the server to notice the closed connection.
    ///
    /// # Errors
    /// The connection was lost, and the lock with it.
    pub async fn close(self) -> Result<(), Error> {
        match self.dialect {
            Dialect::PostgreSql => {
                self.client.batch_execute(&format!("select pg_advisory_unlock({LOCK})")).await.map_err(rejected)
            }
            Dialect::AuroraDsql => Ok(()),
        }
    }

    /// Applies to DSQL the migrations that it lacks, in order: those that this run applied. Each is a statement by itself, and
    /// noted afterwards, where and as refinery would: DSQL takes no other statement with one that changes its catalog. One
    /// that was done and not noted, by a run that was interrupted or that goes on beside this one, is there already, and is
    /// noted then.
    ///
    /// # Errors
    /// DSQL refuses a migration, has another one under the same number, or is out of reach.
    pub async fn apply_one_by_one(
        &mut self,
        migrations: &[Migration<'_>],
        now: SystemTime,
    ) -> Result<Vec<String>, MigrationError> {
        const HISTORY: &str = "create table refinery_schema_history
            (version int4 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255))";
        self.create(&format!("create schema {DSQL_SCHEMA}")).await?;
        self.create(HISTORY).await?;
        let noted = self.noted().await?;
        let mut applied = Vec::new();
        for migration in migrations {
            let Migration { version, name, checksum, sql } = migration;
            if let Some((_, noted_name, noted_checksum)) = noted.iter().find(|(noted, ..)| noted == version) {
                if noted_name != name || *noted_checksum != checksum.to_string() {
                    return Err(MigrationError::Divergent { version: *version, name: noted_name.clone() });
                }
                continue;
            }
            let created = self.create(sql).await;
            let (version, name) = (*version, (*name).to_owned());
            created.map_err(|source| MigrationError::Refused { version, name: name.clone(), source })?;
            if self.note(migration, now).await? {
                applied.push(format!("V{version}__{name}"));
            }
        }
        Ok(applied)
    }

    /// What the history has: number, name and digest.
    async fn noted(&mut self) -> Result<Vec<(i32, String, String)>, Error> {
        const TABLE: &str = "refinery_schema_history";
        const SQL: &str = "select version, name, checksum from refinery_schema_history";
        let rows = self.query(SQL, &[]).await?;
        rows.iter()
            .map(|row| {
                Ok((column(row, TABLE, "version")?, column(row, TABLE, "name")?, column(row, TABLE, "checksum")?))
            })
            .collect()
    }

    /// Notes a migration, unless another run has: whether this one did.
    async fn note(&mut self, migration: &Migration<'_>, now: SystemTime) -> Result<bool, Error> {
        const SQL: &str = "insert into refinery_schema_history (version, name, applied_on, checksum)
            values ($1, $2, $3, $4) on conflict (version) do nothing returning version";
        let now = OffsetDateTime::from(now).format(&Rfc3339);
        let now = now.map_err(|error| Error::Corrupt { table: "refinery_schema_history", source: Box::new(error) })?;
        let parameters: &Parameters<'_> = &[
            (&migration.version, Type::INT4),
            (&migration.name, Type::VARCHAR),
            (&now, Type::VARCHAR),
            (&migration.checksum.to_string(), Type::VARCHAR),
        ];
        Ok(!self.query(SQL, parameters).await?.is_empty())
    }

    /// Runs a statement that adds something, which may be there.
    async fn create(&mut self, sql: &str) -> Result<(), Error> {
        match self.execute(sql).await {
            Err(error) if is_there(&error) => Ok(()),
            outcome => outcome.map_err(rejected),
        }
    }

    /// Runs a statement that changes the schema or privileges; on DSQL again, if another one got in its way.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        let mut attempts = 1;
        loop {
            let outcome = self.client.batch_execute(sql).await;
            if !self.is_to_run_again(&outcome, &mut attempts).await {
                return outcome;
            }
        }
    }

    /// The same for one that has rows.
    pub(super) async fn query(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, Error> {
        let mut attempts = 1;
        loop {
            let outcome = self.client.query_typed(sql, parameters).await;
            if !self.is_to_run_again(&outcome, &mut attempts).await {
                return outcome.map_err(rejected);
            }
        }
    }

    async fn is_to_run_again<T>(&self, outcome: &Result<T, tokio_postgres::Error>, attempts: &mut u32) -> bool {
        let again = self.dialect == Dialect::AuroraDsql
            && outcome.as_ref().is_err_and(is_conflict)
            && *attempts < CATALOG_ATTEMPTS;
        if again {
            tokio::time::sleep(BETWEEN_ATTEMPTS * *attempts).await;
            *attempts += 1;
        }
        again
    }
}

/// Whether what a statement was to add is there. PostgreSQL says in the last of these ways that another session is adding it.
fn is_there(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(
            &SqlState::DUPLICATE_SCHEMA
                | &SqlState::DUPLICATE_TABLE
                | &SqlState::DUPLICATE_COLUMN
                | &SqlState::DUPLICATE_OBJECT
                | &SqlState::UNIQUE_VIOLATION
        )
    )
}
