//! Security events of accounts, which their users can read: the table `account_events`.
//!
//! The statement of a change also inserts its event, so that neither is stored without the other and no round trip is added. Of
//! each kind, an account has at most 20 new events in 24 hours, so that guesses and loops of clients cannot fill the table. A kind
//! has a limit of its own, so that guesses cannot hide a sign-in.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::{Database, Effect, Error, Parameters, column};
use crate::domain::{
    AccountEvent, Device, EVENT_LIFETIME, EventId, EventKind, Limit, Network, Session, SessionId, UserAgent, uuid_v7,
};

const TABLE: &str = "account_events";

/// The time in which an account has at most 20 new events of a kind.
const LIMITED_TIME: Duration = Duration::from_hours(24);

/// An event to insert.
pub(super) struct NewEvent<'a> {
    id: Uuid,
    /// The lowest id of [`LIMITED_TIME`].
    since: Uuid,
    kind: &'static str,
    network: Option<&'a str>,
    user_agent: Option<&'a str>,
}

impl<'a> NewEvent<'a> {
    /// Makes an event that a request from a device causes.
    pub(super) fn new(kind: EventKind, device: &'a Device, now: SystemTime) -> Self {
        let Device { network, user_agent } = device;
        let (network, user_agent) = (network.as_ref().map(Network::as_str), user_agent.as_ref().map(UserAgent::as_str));
        Self { network, user_agent, ..Self::of_operator(kind, now) }
    }

    /// Makes an event that an operator causes.
    pub(super) fn of_operator(kind: EventKind, now: SystemTime) -> Self {
        let [id, since] = [now, now - LIMITED_TIME].map(uuid_v7);
        Self { id, since, kind: kind.name(), network: None, user_agent: None }
    }

    /// Returns the parameters of [`record_event`], in their order.
    pub(super) fn parameters(&self) -> [(&(dyn ToSql + Sync), Type); 5] {
        [
            (&self.id, Type::UUID),
            (&self.since, Type::UUID),
            (&self.kind, Type::TEXT),
            (&self.network, Type::TEXT),
            (&self.user_agent, Type::TEXT),
        ]
    }
}

/// Makes a CTE that inserts an event for the row of another CTE. Arguments: its name; the other CTE, its column with the user, and
/// the id of the session or null; whether an operator acts; the parameter with the time; and those of [`NewEvent::parameters`].
macro_rules! record_event {
    ($name:literal, $cte:literal, $user:literal, $session:literal, $by_operator:literal, $now:literal,
        $id:literal, $since:literal, $kind:literal, $network:literal, $user_agent:literal) => {
        concat!(
            $name,
            " as (
                insert into account_events (user_id, id, event, created_at, network, user_agent, session_id, by_operator)
                select a.",
            $user,
            concat!(", ", $id, ", ", $kind, ", ", $now, ", ", $network, ", ", $user_agent, ", "),
            concat!($session, ", ", $by_operator, " from ", $cte),
            " a where (
                    select count(*) from account_events e where e.user_id = a.",
            $user,
            concat!(" and e.id > ", $since, " and e.event = ", $kind),
            "
                ) < 20
            )"
        )
    };
}
pub(super) use record_event;

/// A page of events, the newest first.
pub struct EventPage {
    /// The events.
    pub events: Vec<AccountEvent>,
    /// The id of the last event of the page, if more events follow.
    pub next: Option<EventId>,
}

/// Returns events of the session's user in the last 90 days that are older than the event `before`, the newest first.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn list(
    db: &Database,
    session: Session,
    before: Option<EventId>,
    limit: Limit,
    now: SystemTime,
) -> Result<EventPage, Error> {
    // One row more than the limit tells whether more follow.
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), found as (
            select e.id, e.event, e.created_at, e.network, e.user_agent, e.session_id, e.by_operator
            from account_events e
            where e.user_id = $1 and exists (select from session) and e.id < $4 and e.id > $5
            order by e.id desc limit $6 + 1
        )
        select found.* from session left join found on true
        order by found.id desc";
    let (before, oldest) = (before.map_or(Uuid::max(), EventId::uuid), uuid_v7(now - EVENT_LIFETIME));
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&before, Type::UUID),
        (&oldest, Type::UUID),
        (&limit.number(), Type::INT8),
    ];
    let rows = db.query(Effect::Read, SQL, parameters).await?;
    let Some(first) = rows.first() else {
        return Err(Error::SessionEnded);
    };
    if column::<Option<Uuid>>(first, TABLE, "id")?.is_none() {
        return Ok(EventPage { events: Vec::new(), next: None });
    }
    let limit = limit.number().try_into().unwrap_or(usize::MAX);
    let events = rows.iter().take(limit).map(|row| {
        Ok(AccountEvent {
            id: column::<Uuid>(row, TABLE, "id")?.into(),
            event: column(row, TABLE, "event")?,
            created_at: column(row, TABLE, "created_at")?,
            network: column(row, TABLE, "network")?,
            user_agent: column(row, TABLE, "user_agent")?,
            session_id: column::<Option<Uuid>>(row, TABLE, "session_id")?.map(SessionId::from),
            by_operator: column(row, TABLE, "by_operator")?,
        })
    });
    let events: Vec<AccountEvent> = events.collect::<Result<_, Error>>()?;
    let next = events.last().filter(|_| events.len() < rows.len()).map(|event| event.id);
    Ok(EventPage { events, next })
}
