-- The columns are described in postgresql/V5__data_clock.sql.
create table data_clock (
    user_id uuid not null,
    version bigint not null,
    constraint data_clock_pkey primary key (user_id)
);
