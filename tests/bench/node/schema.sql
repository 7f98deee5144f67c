-- The tables of the Node peer, in a database of its own: its figures stay comparable when the service's schema changes.
create table users (id uuid primary key);
create table sessions (
    user_id uuid not null references users on delete cascade,
    id uuid not null,
    expires_at timestamptz not null,
    primary key (user_id, id)
);
create table data_store (
    user_id uuid not null references users on delete cascade,
    key text collate "C" not null,
    value text not null,
    version bigint not null,
    first_version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    expires_at timestamptz,
    replaced_bytes integer,
    primary key (user_id, key)
);
create index data_store_expiry on data_store (expires_at, user_id) where expires_at is not null;
create table data_clock (
    user_id uuid primary key references users on delete cascade,
    version bigint not null
);
create table data_usage (
    user_id uuid primary key references users on delete cascade,
    keys bigint not null,
    bytes bigint not null,
    keys_allowed bigint not null,
    bytes_allowed bigint not null,
    check (keys <= keys_allowed and bytes <= bytes_allowed)
);
