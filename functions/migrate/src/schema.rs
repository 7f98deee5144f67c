//! Applies the files in `migrations/`, which are part of the binary.

use std::time::SystemTime;

use refinery::Migration;
use refinery::error::Kind;
use shared::db::Dialect;
use shared::db::admin::migrations::{self, MigrationConnection, MigrationError};
use shared::report::BoxError;

mod postgresql {
    refinery::embed_migrations!("../../migrations/postgresql");
}

mod dsql {
    refinery::embed_migrations!("../../migrations/dsql");
}

/// Applies the migrations that the database lacks, in order, and returns their names.
///
/// # Errors
/// A migration failed, the database was migrated with other files, or it is unavailable.
pub(crate) async fn migrate(connection: &mut MigrationConnection, now: SystemTime) -> Result<Vec<String>, BoxError> {
    match connection.dialect() {
        Dialect::PostgreSql => migrate_postgresql(connection).await,
        Dialect::AuroraDsql => migrate_dsql(connection, now).await,
    }
}

async fn migrate_postgresql(connection: &mut MigrationConnection) -> Result<Vec<String>, BoxError> {
    let runner = postgresql::migrations::runner()
        // An older version must run on the schema of a newer one, so that a deployment can be rolled back.
        .set_abort_missing(false);
    let report = runner.run_async(connection.client()).await.map_err(explain)?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Replaces refinery's error for a migration that differs, so that the message is the same on every kind of server.
fn explain(error: refinery::Error) -> BoxError {
    match error.kind() {
        Kind::DivergentVersion(recorded, _) => {
            MigrationError::Divergent { version: recorded.version(), name: recorded.name().to_owned() }.into()
        }
        _ => error.into(),
    }
}

async fn migrate_dsql(connection: &mut MigrationConnection, now: SystemTime) -> Result<Vec<String>, BoxError> {
    let runner = dsql::migrations::runner();
    let mut files: Vec<&Migration> = runner.get_migrations().iter().collect();
    files.sort();
    let migrations: Vec<_> = files
        .into_iter()
        .map(|file| migrations::Migration {
            version: file.version(),
            name: file.name(),
            checksum: file.checksum(),
            sql: file.sql().unwrap_or_default(),
        })
        .collect();
    Ok(connection.apply_to_dsql(&migrations, now).await?)
}
