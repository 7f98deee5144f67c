-- The columns are described in postgresql/V5__sign_in_failures.sql.
create table sign_in_failures (
    subject text not null,
    failures integer not null,
    failed_at timestamptz not null,
    throttled_until timestamptz not null,
    refused boolean not null,
    constraint sign_in_failures_pkey primary key (subject)
);

-- Finds outdated rows.
create index async if not exists sign_in_failures_failed_at on sign_in_failures (failed_at);
