-- Counters of a user's values. The row is created with the account, and its lock serializes the writes of a user.
create table user_counters (
    user_id uuid not null,
    -- The last version that was assigned to a write. It outlives the values, so that a key that is deleted and created again
    -- never gets an earlier version.
    version bigint not null,
    keys bigint not null,
    -- Bytes of all keys and values in UTF-8.
    bytes bigint not null,
    -- The limits that applied to the last write. The constraint enforces the quota without counting rows, also against
    -- concurrent writes.
    keys_allowed bigint not null,
    bytes_allowed bigint not null,
    constraint user_counters_pkey primary key (user_id),
    constraint user_counters_user_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint user_counters_within_quota check (keys <= keys_allowed and bytes <= bytes_allowed)
)
-- Every write changes the row. Room in each page lets it write the new version beside the old one, without touching the
-- index.
with (fillfactor = 50);
