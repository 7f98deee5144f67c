use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Error, TABLE, entry, numbers, value};
use crate::db::{self, Database, Effect, Parameters, column};
use crate::domain::{Entry, Key, KeyPrefix, Limit, Session, Version, VersionMatch};

/// What a read found.
pub enum Lookup {
    /// The value, and it is not one that the caller has already.
    Modified(Entry),
    /// The value has this version, which the caller has already.
    NotModified(Version),
}

/// Reads the value under `key`. Its text is left out if its version is one that the caller knows.
///
/// # Errors
/// `SessionEnded`, `NotFound`, or the database is out of reach.
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

/// Which part of a user's values to read.
pub struct PageRequest<'a> {
    /// What the keys begin with.
    pub prefix: &'a KeyPrefix,
    /// The key that the page before ended with.
    pub after: Option<&'a Key>,
    /// How many at most.
    pub limit: Limit,
    /// Whether with their values.
    pub values: bool,
}

/// A part of a user's values, in the order of their keys' bytes.
pub struct Page {
    /// The values.
    pub entries: Vec<Entry>,
    /// The key to go on after, if there are more.
    pub next: Option<Key>,
}

/// Bytes of values in one answer, unless a single one has more. An invocation's answer may have 6 MB in all, in which every
/// quote and backslash is escaped: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub const PAGE_BYTES: usize = 1024 * 1024;

/// Reads a page. It takes the time of as many rows as were asked for, however many there are: it begins at its place in the
/// index, and looks at no others but such as have expired and are not swept away yet.
///
/// # Errors
/// `SessionEnded`, or the database is out of reach.
pub async fn list(db: &Database, session: Session, page: PageRequest<'_>, now: SystemTime) -> Result<Page, Error> {
    // One row more than asked for tells whether there are more. A join with the session would hide from the planner that
    // the index has the rows in order, and cost a sort of all of the user's rows.
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
