-- The columns are described in postgresql/V9__mailed_codes.sql.
create table mailed_codes (
    id uuid not null,
    purpose text not null,
    user_id uuid,
    email text,
    email_canonical text,
    digest bytea not null,
    wrong_tries smallint not null,
    expires_at timestamptz not null,
    constraint mailed_codes_pkey primary key (id)
);

-- Finds the other codes of a user, which a change of the password or the address replaces.
create index async if not exists mailed_codes_user on mailed_codes (user_id);
-- Finds expired codes.
create index async if not exists mailed_codes_expiry on mailed_codes (expires_at);
