-- Messages that announce a change of an account and are not in the outbox yet. The statement of the change inserts them, so that
-- no failure between the change and the outbox loses one.
create table announcements (
    id uuid not null,
    -- The message as JSON, see shared/src/mail/message.rs.
    message text not null,
    created_at timestamptz not null,
    constraint announcements_pkey primary key (id)
);
