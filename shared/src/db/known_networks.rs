//! Networks that users are known to use: the table `known_networks`. [`crate::auth::throttle`] has the rule.

use std::time::SystemTime;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::sweep::{MAX_PAGES, PAGE, random_user_id};
use super::{Database, Effect, Error, Parameters, column};
use crate::auth::throttle::KNOWN_NETWORK_LIFETIME;
use crate::domain::{KnownNetwork, Network, Session};

const TABLE: &str = "known_networks";

/// Maximum number of networks that a user is known to use. A further one replaces the one that was seen least recently.
pub(super) const MAX_KNOWN_NETWORKS: i64 = 50;

/// Makes the CTEs that add a network to those of the user of the CTE `started`, who is `$1`. Arguments: parameters with the
/// network, which may be null, the time, and [`MAX_KNOWN_NETWORKS`] less one.
macro_rules! remember_network {
    ($network:literal, $now:literal, $others:literal) => {
        concat!(
            "known as (
                insert into known_networks (user_id, network, seen_at)
                select user_id, ",
            $network,
            ", ",
            $now,
            " from started where ",
            $network,
            " is not null
                on conflict (user_id, network) do update set seen_at = excluded.seen_at
            ), forgotten as (
                delete from known_networks k using started, (
                    select network from known_networks where user_id = $1 and network <> ",
            $network,
            " order by seen_at desc offset ",
            $others,
            "
                ) oldest
                where k.user_id = started.user_id and k.network = oldest.network
            )"
        )
    };
}
pub(super) use remember_network;

/// Lists the networks that the session's user is known to use, the last one first.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn list(db: &Database, session: Session, now: SystemTime) -> Result<Vec<KnownNetwork>, Error> {
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        )
        select k.network, k.seen_at
        from session left join known_networks k on k.user_id = session.user_id
        order by k.seen_at desc, k.network";
    let parameters: &Parameters<'_> =
        &[(&session.user.uuid(), Type::UUID), (&session.id.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    let rows = db.query(Effect::Read, SQL, parameters).await?;
    if rows.is_empty() {
        return Err(Error::SessionEnded);
    }
    let mut networks = Vec::with_capacity(rows.len());
    for row in &rows {
        // The row of a session without networks has none.
        if let Some(network) = column(row, TABLE, "network")? {
            networks.push(KnownNetwork { network, seen_at: column(row, TABLE, "seen_at")? });
        }
    }
    Ok(networks)
}

/// Adds a network from which a session was refreshed to those that its user is known to use.
///
/// # Errors
/// The database is unavailable.
pub(super) async fn remember(db: &Database, session: Session, network: &Network, now: SystemTime) -> Result<(), Error> {
    const SQL: &str = concat!(
        "
        with started as (
            select user_id from sessions where user_id = $1 and id = $5
        ), ",
        remember_network!("$2", "$3", "$4"),
        "
        select user_id from started"
    );
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&network.as_str(), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&(MAX_KNOWN_NETWORKS - 1), Type::INT8),
        (&session.id.uuid(), Type::UUID),
    ];
    match db.query(Effect::Write, SQL, parameters).await {
        // A concurrent request has deleted the user.
        Ok(_) | Err(Error::SessionEnded) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes networks that were not used for 90 days among some thousand, from a random user on, and returns how many it
/// removed.
///
/// # Errors
/// The database is unavailable.
pub async fn remove_unused(db: &Database, now: SystemTime) -> Result<i64, Error> {
    const SQL: &str = "
        with page as (
            select user_id, network from known_networks where (user_id, network) > ($1, $2)
            order by user_id, network limit $3
        ), removed as (
            delete from known_networks k using page p
            where k.user_id = p.user_id and k.network = p.network and k.seen_at <= $4
            returning k.network
        )
        select user_id, network, (select count(*) from page) as examined, (select count(*) from removed) as removed
        from page order by user_id desc, network desc limit 1";
    let (mut after, mut wrapped, mut removed) = ((random_user_id(now), String::new()), false, 0);
    for _ in 0..MAX_PAGES {
        let parameters: &Parameters<'_> = &[
            (&after.0, Type::UUID),
            (&after.1, Type::TEXT),
            (&PAGE, Type::INT8),
            (&(now - KNOWN_NETWORK_LIFETIME), Type::TIMESTAMPTZ),
        ];
        let row = db.query_opt(Effect::Write, SQL, parameters).await?;
        let mut is_full = false;
        if let Some(row) = &row {
            removed += column::<i64>(row, TABLE, "removed")?;
            is_full = column::<i64>(row, TABLE, "examined")? == PAGE;
            after = (column(row, TABLE, "user_id")?, column(row, TABLE, "network")?);
        }
        if !is_full {
            if wrapped {
                break;
            }
            (after, wrapped) = ((Uuid::nil(), String::new()), true);
        }
    }
    Ok(removed)
}
