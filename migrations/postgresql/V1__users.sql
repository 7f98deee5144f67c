-- Accounts. The canonical columns hold the forms in which names are compared, and make them unique. They are columns
-- because an index on an expression would not be portable.
create table users (
    id uuid not null,
    username text not null,
    username_canonical text not null,
    email text not null,
    email_canonical text not null,
    -- Time at which the user has proved to read the mail of the address.
    email_verified_at timestamptz,
    -- A bcrypt hash. An imported account may have none until its user sets a password by a mailed code.
    password text,
    -- The cost of the hash. 0 if it is not higher than that of new hashes.
    password_cost smallint not null default 0,
    -- An imported account may lack the three fields of the profile.
    full_name text,
    -- In years.
    age smallint,
    gender text,
    created_at timestamptz not null,
    -- Time at which an operator has disabled the account. It has no sessions since then.
    disabled_at timestamptz,
    constraint users_pkey primary key (id),
    constraint users_username_key unique (username_canonical),
    constraint users_email_key unique (email_canonical)
);

-- Finds the highest cost in use. Every password check takes as long as one of that cost.
create index users_password_cost on users (password_cost);
