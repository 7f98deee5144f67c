-- Sessions that were not ended. Ending a session deletes its row, and every statement made for a user checks the row.
create table sessions (
    user_id uuid not null,
    id uuid not null,
    created_at timestamptz not null,
    -- Time of the last sign-in or rotation of the refresh token.
    refreshed_at timestamptz not null,
    expires_at timestamptz not null,
    -- SHA-256 digests of the secret that all refresh tokens of the session have, and of the secrets of the current token
    -- and the previous one.
    family_digest bytea not null,
    current_digest bytea not null,
    previous_digest bytea,
    -- The secret of the current token, encrypted so that only the previous token reveals it.
    successor bytea,
    -- The same of the token before the previous one and the time of its rotation, if that was shortly before the last one.
    older_digest bytea,
    older_successor bytea,
    older_rotated_at timestamptz,
    -- Time of the first of several rotations that followed each other shortly.
    burst_at timestamptz,
    -- Time at which the bucket is full again that limits refreshes, see shared/src/auth/rate_limit.rs.
    refreshes_full_at timestamptz,
    -- The device, by which the user recognizes the session: the program that signed in (at most 200 characters), and the
    -- IPv4 address or the IPv6 /64 network of the last sign-in or refresh.
    user_agent text,
    network text,
    -- Time of the refresh that has changed the network.
    network_since timestamptz,
    -- The only index. A refresh must not change a column of an index, see shared/src/db/sessions.rs.
    constraint sessions_pkey primary key (user_id, id),
    constraint sessions_user_fkey foreign key (user_id) references users (id) on delete cascade
)
-- Leaves room in each page, so that a refresh writes the new version of a row beside the old one.
with (fillfactor = 90);
