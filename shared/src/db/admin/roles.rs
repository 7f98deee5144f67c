//! The table of privileges of the database roles. [`super::reconcile`] applies it to a database.
//!
//! A role has exactly the privileges that the statements of its functions need. No role may change the schema or owns
//! an object. Three rules of PostgreSQL explain entries that are not obvious:
//!
//! - `on conflict` requires `select` on the columns that it compares.
//! - `for update` requires `update` on at least one column.
//! - The cascade of a foreign key runs as the owner of the tables and requires no privilege. On Aurora DSQL there are none, so
//!   statements delete dependent rows themselves.

use crate::db::Role;

/// The privileges of a role.
pub struct Grants {
    /// The role.
    pub role: Role,
    /// Privileges that it has in common with other roles.
    pub groups: &'static [&'static [Privilege]],
    /// Its own privileges.
    pub privileges: &'static [Privilege],
}

impl Grants {
    /// Returns all privileges.
    pub fn all(&self) -> impl Iterator<Item = &'static Privilege> {
        self.groups.iter().copied().flatten().chain(self.privileges)
    }
}

/// A privilege on a table.
pub struct Privilege {
    /// The privilege in lower case, for example `select`.
    pub verb: &'static str,
    /// The table.
    pub table: &'static str,
    /// The columns. An empty list means the whole table, including columns that are added later.
    pub columns: &'static [&'static str],
}

