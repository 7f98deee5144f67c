-- Failed password checks in a row, of an account (its id) or of a name that no account has (a digest). The origin is
-- empty, but for a network from which the account has a session, and for a session whose user repeats the password,
-- which have counts of their own. refused is whether the last failure came too early and was not counted: `returning`
-- shows no old row before PostgreSQL 18. The second constraint is there for its index, by which counts that no longer
-- matter are found; the id makes it one that no two inserts can violate.
create table sign_in_failures (
    subject text not null,
    origin text not null,
    failures integer not null,
    failed_at timestamptz not null,
    throttled_until timestamptz not null,
    refused boolean not null,
    id uuid not null,
    constraint sign_in_failures_pkey primary key (subject, origin),
    constraint sign_in_failures_failed_at_key unique (failed_at, id)
);
