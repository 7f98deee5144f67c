//! Administration of the schema and of the database roles, used by the function `migrate` only.

pub mod migrations;
pub mod reconcile;
pub mod roles;
