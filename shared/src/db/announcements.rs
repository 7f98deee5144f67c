//! Messages that announce a change of an account: the table `announcements`.
//!
//! The statement of a change inserts its announcement, the function then moves it to the outbox, and `data-sweep` moves those
//! that a failure has left.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Database, Effect, Error, Parameters, column};

const TABLE: &str = "announcements";

/// Maximum number of announcements that a run of `data-sweep` moves.
const STEP: i64 = 200;
/// Age from which an announcement counts as left: the function that has inserted it has failed or ended.
const LEFT_AFTER: Duration = Duration::from_mins(1);

/// A message that announces a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The id, also of its entry in the outbox.
    pub id: Uuid,
    /// The message as JSON.
    pub message: String,
}

/// Makes the CTE that inserts the announcement of a change if the CTE `changed` has a row. Arguments: the parameters with the id,
/// the message, and the time.
macro_rules! announce {
    ($id:literal, $message:literal, $now:literal) => {
        concat!(
            "announced as (
                insert into announcements (id, message, created_at) select ",
            $id,
            ", ",
            $message,
            ", ",
            $now,
            " from changed where ",
            $message,
            " is not null
            )"
        )
    };
}
pub(super) use announce;

/// Returns the parameters of [`announce`]: the id and the message. Both are null without an announcement.
pub(super) fn parameters(announcement: Option<&Announcement>) -> (Option<Uuid>, Option<&str>) {
    announcement.map(|new| (new.id, new.message.as_str())).unzip()
}

/// Removes an announcement that is in the outbox.
///
/// # Errors
/// The database is unavailable.
pub async fn remove(db: &Database, id: Uuid) -> Result<(), Error> {
    const SQL: &str = "delete from announcements where id = $1";
    db.query(Effect::Write, SQL, &[(&id, Type::UUID)]).await?;
    Ok(())
}

/// Returns announcements that were not moved to the outbox, the oldest first.
///
/// # Errors
/// The database is unavailable.
pub async fn left(db: &Database, now: SystemTime) -> Result<Vec<Announcement>, Error> {
    const SQL: &str = "select id, message from announcements where created_at <= $1 order by created_at limit $2";
    let parameters: &Parameters<'_> = &[(&(now - LEFT_AFTER), Type::TIMESTAMPTZ), (&STEP, Type::INT8)];
    let rows = db.query(Effect::Read, SQL, parameters).await?;
    let read = |row| Ok(Announcement { id: column(row, TABLE, "id")?, message: column(row, TABLE, "message")? });
    rows.iter().map(read).collect()
}
