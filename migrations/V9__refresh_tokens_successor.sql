-- What a consumed token was rotated into: sealed, so that only who has the consumed one can read it, and its digest.
alter table refresh_tokens add column successor text, add column successor_digest text;
