//! Reads of single values and of pages.

use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Error, TABLE, entry, parse_value, version_numbers};
use crate::db::{self, Database, Effect, Parameters, column};
use crate::domain::{Entry, Key, KeyPrefix, Limit, Session, Version, VersionMatch};

/// The result of a conditional read.
pub enum Lookup {
    /// The entry; the caller does not have its version.
    Modified(Entry),
    /// The version of the entry; the caller has it.
    NotModified(Version),
}

impl Lookup {
    /// Returns the version of the entry.
    pub fn version(&self) -> Version {
        match self {
            Self::Modified(entry) => entry.version,
            Self::NotModified(version) => *version,
        }
    }
}

/// Reads the value under `key`, unless its version is one of `known`.
///
/// # Errors
/// `NotFound`, the session has ended, or the database is unavailable.
pub async fn find(
    db: &Database,
    session: Session,
    key: &Key,
    known: &VersionMatch,
    now: SystemTime,
) -> Result<Lookup, Error> {
    const SQL: &str = "
        select d.version, case when $5::bigint[] is null or d.version = any($5) then null else d.value end as value,
               d.created_at, d.updated_at, d.expires_at
        from sessions s
        left join data_store d
            on d.user_id = s.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)
        where s.user_id = $1 and s.id = $2 and s.expires_at > $3";
    let row = db
        .query_opt(
            Effect::Read,
            SQL,
            &[
                (&session.user.uuid(), Type::UUID),
                (&session.id.uuid(), Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&key.as_str(), Type::TEXT),
                (&version_numbers(known), Type::INT8_ARRAY),
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
    Ok(Lookup::Modified(entry(&row, key.clone(), Some(parse_value(text)?), version)?))
}

/// The parameters of a page.
pub struct PageRequest<'a> {
    /// The prefix of the keys.
    pub prefix: &'a KeyPrefix,
    /// The last key of the previous page.
    pub after: Option<&'a Key>,
    /// Maximum number of entries.
    pub limit: Limit,
    /// Whether the entries contain their values.
    pub values: bool,
}

/// A page of a user's entries, ordered by the bytes of their keys.
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The last key of the page, if more entries follow.
    pub next: Option<Key>,
}

/// Maximum bytes of values in a response, unless its only value has more. Lambda limits a response to 6 MB, in which
/// each quote and backslash is escaped: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub const PAGE_BYTES: usize = 1024 * 1024;

/// Makes the statement of a page: the expression of the value, the columns of `found` that it needs, and the relation `m`.
macro_rules! page {
    ($end:literal, $value:literal, $found:literal, $measured:literal) => {
        concat!(
            "
            with session as (
                select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
            ), found as (
                select d.key, d.version, d.created_at, d.updated_at, d.expires_at",
            $found,
            "
                from data_store d
                where d.user_id = $1 and exists (select from session) and d.key > $4 and d.key >= $5",
            $end,
            "
                    and (d.expires_at is null or d.expires_at > $3)
                order by d.key limit $7 + 1
            )
            select m.key, m.version, m.created_at, m.updated_at, m.expires_at, ",
            $value,
            " as value
            from session left join ",
            $measured,
            " m on true
            order by m.key"
        )
    };
}

/// Reads a page. The time depends on its number of rows, not on their total number: the index scan starts at `after`
/// and skips only expired rows that have not been purged.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn list(db: &Database, session: Session, page: PageRequest<'_>, now: SystemTime) -> Result<Page, Error> {
    // One row more than the limit tells whether more follow. `exists (select from session)` instead of a join lets the
    // planner use the order of the index; with a join it would sort all rows of the user.
    //
    // The end of the prefix is part of the text only if there is one: a plan for a parameter that may be null would not use it
    // to end the index scan.
    macro_rules! keys {
        ($end:literal) => {
            page!($end, "null::text", "", "found")
        };
    }
    // Rows after those that fit have no value. `rows` adds up faster than the default `range`, which looks for equal keys.
    macro_rules! values {
        ($end:literal) => {
            page!(
                $end,
                "case when m.bytes_so_far <= $8 or m.bytes_so_far = m.bytes then m.value end",
                ", d.value, octet_length(d.value) as bytes",
                "(select *, sum(bytes) over (order by key rows unbounded preceding) as bytes_so_far from found)"
            )
        };
    }
    let PageRequest { prefix, after, limit, values } = page;
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&after.map_or("", Key::as_str), Type::TEXT),
        (&prefix.as_str(), Type::TEXT),
        (&prefix.end(), Type::TEXT),
        (&limit.number(), Type::INT8),
        (&(PAGE_BYTES as i64), Type::INT8),
    ];
    let (sql, parameters) = match (values, prefix.end().is_some()) {
        (true, true) => (values!(" and d.key < $6"), parameters),
        (true, false) => (values!(""), parameters),
        (false, true) => (keys!(" and d.key < $6"), &parameters[..7]),
        (false, false) => (keys!(""), &parameters[..7]),
    };
    let rows = db.query(Effect::Read, sql, parameters).await?;
    let Some(first) = rows.first() else {
        return Err(db::Error::SessionEnded.into());
    };
    if column::<Option<&str>>(first, TABLE, "key")?.is_none() {
        return Ok(Page { entries: Vec::new(), next: None });
    }
    let limit = limit.number().try_into().unwrap_or(usize::MAX);
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows.iter().take(limit) {
        let entry = page_entry(row)?;
        if values && entry.value.is_none() {
            break;
        }
        entries.push(entry);
    }
    let next = entries.last().filter(|_| entries.len() < rows.len()).map(|entry| entry.key.clone());
    Ok(Page { entries, next })
}

fn page_entry(row: &Row) -> Result<Entry, db::Error> {
    let text = column::<Option<String>>(row, TABLE, "value")?;
    entry(
        row,
        Key::from_stored(column(row, TABLE, "key")?),
        text.map(parse_value).transpose()?,
        column(row, TABLE, "version")?,
    )
}
