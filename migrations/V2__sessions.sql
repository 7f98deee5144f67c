-- A row for each sign-in that stands. Ending one deletes its row, and every statement made for a user asks for the row.
create table sessions (
    user_id uuid not null,
    id uuid not null,
    created_at timestamptz not null,
    refreshed_at timestamptz not null,
    expires_at timestamptz not null,
    constraint sessions_pkey primary key (user_id, id)
);
