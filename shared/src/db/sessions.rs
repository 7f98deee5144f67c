//! Sessions and their refresh tokens: the table `sessions`.
//!
//! A session is one row of constant size, however often it is refreshed. Beside the current refresh token, it has the
//! digests of those rotated last, each with its successor, encrypted so that only the rotated token reveals it:
//!
//! | presented token | stored as | accepted until | response |
//! |---|---|---|---|
//! | current | `current_digest` | `expires_at` | a new successor: the token is rotated |
//! | current, refreshed too often | `refreshes_full_at` | `expires_at` | throttled: the token stays the current one |
//! | previous: rotated last | `previous_digest`, `successor`, `refreshed_at` | the retry window has passed, or the next rotation | the same successor |
//! | older: rotated before that, within [`RACE_WINDOW`] of it | `older_digest`, `older_successor`, `older_rotated_at` | `RACE_WINDOW` has passed, or the next rotation | the same successor |
//! | any other that the service has issued, in a burst | – | – | rejected, because it may have been rotated just before |
//! | any other that the service has issued | – | – | rejected, and the session ends: the token was copied |
//! | any other text | – | – | rejected |
//!
//! A token was issued by the service if its family secret is the one of the session (`family_digest`). In a burst, each
//! rotation follows the one before within `RACE_WINDOW`, so that a token can lose its place before its `RACE_WINDOW` has
//! passed. That is a race of a client for the time of two `RACE_WINDOW`s after `burst_at`. A longer burst is a loop, which
//! must not hide a theft.
//!
//! No index has a column that a refresh changes, so that PostgreSQL updates the row without touching an index.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::account_events::{NewEvent, record_event};
use super::known_networks::{self, MAX_KNOWN_NETWORKS, remember_network};
use super::sign_in::{VerifiedPassword, stored_cost};
use super::{Database, Effect, Parameters, column};
use crate::auth::rate_limit::SESSION_REFRESHES;
use crate::auth::refresh_token::{RACE_WINDOW, RefreshToken, SealedSecret};
use crate::db;
use crate::domain::{Device, EventKind, Network, Session, SessionId, SessionInfo, SessionPolicy, UserAgent};

const TABLE: &str = "sessions";

/// Maximum number of sessions of one user. A further sign-in ends an expired session, or the one that was refreshed
/// least recently.
const MAX_SESSIONS: i64 = 1000;
/// Maximum number of sessions that one sign-in ends. Concurrent sign-ins can exceed [`MAX_SESSIONS`], and later ones
/// correct that.
const MAX_ENDED: i64 = 10;

/// Why a session was not ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user has no such session.
    #[error("the session does not exist")]
    NotFound,
    /// Any other error of the statement.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// A session to start.
#[derive(Clone, Copy)]
pub struct NewSession<'a> {
    /// Its first refresh token.
    pub refresh_token: &'a RefreshToken,
    /// The device that signed in.
    pub device: &'a Device,
    /// Time of the sign-in.
    pub started_at: SystemTime,
    /// Time at which it ends unless it is refreshed before.
    pub expires_at: SystemTime,
}

/// Makes the CTE `started`, which starts a session for the user of another CTE. Arguments: that CTE, and the parameters with the
/// values of the columns after `user_id`.
macro_rules! start_session {
    ($user:literal, $values:literal) => {
        concat!(
            "started as (
                insert into sessions
                    (user_id, id, family_digest, current_digest, created_at, refreshed_at, expires_at, user_agent, network)
                select id, ",
            $values,
            " from ",
            $user,
            "
                returning user_id
            )"
        )
    };
}
pub(super) use start_session;

