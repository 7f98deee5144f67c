-- Security events of the last 90 days, which the user of the account can read.
create table account_events (
    -- Grows with time, so that it also finds the events of a time.
    id uuid not null,
    user_id uuid not null,
    -- The name of the kind, see shared/src/domain/account_event.rs.
    event text not null,
    created_at timestamptz not null,
    -- The device of the request; null for an operator.
    network text,
    user_agent text,
    -- The session that was started, ended, or used. It may not exist any more.
    session_id uuid,
    by_operator boolean not null,
    constraint account_events_pkey primary key (id),
    constraint account_events_user_fkey foreign key (user_id) references users (id) on delete cascade
);

-- Finds the events of a user, the newest first.
create index account_events_user on account_events (user_id, id);
