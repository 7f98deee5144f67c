-- How much a user has stored. A write adds what it changes, and the constraint refuses it where that is too much: a
-- quota that needs no counting and holds whoever else is writing. The allowed columns are the settings of that write.
create table data_usage (
    user_id uuid not null,
    keys bigint not null,
    bytes bigint not null,
    keys_allowed bigint not null,
    bytes_allowed bigint not null,
    constraint data_usage_pkey primary key (user_id),
    constraint data_usage_within_quota check (keys <= keys_allowed and bytes <= bytes_allowed)
);