/// Starts a session for the user of a verified password and stores a renewed hash. Returns false, and changes nothing,
/// if the user is deleted or disabled, or the verified password was replaced.
///
/// # Errors
/// The database is unavailable.
pub async fn start(db: &Database, new: NewSession<'_>, verified: &VerifiedPassword) -> Result<bool, db::Error> {
    const SQL: &str = concat!(
        "
        with verified as (
            update users set password = coalesce($7, password), password_cost = coalesce($13, password_cost)
            where id = $1 and password = $6 and disabled_at is null
            returning id
        ), ",
        start_session!("verified", "$2, $10, $3, $4, $4, $5, $8, $9"),
        ", ",
        record_event!("event", "started", "user_id", "$2", "false", "$4", "$15", "$16", "$17", "$18", "$19"),
        ", ",
        remember_network!("$9", "$4", "$14"),
        ", surplus as (
            select id from sessions where user_id = $1 order by expires_at > $4, refreshed_at
            limit least(greatest((select count(*) from sessions where user_id = $1) - $11, 0), $12)
        ), ended as (
            delete from sessions s using started, surplus where s.user_id = started.user_id and s.id = surplus.id
        )
        select true as started from started"
    );
    let session = new.refresh_token.session();
    let (family, digest) = (new.refresh_token.family_digest(), new.refresh_token.digest());
    let event = NewEvent::new(EventKind::SessionStarted, new.device, new.started_at);
    let starting: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&digest.as_bytes(), Type::BYTEA),
        (&new.started_at, Type::TIMESTAMPTZ),
        (&new.expires_at, Type::TIMESTAMPTZ),
        (&verified.credentials.password_hash, Type::TEXT),
        (&verified.renewed_hash.as_ref().map(|hash| &hash.text), Type::TEXT),
        (&new.device.user_agent.as_ref().map(UserAgent::as_str), Type::TEXT),
        (&new.device.network.as_ref().map(Network::as_str), Type::TEXT),
        (&family.as_bytes(), Type::BYTEA),
        (&(MAX_SESSIONS - 1), Type::INT8),
        (&MAX_ENDED, Type::INT8),
        (&verified.renewed_hash.as_ref().map(stored_cost), Type::INT2),
        (&(MAX_KNOWN_NETWORKS - 1), Type::INT8),
    ];
    match db.query_opt(Effect::Write, SQL, &[starting, &event.parameters()].concat()).await {
        Err(db::Error::SessionEnded) => Ok(false),
        row => Ok(row?.is_some()),
    }
}

/// The outcome of presenting a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The token was the current one, and its successor is now.
    Rotated {
        /// Time at which the session ends unless it is refreshed before.
        expires_at: SystemTime,
    },
    /// The token was rotated recently. It keeps its successor.
    Repeated {
        /// The successor, encrypted with the token.
        successor: SealedSecret,
        /// Time at which the session ends unless it is refreshed before.
        expires_at: SystemTime,
    },
    /// The token was rotated, possibly just before, and its successor has been replaced.
    Superseded,
    /// The token was rotated longer ago, which is treated as theft. Its session has been ended.
    Reused,
    /// The token is the current one, and the session was refreshed too often. It stays the current one.
    Throttled {
        /// Time at which it can be rotated.
        until: SystemTime,
    },
    /// The token is not one of this service, or its session has ended.
    Unknown,
}

/// Rotates the current refresh token of a session and extends the session, returns the successor of a recent one, or
/// ends the session of a reused one.
///
/// Of concurrent requests with the same token, one rotates it. The others get its successor.
///
/// # Errors
/// The database is unavailable.
pub async fn refresh(
    db: &Database,
    presented: &RefreshToken,
    successor: &RefreshToken,
    device: &Device,
    policy: &SessionPolicy,
    now: SystemTime,
) -> Result<Refreshed, db::Error> {
    const SQL: &str = "
        update sessions as s set
            current_digest = $5,
            previous_digest = s.current_digest,
            successor = $6,
            older_digest = case when s.refreshed_at > $9 then s.previous_digest end,
            older_successor = case when s.refreshed_at > $9 then s.successor end,
            older_rotated_at = case when s.refreshed_at > $9 then s.refreshed_at end,
            burst_at = case when s.refreshed_at > $9 then coalesce(s.burst_at, s.refreshed_at) end,
            refreshed_at = $7,
            expires_at = least($8, s.created_at + $10 * interval '1 second'),
            refreshes_full_at = greatest(s.refreshes_full_at, $7) + $12 * interval '1 second',
            network = coalesce($11, s.network),
            network_since = case when $11 is not null and s.network is distinct from $11 then $7 else s.network_since end
        where s.user_id = $1 and s.id = $2 and s.family_digest = $3 and s.current_digest = $4 and s.expires_at > $7
            and coalesce(s.refreshes_full_at, $7) <= $7 + $13 * interval '1 second'
        returning s.expires_at, $11 is not null and s.network_since = $7 as is_from_new_network";
    let (session, family, digest) = (presented.session(), presented.family_digest(), presented.digest());
    let (successor_digest, sealed) = (successor.digest(), presented.seal(successor));
    let network = device.network.as_ref();
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&family.as_bytes(), Type::BYTEA),
        (&digest.as_bytes(), Type::BYTEA),
        (&successor_digest.as_bytes(), Type::BYTEA),
        (&sealed.as_bytes(), Type::BYTEA),
        (&now, Type::TIMESTAMPTZ),
        (&(now + policy.idle_lifetime), Type::TIMESTAMPTZ),
        (&(now - RACE_WINDOW), Type::TIMESTAMPTZ),
        (&policy.max_lifetime.as_secs_f64(), Type::FLOAT8),
        (&network.map(Network::as_str), Type::TEXT),
        (&SESSION_REFRESHES.interval.as_secs_f64(), Type::FLOAT8),
        (&SESSION_REFRESHES.slack().as_secs_f64(), Type::FLOAT8),
    ];
    let Some(row) = db.query_opt(Effect::Write, SQL, parameters).await? else {
        return present_again(db, presented, device, policy.retry_window, now).await;
    };
    if let Some(network) = network
        && column::<Option<bool>>(&row, TABLE, "is_from_new_network")? == Some(true)
    {
        known_networks::remember(db, session, network, now).await?;
    }
    Ok(Refreshed::Rotated { expires_at: column(&row, TABLE, "expires_at")? })
}

