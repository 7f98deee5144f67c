//! The connection of the function `migrate`, and the application of migrations to Aurora DSQL. `migrate` contains the files
//! in `migrations/` and applies those for PostgreSQL with refinery.

use std::time::{Duration, SystemTime};

use deadpool_postgres::{ClientWrapper, PoolError};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::db::dialect::DSQL_SCHEMA;
use crate::db::pool::{ENCODING, UTF8};
use crate::db::pooler::is_direct;
use crate::db::{Database, Dialect, Error, Parameters, column, is_conflict, rejected};

/// A connection for migrations. On PostgreSQL it holds a lock, so that one run works at a time. Closing the connection
/// releases the lock.
pub struct MigrationConnection {
    client: ClientWrapper,
    dialect: Dialect,
}

/// A migration for DSQL.
pub struct Migration<'a> {
    /// The number.
    pub version: i32,
    /// The name.
    pub name: &'a str,
    /// The checksum of refinery.
    pub checksum: u64,
    /// The statements. Each ends with a semicolon at the end of a line, and each comment has lines of its own.
    pub sql: &'a str,
}

/// Why a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A statement about the history failed, or the database is unavailable.
    #[error(transparent)]
    Database(#[from] Error),
    /// The connection leads to a pooler. Another client could get the server connection that holds the migration lock.
    #[error(
        "`migrate` needs a direct connection to the database, because it holds a lock for its session, and this address leads \
         to a connection pooler. Give it the address of the server itself in DATABASE_URL or DATABASE_HOST"
    )]
    Pooler,
    /// The database cannot store all characters.
    #[error(
        "the database has the encoding {0}, which lacks most characters. Create a database with the encoding UTF8, for example \
         `create database keyhold encoding 'UTF8' template template0`"
    )]
    Encoding(String),
    /// A statement of a migration failed.
    #[error("the migration V{version}__{name} failed")]
    Failed {
        /// The number of the migration.
        version: i32,
        /// The name of the migration.
        name: String,
        /// The cause.
        #[source]
        source: Error,
    },
    /// The database was migrated with another file of the same number.
    #[error(
        "this database was migrated with a file V{version}__{name} that differs from the file of this version. Use a new \
         database. On a development machine, `cargo dev --fresh` creates one"
    )]
    Divergent {
        /// The number of the migration.
        version: i32,
        /// The name that the database has recorded.
        name: String,
    },
}

/// The table of applied migrations. Its name and columns are those of refinery.
const HISTORY: &str = "refinery_schema_history";

/// The number of the lock: the bytes of "keyhold". Other programs must not use it in this database.
const LOCK: i64 = 0x006b_6579_686f_6c64;

/// Attempts to connect, of some seconds each. A paused Aurora takes 15 s to resume, and 30 s or more after a day:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html>.
const CONNECT_ATTEMPTS: usize = 15;

/// Attempts to run a statement that conflicts with another change of DSQL's catalog. A session learns of earlier changes,
/// its own included, by such a conflict.
const CATALOG_ATTEMPTS: u32 = 10;
/// The pause after the first conflict. Each further pause is longer by the same time.
const PAUSE_AFTER_CONFLICT: Duration = Duration::from_millis(50);

impl Database {
    /// Connects, and on PostgreSQL waits for the migration lock. Resumes a paused database.
    ///
    /// # Errors
    /// The database is unavailable, has another encoding than UTF-8, or is reached through a pooler.
    pub async fn connect_for_migrations(&self) -> Result<MigrationConnection, MigrationError> {
        let client = self.connect_patiently().await?;
        // DSQL has only one encoding, and no such lock. Two runs at once are safe there, because every step may be repeated.
        if self.dialect() == Dialect::PostgreSql {
            if !is_direct(&client).await.map_err(rejected)? {
                return Err(MigrationError::Pooler);
            }
            let encoding = client.query_typed_one(ENCODING, &[]).await.map_err(rejected)?;
            let encoding: String = column(&encoding, "no table", "encoding")?;
            if encoding != UTF8 {
                return Err(MigrationError::Encoding(encoding));
            }
            client.batch_execute(&format!("select pg_advisory_lock({LOCK})")).await.map_err(rejected)?;
        }
        Ok(MigrationConnection { client, dialect: self.dialect() })
    }

    async fn connect_patiently(&self) -> Result<ClientWrapper, Error> {
        let mut attempts = 1;
        loop {
            match self.take_connection().await {
                Err(PoolError::Timeout(_)) if attempts < CONNECT_ATTEMPTS => attempts += 1,
                outcome => return outcome.map_err(|error| Error::Unavailable(Box::new(error))),
            }
        }
    }
}

impl MigrationConnection {
    /// Returns the client of the connection.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Returns the dialect of the server.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Releases the lock now, so that a waiting run does not depend on when the server notices the closed connection.
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

