use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Error, TABLE, entry, numbers, value};
use crate::db::{self, Database, Effect, Parameters, column};
use crate::domain::{Entry, Key, KeyPrefix, Limit, Session, Version, VersionMatch};

/// The result of a conditional read.
pub enum Lookup {
    /// The value, whose version the caller does not know.
    Modified(Entry),
    /// The version of the value, which the caller knows.
    NotModified(Version),
}

/// Reads a value, unless the caller knows its version.
///
/// # Errors
/// `SessionEnded`, `NotFound`, or the database is unavailable.
pub async fn find(
    db: &Database,
    session: Session,
    key: &Key,
    known: &VersionMatch,
    now: SystemTime,
) -> Result<Lookup, Error> {
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        )
        select d.version, case when $5::bigint[] is null or d.version = any($5) then null else d.value end as value,
               d.created_at, d.updated_at, d.expires_at
        from session
        left join data_store d
            on d.user_id = session.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)";
    let row = db
        .query_opt(
            Effect::Read,
            SQL,
            &[
                (&session.user.uuid(), Type::UUID),
                (&session.id.uuid(), Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&key.as_str(), Type::TEXT),
                (&numbers(known), Type::INT8_ARRAY),
            ],
        )
        .await?
        .ok_or(db::Error::SessionEnded)?;
    let Some(version) = column::<Option<i64>>(&row, TABLE, "version")? else {
        return Err(Error::NotFound);
    };
    let Some(text) = column::<Option<String>>(&row, TABLE, "value")? else {
        return Ok(Lookup::NotModified(version.into()));
    };
    Ok(Lookup::Modified(entry(&row, key.clone(), Some(value(text)?), version)?))
}

/// The page of a user's values to read.
pub struct PageRequest<'a> {
    /// Prefix of the keys.
    pub prefix: &'a KeyPrefix,
    /// Last key of the previous page.
    pub after: Option<&'a Key>,
    /// Maximum number of values.
    pub limit: Limit,
    /// Whether to read the values or only their metadata.
    pub values: bool,
}

/// A page of a user's values, in the byte order of their keys.
pub struct Page {
    /// The values of the page.
    pub entries: Vec<Entry>,
    /// Key after which the next page starts, if there is one.
    pub next: Option<Key>,
}

/// Maximum bytes of values in a response, unless a single value has more. Lambda limits a response to 6 MB, in which every
/// quote and backslash is escaped: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub const PAGE_BYTES: usize = 1024 * 1024;

/// Reads a page. The time depends on the size of the page and not on the number of stored values: the statement reads the
/// index from the first key of the page on, and skips only expired rows that have not been purged.
///
/// # Errors
/// `SessionEnded`, or the database is unavailable.
pub async fn list(db: &Database, session: Session, page: PageRequest<'_>, now: SystemTime) -> Result<Page, Error> {
    // One row more than requested shows whether there is a next page. With a join to the session, the planner would sort all
    // rows of the user instead of reading the index in order.
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), found as (
            select d.key, d.value, d.version, d.created_at, d.updated_at, d.expires_at, octet_length(d.value) as bytes
            from data_store d
            where d.user_id = $1 and exists (select from session) and d.key > $4 and d.key >= $5 and ($6::text is null or d.key < $6)
                and (d.expires_at is null or d.expires_at > $3)
            order by d.key limit $7 + 1
        ), measured as (
            select *, sum(bytes) over (order by key) as bytes_so_far, count(*) over () as found from found
        )
        select m.key, case when $8 then m.value end as value, m.version, m.created_at, m.updated_at, m.expires_at, m.found
        from session left join measured m on not $8 or m.bytes_so_far <= $9 or m.bytes_so_far = m.bytes
        order by m.key";
    let PageRequest { prefix, after, limit, values } = page;
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&after.map_or("", Key::as_str), Type::TEXT),
        (&prefix.as_str(), Type::TEXT),
        (&prefix.end(), Type::TEXT),
        (&limit.number(), Type::INT8),
        (&values, Type::BOOL),
        (&(PAGE_BYTES as i64), Type::INT8),
    ];
    let mut rows = db.query(Effect::Read, SQL, parameters).await?;
    let Some(first) = rows.first() else {
        return Err(db::Error::SessionEnded.into());
    };
    let Some(found) = column::<Option<i64>>(first, TABLE, "found")? else {
        return Ok(Page { entries: Vec::new(), next: None });
    };
    rows.truncate(limit.number().try_into().unwrap_or(usize::MAX));
    let entries = rows.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
    let more = usize::try_from(found).is_ok_and(|found| found > entries.len());
    let next = entries.last().filter(|_| more).map(|entry| entry.key.clone());
    Ok(Page { entries, next })
}

fn listed(row: &Row) -> Result<Entry, db::Error> {
    let text = column::<Option<String>>(row, TABLE, "value")?;
    entry(
        row,
        Key::from_stored(column(row, TABLE, "key")?),
        text.map(value).transpose()?,
        column(row, TABLE, "version")?,
    )
}
