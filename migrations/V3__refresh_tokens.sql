-- Digests of the refresh tokens of a session: one that is valid and those that were consumed (consumed_at), by which a
-- second use is recognised. The second constraint is there for its index: finding the tokens of a session.
create table refresh_tokens (
    digest text not null,
    user_id uuid not null,
    session_id uuid not null,
    issued_at timestamptz not null,
    consumed_at timestamptz,
    constraint refresh_tokens_pkey primary key (digest),
    constraint refresh_tokens_session_key unique (user_id, session_id, digest)
);
