-- Storage used by a user. Each write adds its change and sets the limits that apply to it. The constraint enforces the quota
-- without counting rows, also against concurrent writes.
create table data_usage (
    user_id uuid not null,
    keys bigint not null,
    -- Bytes of all keys and values in UTF-8.
    bytes bigint not null,
    keys_allowed bigint not null,
    bytes_allowed bigint not null,
    constraint data_usage_pkey primary key (user_id),
    constraint data_usage_user_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint data_usage_within_quota check (keys <= keys_allowed and bytes <= bytes_allowed)
);
