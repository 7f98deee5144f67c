//! The kind of server, and statements that differ between PostgreSQL and Aurora DSQL.
//!
//! DSQL has no cascades and one row lock, `for update`, which does not wait but makes the commit fail. A transaction changes at
//! most 3000 rows:
//! <https://docs.aws.amazon.com/aurora-dsql/latest/userguide/CHAP_quotas.html>.

/// The kind of server. `DATABASE_AUTH` determines it, so that no query is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL, including RDS and Aurora.
    #[default]
    PostgreSql,
    /// Aurora DSQL.
    AuroraDsql,
}

/// The schema of the tables on DSQL, where only `admin` can use `public`. Each connection sets its search path to it. On
/// PostgreSQL the user's search path applies.
pub(super) const DSQL_SCHEMA: &str = "keyhold";

/// A statement for both kinds of server, made by [`sql!`].
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

/// Makes a statement of parts. A text, or a macro that expands to one, is for both kinds of server, `postgresql(…)` and
/// `dsql(…)` for one.
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

/// Deletes refresh tokens of the sessions that the part `ended` has deleted. On PostgreSQL the foreign key does that. The limit
/// keeps the transaction within the limits of DSQL: the other tokens are not accepted any more, and a sweep deletes them.
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
    fn a_statement_has_a_text_for_each_kind_of_server() {
        const SQL: Sql = sql!("select 1" postgresql(" + 2") dsql(" + 3") " from t" dsql(" limit 1"));
        assert_eq!(Dialect::PostgreSql.choose(SQL), "select 1 + 2 from t");
        assert_eq!(Dialect::AuroraDsql.choose(SQL), "select 1 + 3 from t limit 1");
    }
}
