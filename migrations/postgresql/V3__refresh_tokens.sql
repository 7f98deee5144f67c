-- SHA-256 digests of the refresh tokens of a session: the valid one, and the consumed ones, which are kept to detect reuse.
create table refresh_tokens (
    digest text not null,
    user_id uuid not null,
    session_id uuid not null,
    issued_at timestamptz not null,
    -- Null while the token is valid.
    consumed_at timestamptz,
    -- The token that replaced a consumed one, encrypted so that only a client that has the consumed token can read it, and
    -- the digest of the replacement.
    successor text,
    successor_digest text,
    constraint refresh_tokens_pkey primary key (digest),
    -- For its index, by which the tokens of a session are found.
    constraint refresh_tokens_session_key unique (user_id, session_id, digest),
    constraint refresh_tokens_session_fkey foreign key (user_id, session_id) references sessions (user_id, id)
        on delete cascade
);
