-- Values of users.
create table data_store (
    user_id uuid not null,
    -- The collation compares bytes, so that keys have the same order in every database.
    key text collate "C" not null,
    -- JSON. The type is text because jsonb loses digits of numbers, the order and repetition of members, and \u0000.
    value text not null,
    version bigint not null,
    -- The version of the write that created the key.
    first_version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    expires_at timestamptz,
    -- No foreign key to users: its cascade would delete all values of a user in one statement. A write needs the user's row of
    -- user_counters, which is deleted with the account.
    constraint data_store_pkey primary key (user_id, key)
);

-- Finds expired values. It is partial because most values do not expire.
create index data_store_expiry on data_store (expires_at, user_id) where expires_at is not null;
