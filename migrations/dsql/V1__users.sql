-- The columns are described in postgresql/V1__users.sql.
create table users (
    id uuid not null,
    username text not null,
    username_canonical text not null,
    email text not null,
    email_canonical text not null,
    email_verified_at timestamptz,
    password text,
    password_cost smallint not null default 0,
    full_name text,
    age smallint,
    gender text,
    created_at timestamptz not null,
    disabled_at timestamptz,
    constraint users_pkey primary key (id),
    constraint users_username_key unique (username_canonical),
    constraint users_email_key unique (email_canonical)
);

create index async if not exists users_password_cost on users (password_cost);
