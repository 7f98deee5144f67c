-- The last version that a user's writes were given. A key that is deleted and created again goes on from here, and
-- writers of one user queue up at its row.
create table data_clock (
    user_id uuid not null,
    version bigint not null,
    constraint data_clock_pkey primary key (user_id)
);
