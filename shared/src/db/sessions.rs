//! Sessions and their refresh tokens: the tables `sessions` and `refresh_tokens`.
//!
//! Each statement locks the row of a session before those of its refresh tokens, which serializes the requests of a
//! session.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::dialect::{Sql, delete_tokens_of_ended, sql};
use super::sign_in::VerifiedPassword;
use super::{Database, Effect, Parameters, column};
use crate::auth::refresh_token::{RefreshTokenDigest, RefreshTokenState, SealedToken};
use crate::db;
use crate::domain::{Device, Network, Session, SessionId, SessionInfo, UserAgent, UserId};

const TABLE: &str = "sessions";

/// Maximum number of sessions of one user. A further sign-in ends the session that was refreshed least recently.
const MAX_SESSIONS: i64 = 1000;

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

/// Starts a session for the user of a verified password, stores a renewed hash, and removes the user's expired
/// sessions. Returns false, and changes nothing, if the user is deleted or the verified password is no longer the
/// stored one.
///
/// # Errors
/// The database is unavailable.
pub async fn start(
    db: &Database,
    session: Session,
    refresh_token: &RefreshTokenDigest,
    verified: &VerifiedPassword,
    device: &Device,
    now: SystemTime,
    expires_at: SystemTime,
) -> Result<bool, db::Error> {
    const SQL: Sql = sql!(
        "
        with verified as (
            update users set password = coalesce($7, password)
            where id = $1 and password = $6
            returning id
        ), started as (
            insert into sessions (user_id, id, created_at, refreshed_at, expires_at, user_agent, network)
            select id, $2, $4, $4, $5, $8, $9 from verified
            returning user_id, id
        ), issued as (
            insert into refresh_tokens (digest, user_id, session_id, issued_at)
            select $3, user_id, id, $4 from started
        ), surplus as (
            select id from sessions where user_id = $1 and expires_at > $4 order by refreshed_at desc offset $10
        ), ended as (
            delete from sessions s using started
            where s.user_id = started.user_id and (s.expires_at <= $4 or s.id in (select id from surplus))"
        dsql(" returning s.user_id, s.id")
        ")"
        dsql(delete_tokens_of_ended!())
        "
        select true as started from started"
    );
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&refresh_token.as_str(), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&expires_at, Type::TIMESTAMPTZ),
        (&verified.credentials.password_hash, Type::TEXT),
        (&verified.renewed_hash, Type::TEXT),
        (&device.user_agent.as_ref().map(UserAgent::as_str), Type::TEXT),
        (&device.network.as_ref().map(Network::as_str), Type::TEXT),
        (&(MAX_SESSIONS - 1), Type::INT8),
    ];
    match db.query_opt(Effect::Write, db.dialect().choose(SQL), parameters).await {
        Ok(row) => Ok(row.is_some()),
        Err(error) => match error.or_session_ended() {
            db::Error::SessionEnded => Ok(false),
            error => Err(error),
        },
    }
}

/// A refresh token that a client presents, and the successor that replaces it if it is valid.
pub struct Presented<'a> {
    /// Digest of the token.
    pub digest: &'a RefreshTokenDigest,
    /// Time after its rotation during which it may be presented again without being treated as stolen.
    pub retry_window: Duration,
    /// Digest of the successor.
    pub successor: &'a RefreshTokenDigest,
    /// The successor, sealed (encrypted) with the token.
    pub sealed: &'a SealedToken,
}