const fn select(table: &'static str, columns: &'static [&'static str]) -> Privilege {
    Privilege { verb: "select", table, columns }
}

const fn insert(table: &'static str) -> Privilege {
    Privilege { verb: "insert", table, columns: &[] }
}

const fn update(table: &'static str, columns: &'static [&'static str]) -> Privilege {
    Privilege { verb: "update", table, columns }
}

const fn delete(table: &'static str) -> Privilege {
    Privilege { verb: "delete", table, columns: &[] }
}

/// The columns that the session check reads.
const SESSION: &[&str] = &["user_id", "id", "expires_at"];
/// The columns of a session that its owner sees: no digests.
const SESSION_INFO: &[&str] = &["user_id", "id", "created_at", "refreshed_at", "expires_at", "user_agent", "network"];
/// The columns of an account that its owner sees: neither the password hash nor the canonical names.
const ACCOUNT: &[&str] = &["id", "username", "email", "email_verified_at", "full_name", "age", "gender", "created_at"];
/// The columns of an account whose password is checked.
const CREDENTIALS: &[&str] = &["id", "username", "email", "email_verified_at", "disabled_at", "password"];
/// The columns of an account that a message is for.
const RECIPIENT: &[&str] = &["id", "username", "email", "email_canonical"];
/// The columns that a failed password check changes.
const FAILURE: &[&str] = &["failures", "failed_at", "throttled_until", "refused"];
/// All columns of a table of counters.
const COUNTS: &[&str] = &[];

/// For taking tokens of rate limits.
const RATE_LIMITS: &[Privilege] =
    &[select("rate_limits", COUNTS), insert("rate_limits"), update("rate_limits", &["full_at"])];
/// For a check of a password, with [`RATE_LIMITS`].
const PASSWORD_CHECK: &[Privilege] = &[
    select("sign_in_failures", COUNTS),
    insert("sign_in_failures"),
    update("sign_in_failures", FAILURE),
    delete("sign_in_failures"),
    delete("rate_limits"),
];
/// For adding the network of a session to those that its user is known to use.
const KNOWN_NETWORKS: &[Privilege] = &[
    select("known_networks", &[]),
    insert("known_networks"),
    update("known_networks", &["seen_at"]),
    delete("known_networks"),
];

/// For recording an event of an account.
const EVENTS: &[Privilege] = &[insert("account_events"), select("account_events", &["user_id", "id", "event"])];
/// For deleting an account and all its data.
const ERASURE: &[Privilege] = &[
    delete("users"),
    select("sessions", &["user_id"]),
    delete("sessions"),
    select("known_networks", &["user_id"]),
    delete("known_networks"),
    select("user_counters", &["user_id"]),
    delete("user_counters"),
    select("account_events", &["user_id", "id"]),
    delete("account_events"),
    select("mailed_codes", &["user_id"]),
    delete("mailed_codes"),
    insert("deleted_users"),
    select("deleted_users", &["user_id"]),
    delete("deleted_users"),
    select("data_store", &["user_id", "key"]),
    delete("data_store"),
];
/// For checking and using a code.
const CODE_USE: &[Privilege] = &[
    select("mailed_codes", &[]),
    update("mailed_codes", &["wrong_tries"]),
    delete("mailed_codes"),
    select("users", RECIPIENT),
];
/// For announcing a change.
const ANNOUNCEMENT: &[Privilege] =
    &[insert("announcements"), select("announcements", &["id"]), delete("announcements")];

/// The privileges of all roles.
pub const GRANTS: &[Grants] = &[
    Grants {
        role: Role::Register,
        groups: &[RATE_LIMITS, EVENTS],
        privileges: &[insert("users"), insert("user_counters")],
    },
    Grants {
        role: Role::SignIn,
        groups: &[PASSWORD_CHECK, RATE_LIMITS, KNOWN_NETWORKS, EVENTS],
        privileges: &[
            select("users", CREDENTIALS),
            select("users", &["username_canonical", "email_canonical", "password_cost"]),
            insert("mailed_codes"),
            // To renew outdated hashes.
            update("users", &["password", "password_cost"]),
            select("sessions", &["user_id", "id", "refreshed_at", "expires_at", "network"]),
            insert("sessions"),
            delete("sessions"),
        ],
    },
    Grants {
        role: Role::Passwords,
        groups: &[PASSWORD_CHECK, RATE_LIMITS, ANNOUNCEMENT, EVENTS],
        privileges: &[
            select("mailed_codes", &["user_id"]),
            delete("mailed_codes"),
            select("users", CREDENTIALS),
            update("users", &["password", "password_cost"]),
            select("sessions", SESSION),
            insert("sessions"),
            delete("sessions"),
        ],
    },
    Grants {
        role: Role::Emails,
        groups: &[PASSWORD_CHECK, RATE_LIMITS, EVENTS],
        privileges: &[
            select("users", CREDENTIALS),
            select("users", &["email_canonical"]),
            update("users", &["email", "email_canonical", "email_verified_at"]),
            insert("mailed_codes"),
            select("mailed_codes", &["user_id"]),
            delete("mailed_codes"),
            select("sessions", SESSION),
            insert("sessions"),
            delete("sessions"),
        ],
    },
    Grants {
        role: Role::EmailConfirm,
        groups: &[CODE_USE, ANNOUNCEMENT, EVENTS],
        privileges: &[
            update("users", &["email", "email_canonical", "email_verified_at"]),
            select("sessions", SESSION),
            insert("sessions"),
            delete("sessions"),
        ],
    },
    Grants {
        role: Role::VerificationRequest,
        groups: &[RATE_LIMITS],
        privileges: &[insert("mailed_codes"), select("users", RECIPIENT), select("sessions", SESSION)],
    },
    Grants {
        role: Role::VerificationConfirm,
        groups: &[CODE_USE, EVENTS],
        privileges: &[update("users", &["email_verified_at"])],
    },
    Grants {
        role: Role::ResetRequest,
        groups: &[RATE_LIMITS],
        privileges: &[
            insert("mailed_codes"),
            select("users", RECIPIENT),
            select("users", &["username_canonical"]),
            select("known_networks", &[]),
        ],
    },
    Grants {
        role: Role::ResetConfirm,
        groups: &[CODE_USE, ANNOUNCEMENT, EVENTS],
        privileges: &[
            // To keep the time of an earlier verification.
            select("users", &["email_verified_at"]),
            update("users", &["password", "password_cost", "email_verified_at"]),
            select("sessions", &["user_id"]),
            delete("sessions"),
            select("sign_in_failures", &["subject"]),
            delete("sign_in_failures"),
            select("rate_limits", &["subject"]),
            delete("rate_limits"),
        ],
    },
    Grants {
        role: Role::Refresh,
        groups: &[KNOWN_NETWORKS, EVENTS],
        privileges: &[
            select("sessions", &[]),
            update(
                "sessions",
                &[
                    "refreshed_at",
                    "expires_at",
                    "current_digest",
                    "previous_digest",
                    "successor",
                    "older_digest",
                    "older_successor",
                    "older_rotated_at",
                    "burst_at",
                    "refreshes_full_at",
                    "network",
                    "network_since",
                ],
            ),
            delete("sessions"),
        ],
    },
    Grants {
        role: Role::Sessions,
        groups: &[EVENTS],
        privileges: &[select("sessions", &["user_id", "id", "expires_at", "family_digest"]), delete("sessions")],
    },
    Grants {
        role: Role::Profiles,
        groups: &[EVENTS],
        privileges: &[
            select("users", ACCOUNT),
            update("users", &["full_name", "age", "gender"]),
            select("sessions", SESSION),
        ],
    },
    Grants {
        role: Role::Accounts,
        groups: &[],
        privileges: &[select("users", ACCOUNT), select("sessions", SESSION_INFO), select("account_events", &[])],
    },
    Grants {
        role: Role::Eraser,
        groups: &[PASSWORD_CHECK, RATE_LIMITS, ERASURE, EVENTS],
        privileges: &[select("users", CREDENTIALS), select("sessions", SESSION)],
    },
    Grants { role: Role::Reader, groups: &[], privileges: &[select("sessions", SESSION), select("data_store", &[])] },
    Grants {
        role: Role::Exporter,
        groups: &[],
        privileges: &[
            select("users", ACCOUNT),
            select("sessions", SESSION_INFO),
            select("known_networks", &[]),
            select("account_events", &[]),
            select("data_store", &[]),
        ],
    },
    Grants {
        role: Role::Writer,
        groups: &[],
        privileges: &[
            select("sessions", SESSION),
            select("data_store", &[]),
            insert("data_store"),
            update("data_store", &["value", "version", "first_version", "created_at", "updated_at", "expires_at"]),
            delete("data_store"),
            select("user_counters", &[]),
            update("user_counters", &["version", "keys", "bytes", "keys_allowed", "bytes_allowed"]),
        ],
    },
    Grants {
        role: Role::Sweeper,
        groups: &[],
        privileges: &[
            select("data_store", &["user_id", "key", "value", "expires_at"]),
            // For `for update`.
            update("data_store", &["updated_at"]),
            delete("data_store"),
            select("user_counters", &["user_id", "keys", "bytes"]),
            update("user_counters", &["keys", "bytes"]),
            select("sessions", SESSION),
            // For `for update`.
            update("sessions", &["network"]),
            delete("sessions"),
            select("sign_in_failures", &["subject", "failed_at"]),
            // For `for update`.
            update("sign_in_failures", &["refused"]),
            delete("sign_in_failures"),
            select("rate_limits", COUNTS),
            // For `for update`.
            update("rate_limits", &["full_at"]),
            delete("rate_limits"),
            select("known_networks", &[]),
            delete("known_networks"),
            select("deleted_users", &[]),
            delete("deleted_users"),
            select("mailed_codes", &["id", "expires_at"]),
            // For `for update`.
            update("mailed_codes", &["wrong_tries"]),
            delete("mailed_codes"),
            select("announcements", &[]),
            delete("announcements"),
            select("account_events", &["id"]),
            // For `for update`.
            update("account_events", &["event"]),
            delete("account_events"),
        ],
    },
    Grants {
        role: Role::AdminReader,
        groups: &[],
        privileges: &[
            select("users", ACCOUNT),
            // The canonical names find an account by name.
            select("users", &["username_canonical", "email_canonical", "disabled_at"]),
            select("sessions", &["user_id", "expires_at"]),
            select("user_counters", &["user_id", "keys", "bytes"]),
        ],
    },
    Grants {
        role: Role::AdminEditor,
        groups: &[EVENTS],
        privileges: &[
            select("users", ACCOUNT),
            select("users", &["disabled_at"]),
            update("users", &["disabled_at", "email_verified_at"]),
            select("sessions", &["user_id", "expires_at"]),
            delete("sessions"),
            select("mailed_codes", &["user_id"]),
            delete("mailed_codes"),
        ],
    },
    Grants {
        role: Role::AdminEraser,
        groups: &[ERASURE],
        privileges: &[select("users", &["id"]), select("rate_limits", &["subject"]), delete("rate_limits")],
    },
    Grants {
        role: Role::AdminReset,
        groups: &[RATE_LIMITS],
        privileges: &[insert("mailed_codes"), select("users", RECIPIENT)],
    },
    Grants {
        role: Role::Importer,
        groups: &[],
        privileges: &[
            insert("users"),
            select("users", &["id", "username_canonical", "email_canonical"]),
            insert("user_counters"),
            insert("account_events"),
        ],
    },
    Grants { role: Role::Monitor, groups: &[], privileges: &[] },
];
