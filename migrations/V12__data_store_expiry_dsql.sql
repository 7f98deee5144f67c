-- For Aurora DSQL what V11 is for PostgreSQL: it builds indexes beside its work, and of all rows.
create index async if not exists data_store_expiry on data_store (expires_at, user_id);