/// Rotates a valid refresh token and extends its session, or ends the session of a reused one. Returns the session and
/// the previous state of the token, or none if the token is unknown or its session has ended.
///
/// Of concurrent requests with the same token, one rotates it.
///
/// # Errors
/// The database is unavailable.
pub async fn refresh(
    db: &Database,
    presented: Presented<'_>,
    network: Option<&Network>,
    now: SystemTime,
    lifetime: Duration,
) -> Result<Option<(Session, RefreshTokenState)>, db::Error> {
    // Rotated tokens are deleted after the lifetime that they had. Until then a second use is recognized.
    const SQL: Sql = sql!(
        "
        with owner as (
            select user_id, session_id from refresh_tokens where digest = $1
        ), session as (
            select s.user_id, s.id from sessions s join owner on s.user_id = owner.user_id and s.id = owner.session_id
            where s.expires_at > $2
            for update of s
        ), presented as (
            select r.digest, r.user_id, r.session_id, r.successor, r.successor_digest,
                case when r.consumed_at is null then 'valid'
                     when r.consumed_at > $3 then 'repeated'
                     else 'reused' end as state
            from refresh_tokens r join session on r.user_id = session.user_id and r.session_id = session.id
            where r.digest = $1
            for update of r
        ), rotated as (
            update refresh_tokens r set consumed_at = $2, successor = $5, successor_digest = $4
            from presented where r.digest = presented.digest and presented.state = 'valid'
            returning r.user_id, r.session_id
        ), issued as (
            insert into refresh_tokens (digest, user_id, session_id, issued_at)
            select $4, user_id, session_id, $2 from rotated
        ), extended as (
            update sessions s set refreshed_at = $2, expires_at = $6, network = coalesce($8, s.network)
            from rotated where s.user_id = rotated.user_id and s.id = rotated.session_id
        ), purged_tokens as ("
        postgresql("
            delete from refresh_tokens r using rotated
            where r.user_id = rotated.user_id and r.session_id = rotated.session_id and r.issued_at <= $7
                and r.digest <> $1")
        dsql("
            delete from refresh_tokens r using (
                select o.digest from refresh_tokens o
                join rotated on o.user_id = rotated.user_id and o.session_id = rotated.session_id
                where o.issued_at <= $7 and o.digest <> $1 limit 1000
            ) purged
            where r.digest = purged.digest")
        "
        ), ended as (
            delete from sessions s using presented
            where s.user_id = presented.user_id and s.id = presented.session_id and presented.state = 'reused'"
        dsql(" returning s.user_id, s.id")
        ")"
        dsql(delete_tokens_of_ended!())
        "
        select presented.user_id, presented.session_id, presented.state, presented.successor,
            presented.state = 'repeated' and next.digest is null as successor_unseen,
            next.consumed_at is not null as successor_rotated
        from presented left join refresh_tokens next on next.digest = presented.successor_digest"
    );
    let sql = db.dialect().choose(SQL);
    let parameters: &Parameters<'_> = &[
        (&presented.digest.as_str(), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&(now - presented.retry_window), Type::TIMESTAMPTZ),
        (&presented.successor.as_str(), Type::TEXT),
        (&presented.sealed.as_str(), Type::TEXT),
        (&(now + lifetime), Type::TIMESTAMPTZ),
        (&(now - lifetime), Type::TIMESTAMPTZ),
        (&network.map(Network::as_str), Type::TEXT),
    ];
    let Some(mut row) = db.query_opt(Effect::Write, sql, parameters).await? else {
        return Ok(None);
    };
    if column::<bool>(&row, TABLE, "successor_unseen")? {
        // The statement waited for a concurrent rotation. It read the rotated token, but its snapshot lacks the row of
        // the successor.
        row = match db.query_opt(Effect::Write, sql, parameters).await? {
            Some(row) => row,
            None => return Ok(None),
        };
    }
    let (user, id): (Uuid, Uuid) = (column(&row, TABLE, "user_id")?, column(&row, TABLE, "session_id")?);
    let state = match column(&row, TABLE, "state")? {
        "valid" => RefreshTokenState::Valid,
        "repeated" => RefreshTokenState::Repeated {
            successor: SealedToken::from(column::<String>(&row, TABLE, "successor")?),
            rotated: column(&row, TABLE, "successor_rotated")?,
        },
        "reused" => RefreshTokenState::Reused,
        state => return Err(db::Error::Corrupt { table: "refresh_tokens", source: format!("state {state}").into() }),
    };
    Ok(Some((Session { user: UserId::from(user), id: SessionId::from(id) }, state)))
}

/// Ends the session of a refresh token, valid or rotated, and returns it.
///
/// # Errors
/// The database is unavailable.
pub async fn revoke(db: &Database, token: &RefreshTokenDigest) -> Result<Option<Session>, db::Error> {
    const SQL: Sql = sql!(
        dsql("with ended as (")
        "
        delete from sessions s using refresh_tokens r
        where r.digest = $1 and s.user_id = r.user_id and s.id = r.session_id
        returning s.user_id, s.id"
        dsql(")")
        dsql(delete_tokens_of_ended!())
        dsql(" select user_id, id from ended")
    );
    let row = db.query_opt(Effect::Write, db.dialect().choose(SQL), &[(&token.as_str(), Type::TEXT)]).await?;
    row.map(|row| {
        let (user, id): (Uuid, Uuid) = (column(&row, TABLE, "user_id")?, column(&row, TABLE, "id")?);
        Ok(Session { user: UserId::from(user), id: SessionId::from(id) })
    })
    .transpose()
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
pub async fn end(db: &Database, session: Session, id: SessionId, now: SystemTime) -> Result<(), Error> {
    const SQL: Sql = sql!(
        "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), ended as (
            delete from sessions s using session where s.user_id = session.user_id and s.id = $4 and s.expires_at > $3
            returning s.user_id"
        dsql(", s.id")
        ")"
        dsql(delete_tokens_of_ended!())
        "
        select ended.user_id is not null as ended from session left join ended on ended.user_id = session.user_id"
    );
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&id.uuid(), Type::UUID),
    ];
    let row =
        db.query_opt(Effect::Write, db.dialect().choose(SQL), parameters).await?.ok_or(db::Error::SessionEnded)?;
    if column(&row, TABLE, "ended")? { Ok(()) } else { Err(Error::NotFound) }
}

/// Ends all sessions of the session's user.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn end_all(db: &Database, session: Session, now: SystemTime) -> Result<(), db::Error> {
    const SQL: Sql = sql!(
        "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), ended as (
            delete from sessions s using session where s.user_id = session.user_id"
        dsql(" returning s.user_id, s.id")
        ")"
        dsql(delete_tokens_of_ended!())
        "
        select true as ended from session"
    );
    let parameters: &Parameters<'_> =
        &[(&session.user.uuid(), Type::UUID), (&session.id.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    db.query_opt(Effect::Write, db.dialect().choose(SQL), parameters).await?.ok_or(db::Error::SessionEnded)?;
    Ok(())
}
