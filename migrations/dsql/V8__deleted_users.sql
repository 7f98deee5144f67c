-- The columns are described in postgresql/V8__deleted_users.sql.
create table deleted_users (
    user_id uuid not null,
    deleted_at timestamptz not null,
    constraint deleted_users_pkey primary key (user_id)
);
