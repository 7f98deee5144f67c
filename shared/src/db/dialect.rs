//! The two kinds of server, PostgreSQL and Aurora DSQL, and the macro [`sql!`], which writes a statement for both.
//!
//! Aurora DSQL differs in three ways:
//!
//! - It has no foreign keys, so a statement deletes dependent rows itself.
//! - Its only row lock is `for update`. It does not block: of two conflicting transactions, one fails when it commits.
//! - A transaction changes at most 3000 rows and 10 MiB:
//!   <https://docs.aws.amazon.com/aurora-dsql/latest/userguide/CHAP_quotas.html>.

/// The kind of server. It follows from the setting `DATABASE_AUTH`, without asking the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL, including RDS and Aurora PostgreSQL.
    #[default]
    PostgreSql,
    /// Aurora DSQL.
    AuroraDsql,
}

/// The schema of the tables on DSQL, which reserves `public` for its role `admin`. Each connection sets it as the
/// search path. On PostgreSQL the search path of the role decides.
pub(super) const DSQL_SCHEMA: &str = "keyhold";

/// The texts of one statement. The macro [`sql!`] makes it.
#[derive(Clone, Copy)]
pub(super) struct Sql {
    pub postgresql: &'static str,
    pub dsql: &'static str,
}

impl Dialect {
    /// Returns the text for this kind of server.
    pub(super) fn choose(self, sql: Sql) -> &'static str {
        match self {
            Self::PostgreSql => sql.postgresql,
            Self::AuroraDsql => sql.dsql,
        }
    }
}

/// Makes an [`Sql`] from parts. A literal, or a macro that expands to one, is part of both texts; `postgresql(…)` and
/// `dsql(…)` are part of one.
macro_rules! sql {
    (@one $dialect:ident: [$($done:expr),*]) => { concat!($($done),*) };
    (@one postgresql: [$($done:expr),*] postgresql($text:expr) $($rest:tt)*) => {
        sql!(@one postgresql: [$($done,)* $text] $($rest)*)
    };
    (@one dsql: [$($done:expr),*] dsql($text:expr) $($rest:tt)*) => { sql!(@one dsql: [$($done,)* $text] $($rest)*) };
    (@one $dialect:ident: [$($done:expr),*] $other:ident($text:expr) $($rest:tt)*) => {
        sql!(@one $dialect: [$($done),*] $($rest)*)
    };
    (@one $dialect:ident: [$($done:expr),*] $text:ident!($($arguments:literal),*) $($rest:tt)*) => {
        sql!(@one $dialect: [$($done,)* $text!($($arguments),*)] $($rest)*)
    };
    (@one $dialect:ident: [$($done:expr),*] $text:literal $($rest:tt)*) => {
        sql!(@one $dialect: [$($done,)* $text] $($rest)*)
    };
    ($($parts:tt)*) => {
        $crate::db::dialect::Sql {
            postgresql: sql!(@one postgresql: [] $($parts)*),
            dsql: sql!(@one dsql: [] $($parts)*),
        }
    };
}
pub(super) use sql;

#[cfg(test)]
mod tests {
    use super::{Dialect, Sql};

    #[test]
    fn a_statement_has_a_text_for_each_dialect() {
        const SQL: Sql = sql!("select 1" postgresql(" + 2") dsql(" + 3") " from t" dsql(" limit 1"));
        assert_eq!(Dialect::PostgreSql.choose(SQL), "select 1 + 2 from t");
        assert_eq!(Dialect::AuroraDsql.choose(SQL), "select 1 + 3 from t limit 1");
    }
}
