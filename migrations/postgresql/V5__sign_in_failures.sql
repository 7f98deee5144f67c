-- Counters of failed password checks in a row, which throttle guesses. The table has no foreign key because names without an
-- account are counted too.
create table sign_in_failures (
    -- A keyed digest of the name and the network of the attempts, which tells nothing about the account; or the id of a session
    -- that repeats the password.
    subject text not null,
    failures integer not null,
    failed_at timestamptz not null,
    throttled_until timestamptz not null,
    -- Whether the last attempt came during the throttle and was not counted. The statement that counts reads it, because
    -- `returning` cannot return old rows before PostgreSQL 18.
    refused boolean not null,
    constraint sign_in_failures_pkey primary key (subject)
);

-- Finds outdated rows.
create index sign_in_failures_failed_at on sign_in_failures (failed_at);
