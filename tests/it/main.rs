//! The integration tests, as one binary.
//!
//! | module | contents |
//! |---|---|
//! | `routes` | one file per route or group of routes |
//! | `contract` | promises that span several routes, and lists that must agree |
//! | `failure` | dependencies that are gone, slow or wrong, missing settings, panics |
//! | `deploy` | migrations, roles, secrets, and import |
//! | `source` | layout of the source, imports between modules, settings, wording |
//! | `support` | everything that tests share; a test module imports from no other test module |

mod contract;
mod deploy;
mod failure;
mod routes;
mod source;
mod support;
