//! Token buckets: the table `rate_limits`. [`crate::auth::rate_limit`] has the rule.
//!
//! Statements of other modules read and change buckets beside their own rows, so that a limit costs no round trip. They use the
//! subjects that this module makes.

use crate::domain::{Network, UserId};

/// Makes the clause of an insert of the time `now + interval` that takes a token from a bucket `r`. The statement inserts and
/// updates nothing if the bucket has none. Arguments: parameters with the time, the interval in seconds, and
/// [`RateLimit::slack`](crate::auth::rate_limit::RateLimit::slack) in seconds.
macro_rules! take_token {
    ($now:literal, $interval:literal, $slack:literal) => {
        concat!(
            "on conflict (subject) do update set full_at = greatest(r.full_at, ",
            $now,
            ") + ",
            $interval,
            " * interval '1 second' where r.full_at <= ",
            $now,
            " + ",
            $slack,
            " * interval '1 second'"
        )
    };
}
pub(super) use take_token;

/// Makes the clause of an insert of the time `now + interval` that takes a token from a bucket `r`, or leaves it empty: an empty
/// bucket stays empty for an interval at most, however many concurrent requests found it with a token. Arguments:
/// parameters with the time, the interval in seconds, and
/// [`RateLimit::refill`](crate::auth::rate_limit::RateLimit::refill) in seconds.
macro_rules! count_token {
    ($now:literal, $interval:literal, $refill:literal) => {
        concat!(
            "on conflict (subject) do update set full_at = least(greatest(r.full_at, ",
            $now,
            ") + ",
            $interval,
            " * interval '1 second', ",
            $now,
            " + ",
            $refill,
            " * interval '1 second')"
        )
    };
}
pub(super) use count_token;

/// Returns the subject of the failed password checks of a network.
pub(super) fn failures_of_network(network: &Network) -> String {
    format!("failures {}", network.as_str())
}

/// Returns the subject of the failed password checks of an account from networks that it does not know. The macro
/// `failures_subject` makes the same text in SQL.
pub(super) fn failures_of_account(user: UserId) -> String {
    format!("failures {user}")
}

/// Makes the expression for the subject of [`failures_of_account()`] from a column with the id of the account.
macro_rules! failures_subject {
    ($user:literal) => {
        concat!("'failures ' || ", $user, "::text")
    };
}
pub(super) use failures_subject;

/// Returns the subject of the changes of an account that take its password.
pub(super) fn changes_of_account(user: UserId) -> String {
    format!("changes {user}")
}

/// Returns the subject of the registrations of a network.
pub(super) fn registrations_of_network(network: &Network) -> String {
    format!("registrations {}", network.as_str())
}

/// Returns the subject of the messages that a network has requested.
pub(super) fn mails_of_network(network: &Network) -> String {
    format!("mails {}", network.as_str())
}

/// Returns the subjects of the messages to an account. The macro `mails_subject` makes the same texts in SQL.
pub(super) fn mails_to_account(user: UserId) -> [String; 2] {
    [format!("mails known {user}"), format!("mails {user}")]
}

/// Makes the expression for the subject of the messages to an account. Requests from networks that the account knows count apart,
/// so that others cannot use up what its owner may request. Arguments: expressions for whether the network is known, and for the
/// id.
macro_rules! mails_subject {
    ($known:literal, $user:literal) => {
        concat!("case when ", $known, " then 'mails known ' else 'mails ' end || ", $user, "::text")
    };
}
pub(super) use mails_subject;
