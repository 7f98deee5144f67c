-- Codes that were mailed, and the requests that got none because the account does not exist. Both kinds of rows are written and
-- read alike, so that neither the response nor its time tells whether an account exists.
create table mailed_codes (
    -- The handle of the request, which only the client that asked for the code has.
    id uuid not null,
    -- `email_verification`, `password_reset`, or `email_change`.
    purpose text not null,
    -- The user whose account the code opens; null if no code was mailed. No foreign key: a row outlives its user by some minutes
    -- at most.
    user_id uuid,
    -- The address that the code was mailed to.
    email text,
    email_canonical text,
    -- A digest of the handle and the code. Its key is outside the database.
    digest bytea not null,
    -- Wrong codes that were presented with the handle.
    wrong_tries smallint not null,
    expires_at timestamptz not null,
    constraint mailed_codes_pkey primary key (id)
);

-- Finds the other codes of a user, which a change of the password or the address replaces.
create index mailed_codes_user on mailed_codes (user_id);
-- Finds expired codes.
create index mailed_codes_expiry on mailed_codes (expires_at);
