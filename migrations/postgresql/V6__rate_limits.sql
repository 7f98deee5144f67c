-- Token buckets that limit how often something happens, see shared/src/auth/rate_limit.rs. A bucket without a row is full.
create table rate_limits (
    -- The kind of the limit and the network or the account that it applies to.
    subject text not null,
    -- Time at which the bucket is full again.
    full_at timestamptz not null,
    constraint rate_limits_pkey primary key (subject)
);

-- Finds outdated rows.
create index rate_limits_full_at on rate_limits (full_at);
