//! Token buckets: the table `rate_limits`. [`crate::auth::rate_limit`] has the rule.
//!
//! Statements of other modules read and change buckets beside their own rows, so that a limit costs no round trip. They use the
//! subjects that this module makes.

use crate::domain::{Network, UserId};

/// Returns the subject of the failed password checks of a network.
pub(super) fn failures_of_network(network: &Network) -> String {
    format!("failures {}", network.as_str())
}

/// Returns the subject of the failed password checks of an account from networks that it does not know.
pub(super) fn failures_of_account(user: UserId) -> String {
    format!("failures {user}")
}

/// Returns the subject of the changes of an account that take its password.
pub(super) fn changes_of_account(user: UserId) -> String {
    format!("changes {user}")
}

/// Returns the subject of the registrations of a network.
pub(super) fn registrations_of_network(network: &Network) -> String {
    format!("registrations {}", network.as_str())
}