/// Finds out why a refresh token is not the current one, and ends the session of a reused one.
///
/// This is a second statement, because its snapshot has to include a concurrent rotation for which [`refresh`] has
/// waited.
async fn present_again(
    db: &Database,
    presented: &RefreshToken,
    device: &Device,
    retry_window: Duration,
    now: SystemTime,
) -> Result<Refreshed, db::Error> {
    const SQL: &str = concat!(
        "
        with presented as (
            select user_id, id, expires_at, successor, older_successor, refreshes_full_at,
                case when current_digest = $4 then 'throttled'
                     when previous_digest = $4 and refreshed_at > $6 then 'previous'
                     when older_digest = $4 and older_rotated_at > $7 then 'older'
                     when older_rotated_at > $7 and burst_at > $8 then 'superseded'
                     else 'reused' end as state
            from sessions
            where user_id = $1 and id = $2 and family_digest = $3 and expires_at > $5
            for update
        ), ended as (
            delete from sessions s using presented
            where s.user_id = presented.user_id and s.id = presented.id and presented.state = 'reused'
            returning s.user_id
        ), ",
        record_event!("event", "ended", "user_id", "$2", "false", "$5", "$9", "$10", "$11", "$12", "$13"),
        "
        select state, expires_at, refreshes_full_at,
            case state when 'previous' then successor else older_successor end as successor
        from presented"
    );
    let event = NewEvent::new(EventKind::RefreshReused, device, now);
    let (session, family, digest) = (presented.session(), presented.family_digest(), presented.digest());
    let presenting: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&family.as_bytes(), Type::BYTEA),
        (&digest.as_bytes(), Type::BYTEA),
        (&now, Type::TIMESTAMPTZ),
        (&(now - retry_window), Type::TIMESTAMPTZ),
        (&(now - RACE_WINDOW), Type::TIMESTAMPTZ),
        (&(now - 2 * RACE_WINDOW), Type::TIMESTAMPTZ),
    ];
    let row = match db.query_opt(Effect::Write, SQL, &[presenting, &event.parameters()].concat()).await {
        Ok(Some(row)) => row,
        Ok(None) | Err(db::Error::SessionEnded) => return Ok(Refreshed::Unknown),
        Err(error) => return Err(error),
    };
    let corrupt = |source| db::Error::Corrupt { table: TABLE, source };
    match column(&row, TABLE, "state")? {
        "previous" | "older" => Ok(Refreshed::Repeated {
            successor: SealedSecret::try_from(column::<&[u8]>(&row, TABLE, "successor")?)
                .map_err(|error| corrupt(error.into()))?,
            expires_at: column(&row, TABLE, "expires_at")?,
        }),
        "throttled" => {
            let full_at: SystemTime = column(&row, TABLE, "refreshes_full_at")?;
            Ok(Refreshed::Throttled { until: SESSION_REFRESHES.token_at(full_at) })
        }
        "superseded" => Ok(Refreshed::Superseded),
        "reused" => Ok(Refreshed::Reused),
        state => Err(corrupt(format!("state {state}").into())),
    }
}

