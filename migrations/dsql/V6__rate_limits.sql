-- The columns are described in postgresql/V6__rate_limits.sql.
create table rate_limits (
    subject text not null,
    full_at timestamptz not null,
    constraint rate_limits_pkey primary key (subject)
);

-- Finds outdated rows.
create index async if not exists rate_limits_full_at on rate_limits (full_at);
