-- From where a session was begun: what its owner recognises it by.
alter table sessions add column user_agent text, add column network text;
