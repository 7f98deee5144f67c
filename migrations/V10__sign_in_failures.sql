-- Failed password checks in a row, of an account (its id) or of a name that no account has (a digest). The network is
-- empty, but for one from which the account has a session, which has a count of its own. The second constraint is there
-- for its index: finding counts that no longer matter.
create table sign_in_failures (
    subject text not null,
    origin text not null,
    failures integer not null,
    failed_at timestamptz not null,
    blocked_until timestamptz not null,
    refused boolean not null,
    id uuid not null,
    constraint sign_in_failures_pkey primary key (subject, origin),
    constraint sign_in_failures_failed_at_key unique (failed_at, id)
);
