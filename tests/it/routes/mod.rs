//! Tests of single routes, one file per route or group of routes, and of the scheduled task `data-sweep`.

mod account;
mod account_email;
mod account_email_code;
mod account_events;
mod account_export;
mod admin;
mod data_batch;
mod data_create;
mod data_delete;
mod data_get;
mod data_list;
mod data_sweep;
mod data_update;
mod docs;
mod email_verification;
mod health;
mod jwks;
mod password;
mod password_reset;
mod register;
mod sessions;
mod token;
mod token_refresh;
mod token_revoke;
