-- The columns are described in postgresql/V3__refresh_tokens.sql.
create table refresh_tokens (
    digest text not null,
    user_id uuid not null,
    session_id uuid not null,
    issued_at timestamptz not null,
    consumed_at timestamptz,
    successor text,
    successor_digest text,
    constraint refresh_tokens_pkey primary key (digest),
    constraint refresh_tokens_session_key unique (user_id, session_id, digest)
);