/// Ends the session of a refresh token, which need not be the current one, and returns whether there was one.
///
/// # Errors
/// The database is unavailable.
pub async fn revoke(db: &Database, token: &RefreshToken, device: &Device, now: SystemTime) -> Result<bool, db::Error> {
    const SQL: &str = concat!(
        "
        with ended as (
            delete from sessions where user_id = $1 and id = $2 and family_digest = $3
            returning user_id
        ), ",
        record_event!("event", "ended", "user_id", "$2", "false", "$4", "$5", "$6", "$7", "$8", "$9"),
        "
        select true as ended from ended"
    );
    let (session, family) = (token.session(), token.family_digest());
    let event = NewEvent::new(EventKind::SessionRevoked, device, now);
    let revoking: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&family.as_bytes(), Type::BYTEA),
        (&now, Type::TIMESTAMPTZ),
    ];
    match db.query_opt(Effect::Write, SQL, &[revoking, &event.parameters()].concat()).await {
        Err(db::Error::SessionEnded) => Ok(false),
        row => Ok(row?.is_some()),
    }
}

/// Lists the sessions of the session's user, newest first.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn list(db: &Database, session: Session, now: SystemTime) -> Result<Vec<SessionInfo>, db::Error> {
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        )
        select s.id, s.id = $2 as current, s.created_at, s.refreshed_at, s.expires_at, s.user_agent, s.network
        from session join sessions s on s.user_id = session.user_id
        where s.expires_at > $3
        order by s.created_at desc, s.id desc";
    let parameters: &Parameters<'_> =
        &[(&session.user.uuid(), Type::UUID), (&session.id.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    let rows = db.query(Effect::Read, SQL, parameters).await?;
    if rows.is_empty() {
        return Err(db::Error::SessionEnded);
    }
    rows.iter()
        .map(|row| {
            Ok(SessionInfo {
                id: column::<Uuid>(row, TABLE, "id")?.into(),
                current: column(row, TABLE, "current")?,
                created_at: column(row, TABLE, "created_at")?,
                refreshed_at: column(row, TABLE, "refreshed_at")?,
                expires_at: column(row, TABLE, "expires_at")?,
                user_agent: column(row, TABLE, "user_agent")?,
                network: column(row, TABLE, "network")?,
            })
        })
        .collect()
}

/// Ends one session of the session's user, which may be the session itself.
///
/// # Errors
/// `NotFound`, the session has ended, or the database is unavailable.
pub async fn end(
    db: &Database,
    session: Session,
    id: SessionId,
    device: &Device,
    now: SystemTime,
) -> Result<(), Error> {
    const SQL: &str = concat!(
        "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), ended as (
            delete from sessions s using session where s.user_id = session.user_id and s.id = $4 and s.expires_at > $3
            returning s.user_id
        ), ",
        record_event!("event", "ended", "user_id", "$4", "false", "$3", "$5", "$6", "$7", "$8", "$9"),
        "
        select ended.user_id is not null as ended from session left join ended on ended.user_id = session.user_id"
    );
    let event = NewEvent::new(EventKind::SessionEnded, device, now);
    let ending: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&id.uuid(), Type::UUID),
    ];
    let row = db
        .query_opt(Effect::Write, SQL, &[ending, &event.parameters()].concat())
        .await?
        .ok_or(db::Error::SessionEnded)?;
    if column(&row, TABLE, "ended")? { Ok(()) } else { Err(Error::NotFound) }
}

/// Ends all sessions of the session's user.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn end_all(db: &Database, session: Session, device: &Device, now: SystemTime) -> Result<(), db::Error> {
    const SQL: &str = concat!(
        "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), ended as (
            delete from sessions s using session where s.user_id = session.user_id
        ), ",
        record_event!("event", "session", "user_id", "$2", "false", "$3", "$4", "$5", "$6", "$7", "$8"),
        "
        select true as ended from session"
    );
    let event = NewEvent::new(EventKind::AllSessionsEnded, device, now);
    let ending: &Parameters<'_> =
        &[(&session.user.uuid(), Type::UUID), (&session.id.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    db.query_opt(Effect::Write, SQL, &[ending, &event.parameters()].concat()).await?.ok_or(db::Error::SessionEnded)?;
    Ok(())
}
