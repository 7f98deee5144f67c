-- The columns are described in postgresql/V2__sessions.sql.
create table sessions (
    user_id uuid not null,
    id uuid not null,
    created_at timestamptz not null,
    refreshed_at timestamptz not null,
    expires_at timestamptz not null,
    family_digest bytea not null,
    current_digest bytea not null,
    previous_digest bytea,
    successor bytea,
    older_digest bytea,
    older_successor bytea,
    older_rotated_at timestamptz,
    burst_at timestamptz,
    refreshes_full_at timestamptz,
    user_agent text,
    network text,
    network_since timestamptz,
    constraint sessions_pkey primary key (user_id, id)
);
