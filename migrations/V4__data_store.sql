-- The values. They are text because jsonb would lose digits, the order and repetition of members, and \u0000.
-- first_version is the version of the write that brought the key into being. replaced_bytes is what the last write
-- replaced: `returning` shows no old row before PostgreSQL 18, and the count in data_usage needs its size.
create table data_store (
    user_id uuid not null,
    key text not null,
    value text not null,
    version bigint not null,
    first_version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    expires_at timestamptz,
    replaced_bytes integer,
    constraint data_store_pkey primary key (user_id, key)
);
