-- The columns are described in postgresql/V11__account_events.sql.
create table account_events (
    id uuid not null,
    user_id uuid not null,
    event text not null,
    created_at timestamptz not null,
    network text,
    user_agent text,
    session_id uuid,
    by_operator boolean not null,
    constraint account_events_pkey primary key (id)
);

-- Finds the events of a user, the newest first.
create index async if not exists account_events_user on account_events (user_id, id);
