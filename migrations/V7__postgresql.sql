-- What PostgreSQL can and Aurora DSQL cannot do: foreign keys, and a collation of its own for a column. DSQL compares
-- everything by bytes anyway. On the empty tables of a first migration both cost nothing.
alter table data_store alter column key type text collate "C";
alter table sessions add constraint sessions_user_fkey
    foreign key (user_id) references users (id) on delete cascade;
alter table refresh_tokens add constraint refresh_tokens_session_fkey
    foreign key (user_id, session_id) references sessions (user_id, id) on delete cascade;
alter table data_store add constraint data_store_user_fkey
    foreign key (user_id) references users (id) on delete cascade;
alter table data_clock add constraint data_clock_user_fkey
    foreign key (user_id) references users (id) on delete cascade;
alter table data_usage add constraint data_usage_user_fkey
    foreign key (user_id) references users (id) on delete cascade;
