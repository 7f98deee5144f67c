-- The columns are described in postgresql/V6__data_usage.sql.
create table data_usage (
    user_id uuid not null,
    keys bigint not null,
    bytes bigint not null,
    keys_allowed bigint not null,
    bytes_allowed bigint not null,
    constraint data_usage_pkey primary key (user_id),
    constraint data_usage_within_quota check (keys <= keys_allowed and bytes <= bytes_allowed)
);
