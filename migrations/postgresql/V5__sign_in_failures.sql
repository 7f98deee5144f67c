-- Counters of failed password checks in a row, which throttle guesses. The table has no foreign key because
-- names without an account are counted too.
create table sign_in_failures (
    -- The id of the account, or the SHA-256 digest of a name that no account has.
    subject text not null,
    -- A network from which the account has a session, or the id of a session that repeats the password. These have counters
    -- of their own. Empty for all other attempts.
    origin text not null,
    failures integer not null,
    failed_at timestamptz not null,
    throttled_until timestamptz not null,
    -- Whether the last attempt came during the throttle and was not counted. The statement that counts reads it, because
    -- `returning` cannot return old rows before PostgreSQL 18.
    refused boolean not null,
    -- Makes the second constraint impossible to violate.
    id uuid not null,
    constraint sign_in_failures_pkey primary key (subject, origin),
    -- For its index, by which outdated counters are found.
    constraint sign_in_failures_failed_at_key unique (failed_at, id)
);
