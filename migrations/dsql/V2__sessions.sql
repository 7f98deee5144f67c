-- The columns are described in postgresql/V2__sessions.sql.
create table sessions (
    user_id uuid not null,
    id uuid not null,
    created_at timestamptz not null,
    refreshed_at timestamptz not null,
    expires_at timestamptz not null,
    user_agent text,
    network text,
    constraint sessions_pkey primary key (user_id, id)
);
