-- The last version that was assigned to a write of the user. It outlives the values, so that a key that is deleted and
-- created again never gets an earlier version. Its lock serializes the writes of a user.
create table data_clock (
    user_id uuid not null,
    version bigint not null,
    constraint data_clock_pkey primary key (user_id),
    constraint data_clock_user_fkey foreign key (user_id) references users (id) on delete cascade
);
