-- By which expired values are found. For PostgreSQL: Aurora DSQL has no indexes of a part of the rows, and builds its own
-- with `create index async`.
create index data_store_expiry on data_store (expires_at, user_id) where expires_at is not null;
