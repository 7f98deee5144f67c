//! Where PostgreSQL and Aurora DSQL need different statements: which of them the database is, and how a statement's two
//! texts are written as one.
//!
//! DSQL has no cascades, knows one lock of rows only, `for update` (which makes a transaction fail at its end and has nobody
//! wait), and changes at most 3000 rows at once:
//! <https://docs.aws.amazon.com/aurora-dsql/latest/userguide/CHAP_quotas.html>.

/// What kind of server the database is. The setting `DATABASE_AUTH` tells: nobody has to ask the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL, in all its forms.
    #[default]
    PostgreSql,
    /// Aurora DSQL.
    AuroraDsql,
}

/// The schema that the tables are in on DSQL, where nobody but `admin` gets at `public` and nobody can be let in. Each
/// connection is told to look there; on PostgreSQL they are wherever the user's search path leads.
pub(super) const DSQL_SCHEMA: &str = "keyhold";

/// A statement's texts. Made by [`sql!`].
#[derive(Clone, Copy)]
pub(super) struct Sql {
    pub postgresql: &'static str,
    pub dsql: &'static str,
}

impl Dialect {
    pub(super) fn choose(self, sql: Sql) -> &'static str {
        match self {
            Self::PostgreSql => sql.postgresql,
            Self::AuroraDsql => sql.dsql,
        }
    }
}

/// A statement in parts: a text, or a macro that is one, is in both, `postgresql(…)` and `dsql(…)` in one.
macro_rules! sql {
    (@one $own:ident: [$($done:expr),*]) => { concat!($($done),*) };
    (@one postgresql: [$($done:expr),*] postgresql($text:expr) $($rest:tt)*) => {
        sql!(@one postgresql: [$($done,)* $text] $($rest)*)
    };
    (@one dsql: [$($done:expr),*] dsql($text:expr) $($rest:tt)*) => { sql!(@one dsql: [$($done,)* $text] $($rest)*) };
    (@one $own:ident: [$($done:expr),*] $other:ident($text:expr) $($rest:tt)*) => {
        sql!(@one $own: [$($done),*] $($rest)*)
    };
    (@one $own:ident: [$($done:expr),*] $text:ident!() $($rest:tt)*) => {
        sql!(@one $own: [$($done,)* $text!()] $($rest)*)
    };
    (@one $own:ident: [$($done:expr),*] $text:literal $($rest:tt)*) => {
        sql!(@one $own: [$($done,)* $text] $($rest)*)
    };
    ($($parts:tt)*) => {
        $crate::db::dialect::Sql {
            postgresql: sql!(@one postgresql: [] $($parts)*),
            dsql: sql!(@one dsql: [] $($parts)*),
        }
    };
}
pub(super) use sql;

/// The part of a statement that removes the refresh tokens of the sessions that its part `ended` has removed; on PostgreSQL
/// they go by their foreign key. No more than may go at once: what is left opens nothing, and a sweep removes it.
macro_rules! tokens_of_ended {
    () => {
        ", tokens as (
            select r.digest from ended join refresh_tokens r on r.user_id = ended.user_id and r.session_id = ended.id
            limit 1000
        ), forgotten_with_it as (
            delete from refresh_tokens r using tokens where r.digest = tokens.digest
        )"
    };
}
pub(super) use tokens_of_ended;

#[cfg(test)]
mod tests {
    use super::{Dialect, Sql};

    #[test]
    fn a_statement_in_parts_has_two_texts() {
        const SQL: Sql = sql!("select 1" postgresql(" + 2") dsql(" + 3") " from t" dsql(" limit 1"));
        assert_eq!(Dialect::PostgreSql.choose(SQL), "select 1 + 2 from t");
        assert_eq!(Dialect::AuroraDsql.choose(SQL), "select 1 + 3 from t limit 1");
    }
}
