//! Changes that a concurrent sign-in must not miss.

use futures_util::future::{BoxFuture, join4};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::dialect::{Sql, sql};
use super::statement::{Connection, Statement, Work};
use super::{Database, Dialect, Effect, Error, Parameters};
use crate::domain::UserId;

/// Runs a statement after it has locked the row of a user, in one transaction and one round trip, and returns its row.
///
/// A concurrent sign-in locks the row too. So the statement sees each session that a sign-in with the old state has started, and
/// can end it.
///
/// The future is boxed like that of [`Database::query`].
pub(super) fn run_locked<'a>(
    db: &'a Database,
    user: UserId,
    sql: &'a str,
    parameters: &'a Parameters<'a>,
) -> BoxFuture<'a, Result<Option<Row>, Error>> {
    let work = LockedWork { dialect: db.dialect(), user: user.uuid(), sql, parameters };
    Box::pin(async move { Ok(db.run(Effect::Write, &work).await?.pop()) })
}

struct LockedWork<'a> {
    dialect: Dialect,
    user: Uuid,
    sql: &'a str,
    parameters: &'a Parameters<'a>,
}

impl Work for LockedWork<'_> {
    type Output = Vec<Row>;

    const NAME: Option<&'static str> = Some("change of a user");

    async fn run(&self, connection: &Connection<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        const LOCK: Sql = sql!("select id from users where id = $1 for " postgresql("no key ") "update");
        let lock = Statement { sql: self.dialect.choose(LOCK), parameters: &[(&self.user, Type::UUID)] };
        let change = Statement { sql: self.sql, parameters: self.parameters };
        // Sent in this order without waiting for responses. If one fails, `commit` rolls back.
        let (begin, commit) = (connection.command("begin"), connection.command("commit"));
        let (begun, locked, changed, committed) =
            join4(begin, lock.run(connection), change.run(connection), commit).await;
        begun.and(locked)?;
        let rows = changed?;
        committed?;
        Ok(rows)
    }
}
