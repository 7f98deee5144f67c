-- The columns are described in postgresql/V3__data_store.sql.
create table data_store (
    user_id uuid not null,
    key text not null,
    value text not null,
    version bigint not null,
    first_version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    expires_at timestamptz,
    constraint data_store_pkey primary key (user_id, key)
);

-- Finds expired values. It covers all rows because DSQL has only indexes that are built asynchronously and are not partial.
create index async if not exists data_store_expiry on data_store (expires_at, user_id);
