//! Deployment: migrations, roles, secrets, and import.

mod custom_resource;
mod dsql;
mod import;
mod key_rotation;
mod mail;
mod migrate;
mod migration_files;
mod portable_sql;
mod roles;
mod users_import;
