-- The columns are described in postgresql/V10__announcements.sql.
create table announcements (
    id uuid not null,
    message text not null,
    created_at timestamptz not null,
    constraint announcements_pkey primary key (id)
);
