-- The columns are described in postgresql/V4__user_counters.sql.
create table user_counters (
    user_id uuid not null,
    version bigint not null,
    keys bigint not null,
    bytes bigint not null,
    keys_allowed bigint not null,
    bytes_allowed bigint not null,
    constraint user_counters_pkey primary key (user_id),
    constraint user_counters_within_quota check (keys <= keys_allowed and bytes <= bytes_allowed)
);
