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

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for processes and read their own environment; `.clippy.toml` names modules for functions"
)]
#![expect(unreachable_pub, reason = "a program has no users; `pub` items are for its other modules")]

mod contract;
mod deploy;
mod failure;
mod routes;
mod source;
mod support;
