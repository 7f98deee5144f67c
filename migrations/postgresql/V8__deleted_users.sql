-- Users whose account is deleted and whose values may remain. Values are deleted in steps, because a user may have more than one
-- statement can delete in time.
create table deleted_users (
    user_id uuid not null,
    deleted_at timestamptz not null,
    constraint deleted_users_pkey primary key (user_id)
);
