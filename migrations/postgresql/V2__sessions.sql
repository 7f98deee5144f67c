-- Sessions that were not ended. Ending a session deletes its row, and every statement made for a user checks the row.
create table sessions (
    user_id uuid not null,
    id uuid not null,
    created_at timestamptz not null,
    refreshed_at timestamptz not null,
    expires_at timestamptz not null,
    -- The device, by which the user recognizes the session: the program that signed in (at most 200 characters), and the
    -- IPv4 address or the IPv6 /64 network of the last sign-in or refresh.
    user_agent text,
    network text,
    constraint sessions_pkey primary key (user_id, id),
    constraint sessions_user_fkey foreign key (user_id) references users (id) on delete cascade
);
