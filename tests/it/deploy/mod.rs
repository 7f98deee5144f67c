//! Deployment: migrations, roles, secrets, import, and the layout of the repository.

mod custom_resource;
mod dsql;
mod import;
mod key_rotation;
mod layout;
mod migrate;
mod migration_files;
mod portable_sql;
mod roles;