    /// Applies the migrations that a DSQL database lacks, in order, and returns those that this run recorded.
    ///
    /// DSQL commits each statement that changes the schema on its own, so a migration is recorded after its last statement.
    /// An object that already exists is accepted: an interrupted run created it, or one that is in progress.
    ///
    /// # Errors
    /// A statement failed, the database was migrated with other files, or it is unavailable.
    pub async fn apply_to_dsql(
        &mut self,
        migrations: &[Migration<'_>],
        now: SystemTime,
    ) -> Result<Vec<String>, MigrationError> {
        self.create(&format!("create schema {DSQL_SCHEMA}")).await?;
        let columns = "version int4 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255)";
        self.create(&format!("create table {HISTORY} ({columns})")).await?;
        let recorded = self.recorded().await?;
        let mut missing = Vec::new();
        for migration in migrations {
            match recorded.iter().find(|recorded| recorded.version == migration.version) {
                None => missing.push(migration),
                Some(recorded) if recorded.is(migration) => {}
                Some(Recorded { version, name, .. }) => {
                    return Err(MigrationError::Divergent { version: *version, name: name.clone() });
                }
            }
        }
        let mut applied = Vec::new();
        for migration in missing {
            let Migration { version, name, sql, .. } = migration;
            for statement in statements(sql) {
                let failed = |source| MigrationError::Failed { version: *version, name: (*name).to_owned(), source };
                self.create(&statement).await.map_err(failed)?;
            }
            if self.record(migration, now).await? {
                applied.push(format!("V{version}__{name}"));
            }
        }
        Ok(applied)
    }

    async fn recorded(&mut self) -> Result<Vec<Recorded>, Error> {
        let rows = self.query(&format!("select version, name, checksum from {HISTORY}"), &[]).await?;
        rows.iter()
            .map(|row| {
                Ok(Recorded {
                    version: column(row, HISTORY, "version")?,
                    name: column(row, HISTORY, "name")?,
                    checksum: column(row, HISTORY, "checksum")?,
                })
            })
            .collect()
    }

    /// Records a migration. Returns false if another run has recorded it.
    async fn record(&mut self, migration: &Migration<'_>, now: SystemTime) -> Result<bool, Error> {
        let sql = format!(
            "insert into {HISTORY} (version, name, applied_on, checksum) values ($1, $2, $3, $4)
            on conflict (version) do nothing returning version"
        );
        let now = OffsetDateTime::from(now).format(&Rfc3339);
        let now = now.map_err(|error| Error::Corrupt { table: HISTORY, source: Box::new(error) })?;
        let parameters: &Parameters<'_> = &[
            (&migration.version, Type::INT4),
            (&migration.name, Type::VARCHAR),
            (&now, Type::VARCHAR),
            (&migration.checksum.to_string(), Type::VARCHAR),
        ];
        Ok(!self.query(&sql, parameters).await?.is_empty())
    }

    /// Runs a statement that creates something, unless it already exists.
    async fn create(&mut self, sql: &str) -> Result<(), Error> {
        match self.execute(sql).await {
            Err(error) if already_exists(&error) => Ok(()),
            outcome => outcome.map_err(rejected),
        }
    }

    /// Runs a statement that changes the schema or privileges. Retries conflicts on DSQL.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        let mut attempts = 1;
        loop {
            let outcome = self.client.batch_execute(sql).await;
            if !self.should_retry(&outcome, &mut attempts).await {
                return outcome;
            }
        }
    }

    /// Runs a statement that returns rows. Retries conflicts on DSQL.
    pub(super) async fn query(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, Error> {
        let mut attempts = 1;
        loop {
            let outcome = self.client.query_typed(sql, parameters).await;
            if !self.should_retry(&outcome, &mut attempts).await {
                return outcome.map_err(rejected);
            }
        }
    }

    /// Returns true, after a pause, if a statement conflicted and has attempts left.
    async fn should_retry<T>(&self, outcome: &Result<T, tokio_postgres::Error>, attempts: &mut u32) -> bool {
        let retry = self.dialect == Dialect::AuroraDsql
            && outcome.as_ref().is_err_and(|error| is_conflict(error) || is_catalog_conflict(error))
            && *attempts < CATALOG_ATTEMPTS;
        if retry {
            tokio::time::sleep(PAUSE_AFTER_CONFLICT * *attempts).await;
            *attempts += 1;
        }
        retry
    }
}

/// Whether a concurrent run has changed the same row of the catalog, for example the privileges of a table. PostgreSQL has
/// no code of its own for that.
fn is_catalog_conflict(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        *error.code() == SqlState::INTERNAL_ERROR && error.message() == "tuple concurrently updated"
    })
}

/// A row of the history.
struct Recorded {
    version: i32,
    name: String,
    checksum: String,
}

impl Recorded {
    fn is(&self, migration: &Migration<'_>) -> bool {
        self.name == migration.name && self.checksum == migration.checksum.to_string()
    }
}

/// Splits a migration into its statements, without comments.
fn statements(sql: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    for line in sql.lines().filter(|line| !line.trim_start().starts_with("--")) {
        if let Some(statement) = statements.last_mut() {
            *statement += line;
            statement.push('\n');
        }
        if line.trim_end().ends_with(';') {
            statements.push(String::new());
        }
    }
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

fn already_exists(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(
            &SqlState::DUPLICATE_SCHEMA
                | &SqlState::DUPLICATE_TABLE
                | &SqlState::DUPLICATE_COLUMN
                | &SqlState::DUPLICATE_OBJECT
                // PostgreSQL reports this if another session is creating the object.
                | &SqlState::UNIQUE_VIOLATION
        )
    )
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn a_statement_ends_at_a_semicolon_that_ends_a_line() {
        let sql = "-- A comment; with semicolons;\ncreate table a (\n    -- Another;\n    id uuid default ';'\n);\n\n\
                   create index async a_id on a (id);  \n-- The end.\n";
        let expected = ["create table a (\n    id uuid default ';'\n);\n", "\ncreate index async a_id on a (id);  \n"];
        assert_eq!(statements(sql), expected);
        assert_eq!(statements("create schema a"), ["create schema a\n"], "the last semicolon is optional");
        assert_eq!(statements("-- Only a comment.\n"), [""; 0]);
    }
}
