//! The cases: a function, its events, and the peers that can do the same.

use crate::{
    events::{self, Account},
    runtime_api::Events,
};

/// A kind of request.
pub struct Case {
    pub name: &'static str,
    pub function: &'static str,
    pub role: &'static str,
    pub events: fn(&Account) -> Box<dyn Events>,
    pub kind: Kind,
    /// Whether the floor and the function without a database can serve it.
    pub floor: bool,
    pub node: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Repeated requests to one process.
    Warm,
    /// The same for requests that take long, and that a bare bcrypt is the floor of.
    Password,
    /// The first request to a new process.
    Cold,
    /// The same, with each combination of TLS to the database and a signing key from Secrets Manager.
    ColdRemote,
}

impl Kind {
    /// The number of warm invocations in whose place a round has one of this kind.
    pub fn divisor(self) -> usize {
        if self == Self::Warm { 1 } else { 50 }
    }
}

pub const CASES: [Case; 8] = [
    Case {
        name: "get",
        function: "data-get",
        role: "keyhold_reader",
        events: events::get,
        kind: Kind::Warm,
        floor: true,
        node: true,
    },
    Case {
        name: "put",
        function: "data-update",
        role: "keyhold_writer",
        events: events::put,
        kind: Kind::Warm,
        floor: false,
        node: true,
    },
    Case {
        name: "list",
        function: "data-list",
        role: "keyhold_reader",
        events: events::list,
        kind: Kind::Warm,
        floor: false,
        node: false,
    },
    Case {
        name: "batch",
        function: "data-batch",
        role: "keyhold_writer",
        events: events::batch,
        kind: Kind::Warm,
        floor: false,
        node: false,
    },
    Case {
        name: "refresh",
        function: "token-refresh",
        role: "keyhold_refresh",
        events: events::refresh,
        kind: Kind::Warm,
        floor: false,
        node: false,
    },
    Case {
        name: "sign-in",
        function: "token",
        role: "keyhold_sign_in",
        events: events::sign_in,
        kind: Kind::Password,
        floor: false,
        node: false,
    },
    Case {
        name: "cold",
        function: "data-get",
        role: "keyhold_reader",
        events: events::get,
        kind: Kind::Cold,
        floor: true,
        node: true,
    },
    Case {
        name: "cold-tls",
        function: "data-get",
        role: "keyhold_reader",
        events: events::get,
        kind: Kind::ColdRemote,
        floor: false,
        node: false,
    },
];
