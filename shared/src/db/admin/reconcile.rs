//! Reconciles the database roles with the table in [`super::roles`]: creates missing roles, and grants and revokes
//! privileges.
//!
//! Roles belong to a server, and several databases of a server may have this schema. So concurrent runs may change the
//! same role. The privileges in one database are protected by the migration lock.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::migrations::MigrationConnection;
use super::roles::{GRANTS, Grants, Privilege};
use crate::db::dialect::{Sql, sql};
use crate::db::{Dialect, Error, Parameters, column, rejected};
use crate::env::{self, EnvError};
use crate::report;

/// Settings of each role.
///
/// They bound what a function leaves behind that was cut off or frozen and could not cancel its statement:
///
/// - A statement or a transaction ends after 7 s. The pool cancels statements after 5 s, and the rest covers network delays.
/// - A statement whose client is gone ends after a second. Otherwise the server notices only when it sends the response.
/// - A connection that is idle for a minute is closed, so that idle environments leave connections to busy ones, and a
///   database that pauses without connections can pause.
///
/// The settings belong to the role because RDS Proxy pins a connection on which `set` is run.
const SETTINGS: [(&str, &str); 4] = [
    ("statement_timeout", "7s"),
    ("idle_in_transaction_session_timeout", "7s"),
    ("client_connection_check_interval", "1s"),
    ("idle_session_timeout", "1min"),
];

/// Whether `migrate` creates the roles, and how they sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleManagement {
    /// Creates missing roles. An administrator sets their passwords.
    Create,
    /// Creates missing roles and lets all roles sign in by IAM on RDS and Aurora, which then reject passwords.
    CreateForIam,
    /// Does not touch roles.
    Off,
}

impl RoleManagement {
    /// Reads `DATABASE_ROLES`: `make` (the default), `iam`, or `off`.
    ///
    /// # Errors
    /// The variable has another value.
    pub fn from_env() -> Result<Self, EnvError> {
        let choices = [("make", Self::Create), ("iam", Self::CreateForIam), ("off", Self::Off)];
        env::choice("DATABASE_ROLES", &choices)
    }
}

/// The ARNs of the IAM roles that may sign in as each database role. Only DSQL stores this mapping itself.
pub type IamRoles = BTreeMap<String, Vec<String>>;

/// Why the roles could not be synchronized.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] Error),
    /// Roles are missing, and this user may not create them.
    #[error(
        "the database lacks the roles {names}, and this user may not create roles. Have an administrator run \
         `{statements}`, or set DATABASE_ROLES=off if the functions sign in as another user"
    )]
    Missing {
        /// The roles, separated by commas.
        names: String,
        /// The statements that create them.
        statements: String,
    },
    /// `DatabaseRoles` names an unknown database role, or a text that is not the ARN of an IAM role.
    #[error("DatabaseRoles maps {arn:?} to {role:?}. Use the ARN of an IAM role and a database role of this service")]
    InvalidMapping {
        /// The database role.
        role: String,
        /// The IAM role.
        arn: String,
    },
}

/// The result of a synchronization.
#[derive(Debug, Default)]
pub struct RolesReport {
    /// The statements that were run. Empty if the roles were in the desired state.
    pub changes: Vec<String>,
    /// Deviations that this user may not correct, each with the statement that an administrator must run.
    pub problems: Vec<String>,
}

/// An entry of an access control list. The grantee `public` means all roles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    grantee: String,
    /// The object in the form of a `grant` statement, for example `table users`.
    object: String,
    verb: String,
    column: Option<String>,
}

impl Entry {
    /// Whether this is the privilege of `other` on the whole object.
    fn covers(&self, other: &Self) -> bool {
        self.column.is_none()
            && (&self.grantee, &self.object, &self.verb) == (&other.grantee, &other.object, &other.verb)
    }
}

impl MigrationConnection {
    /// Creates missing roles and reconciles the privileges of all roles and of `public` with [`GRANTS`]. Safe to
    /// repeat.
    ///
    /// # Errors
    /// Roles are missing and cannot be created, or the database is unavailable.
    pub async fn sync_roles(
        &mut self,
        management: RoleManagement,
        iam_roles: &IamRoles,
    ) -> Result<RolesReport, RolesError> {
        let mut report = RolesReport::default();
        if management == RoleManagement::Off {
            return Ok(report);
        }
        self.create_roles(&mut report).await?;
        match self.dialect() {
            Dialect::PostgreSql => {
                self.set_timeouts(&mut report).await?;
                if management == RoleManagement::CreateForIam {
                    self.allow_iam_sign_in(&mut report).await?;
                }
                self.sync_privileges(&mut report).await?;
                self.find_excess(&mut report).await?;
            }
            // DSQL has no role settings (it ends each transaction after five minutes), and only `admin` could have
            // granted excess attributes.
            Dialect::AuroraDsql => {
                self.sync_privileges_one_by_one(&mut report).await?;
                self.link_iam_roles(iam_roles, &mut report).await?;
            }
        }
        for problem in &report.problems {
            tracing::warn!("{problem}");
        }
        Ok(report)
    }

    /// Creates the missing roles.
    async fn create_roles(&mut self, report: &mut RolesReport) -> Result<(), RolesError> {
        let existing = self.query_texts("select rolname::text from pg_roles where rolname = any($1)").await?;
        let mut missing = Vec::new();
        for name in role_names().into_iter().filter(|name| !existing.contains(*name)) {
            const CREATE: Sql = sql!("create role {} " dsql("with ") "login");
            let statement = self.dialect().choose(CREATE).replace("{}", name);
            match self.execute(&statement).await {
                Ok(()) => report.changes.push(statement),
                // A concurrent run for another database of this server has created the role.
                Err(error) if already_exists(&error) => {}
                Err(error) if is_forbidden(&error) => missing.push(name),
                Err(error) => return Err(rejected(error).into()),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let statements: Vec<_> = missing.iter().map(|name| format!("create role {name} login;")).collect();
        Err(RolesError::Missing { names: missing.join(", "), statements: statements.join(" ") })
    }

    /// Applies [`SETTINGS`] to the roles in this database only, so that databases of one server do not overwrite each
    /// other's.
    async fn set_timeouts(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        const CURRENT: &str = "
            select r.rolname || ' ' || unnest(s.setconfig) from pg_db_role_setting s
            join pg_roles r on r.oid = s.setrole join pg_database d on d.oid = s.setdatabase
            where r.rolname = any($1) and d.datname = current_database()";
        let current = self.query_texts(CURRENT).await?;
        let database = self.database().await?;
        for (role, (name, value)) in role_names().into_iter().flat_map(|role| SETTINGS.map(|setting| (role, setting))) {
            if !current.contains(&format!("{role} {name}={value}")) {
                let statement = format!("alter role {role} in database {database} set {name} = '{value}'");
                self.change_if_allowed(statement, report).await?;
            }
        }
        Ok(())
    }

    /// Grants `rds_iam` to the roles, which lets them sign in by IAM on RDS and Aurora.
    async fn allow_iam_sign_in(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        const MEMBERS: &str = "
            select r.rolname::text from pg_auth_members m
            join pg_roles r on r.oid = m.member join pg_roles g on g.oid = m.roleid
            where r.rolname = any($1) and g.rolname = 'rds_iam'";
        let members = self.query_texts(MEMBERS).await?;
        for role in role_names().into_iter().filter(|role| !members.contains(*role)) {
            self.change_if_allowed(format!("grant rds_iam to {role}"), report).await?;
        }
        Ok(())
    }

    /// Grants and revokes privileges on PostgreSQL until they are as in [`GRANTS`].
    async fn sync_privileges(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        let (database, schema) = (self.database().await?, self.schema().await?);
        let (mut current, desired) =
            (self.current(&database, &schema).await?, desired(Dialect::PostgreSql, &database, &schema));
        let mut changes = statements("revoke", "from", current.difference(&desired));
        // Revoking a privilege on a table also revokes it on the columns. Those that are desired are granted again.
        let revoked: Vec<Entry> =
            current.difference(&desired).filter(|entry| entry.column.is_none()).cloned().collect();
        current.retain(|entry| !revoked.iter().any(|whole| whole.covers(entry)));
        changes.extend(statements("grant", "to", desired.difference(&current)));
        if changes.is_empty() {
            return Ok(());
        }
        // Statements in one message are one transaction, so that functions never see a part of the changes.
        self.client().batch_execute(&changes.join(";\n")).await.map_err(rejected)?;
        let current = self.current(&database, &schema).await?;
        // Changes that are reserved for the owner of the database or the schema do not fail: PostgreSQL only warns
        // about them.
        let revokes = statements("revoke", "from", current.difference(&desired));
        let grants = statements("grant", "to", desired.difference(&current));
        let remaining: BTreeSet<String> = revokes.into_iter().chain(grants).collect();
        report.problems.extend(remaining.iter().map(|statement| administrator_must_run(statement)));
        report.changes.extend(changes.into_iter().filter(|statement| !remaining.contains(statement)));
        Ok(())
    }

    /// Grants and revokes privileges on DSQL, which allows one such statement in a transaction. Grants come first, so
    /// that no function lacks a privilege. After the revocations, column privileges that they removed are granted
    /// again.
    async fn sync_privileges_one_by_one(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        let (database, schema) = (self.database().await?, self.schema().await?);
        let desired = desired(Dialect::AuroraDsql, &database, &schema);
        let current = match self.current(&database, &schema).await {
            Ok(current) => current,
            // It is not tested whether DSQL lets its access control lists be read. Grants do not need them.
            Err(error @ Error::Rejected(_)) => {
                let cause = report::chain(&error);
                report.problems.push(format!("existing privileges cannot be read, so none are revoked: {cause}"));
                BTreeSet::new()
            }
            Err(error) => return Err(error),
        };
        let surplus: Vec<&Entry> = current.difference(&desired).collect();
        let regrants: BTreeSet<&Entry> =
            desired.intersection(&current).filter(|entry| surplus.iter().any(|whole| whole.covers(entry))).collect();
        let mut changes = statements("grant", "to", desired.difference(&current));
        changes.extend(statements("revoke", "from", surplus.into_iter()));
        changes.extend(statements("grant", "to", regrants.into_iter()));
        for change in changes {
            self.execute(&change).await.map_err(rejected)?;
            report.changes.push(change);
        }
        Ok(())
    }

    /// Lets IAM roles sign in on DSQL. Links of roles that `iam_roles` no longer names stay, because functions use them
    /// until the end of the deployment.
    async fn link_iam_roles(&mut self, iam_roles: &IamRoles, report: &mut RolesReport) -> Result<(), RolesError> {
        let desired =
            iam_roles.iter().flat_map(|(role, arns)| arns.iter().map(move |arn| (role.as_str(), arn.as_str())));
        let desired: Vec<(&str, &str)> = desired.collect();
        for (role, arn) in &desired {
            // Checked, because the statement accepts neither as a parameter.
            let is_arn =
                arn.starts_with("arn:") && arn.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-/:".contains(c));
            if !role_names().contains(role) || !is_arn {
                return Err(RolesError::InvalidMapping { role: (*role).to_owned(), arn: (*arn).to_owned() });
            }
        }
        if desired.is_empty() {
            return Ok(());
        }
        const LINKED: &str =
            "select pg_role_name || ' ' || arn from sys.iam_pg_role_mappings where pg_role_name = any($1)";
        let linked = self.query_texts(LINKED).await?;
        for (role, arn) in desired {
            if !linked.contains(&format!("{role} {arn}")) {
                let statement = format!("aws iam grant {role} to '{arn}'");
                self.execute(&statement).await.map_err(rejected)?;
                report.changes.push(statement);
            }
        }
        Ok(())
    }

    /// Reports privileges that a role has without a grant: by an attribute, a membership, or the ownership of an
    /// object.
    async fn find_excess(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        const EXCESS: &str = "
            select 'alter role ' || rolname
                || ' login nosuperuser nocreaterole nocreatedb noreplication nobypassrls'
            from pg_roles where rolname = any($1)
            and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls or not rolcanlogin)
            union all
            select 'revoke ' || quote_ident(g.rolname) || ' from ' || r.rolname from pg_auth_members m
            join pg_roles r on r.oid = m.member join pg_roles g on g.oid = m.roleid
            where r.rolname = any($1) and g.rolname <> 'rds_iam'
            union all
            select 'alter table ' || c.oid::regclass || ' owner to ' || quote_ident(current_user)
            from pg_class c join pg_roles r on r.oid = c.relowner
            where r.rolname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')";
        let statements = self.query_texts(EXCESS).await?;
        report.problems.extend(statements.iter().map(|statement| administrator_must_run(statement)));
        Ok(())
    }

    /// Reads the privileges of the roles on all objects of the schema, and those of `public` on the tables of
    /// [`GRANTS`]. PostgreSQL's defaults for `public` (connect to the database, use the schema) count as grants to each
    /// role.
    async fn current(&mut self, database: &str, schema: &str) -> Result<BTreeSet<Entry>, Error> {
        // DSQL has a single database, whose only privilege is to connect.
        const CURRENT: Sql = sql!(
            "
            with entries as ("
            postgresql("
                select 'database' as kind, null::name as relation, null::name as attribute, p.*
                from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) p
                where d.datname = current_database()
                union all")
            "
                select 'schema' as kind, null::name as relation, null::name as attribute, p.*
                from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) p
                where n.nspname = current_schema()
                union all
                select 'table', c.relname, null, p.*
                from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) p
                where n.nspname = current_schema()
                union all
                select 'table', c.relname, a.attname, p.*
                from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid,
                    aclexplode(a.attacl) p
                where n.nspname = current_schema() and not a.attisdropped
            )
            select coalesce(r.rolname, 'public')::text as grantee, kind, quote_ident(relation) as relation,
                quote_ident(attribute) as attribute, lower(privilege_type) as verb
            from entries e left join pg_roles r on r.oid = e.grantee
            where r.rolname = any($1) or e.grantee = 0 and (e.relation is null or e.relation = any($2))"
        );
        let (names, tables) = (role_names(), table_names());
        let parameters: &Parameters<'_> = &[(&names, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY)];
        let rows = self.query(self.dialect().choose(CURRENT), parameters).await?;
        let mut current = BTreeSet::new();
        for row in &rows {
            let text = |name| column::<String>(row, "pg_class", name);
            let kind = text("kind")?;
            let object = match kind.as_str() {
                "database" => format!("database {database}"),
                "schema" => format!("schema {schema}"),
                _ => format!("table {}", text("relation")?),
            };
            let (grantee, verb) = (text("grantee")?, text("verb")?);
            let is_default = matches!((kind.as_str(), verb.as_str()), ("database", "connect") | ("schema", "usage"));
            if is_default && grantee == "public" {
                // Recorded for each role. Otherwise they would be granted, which the user of `migrate` may not be
                // allowed to do.
                let entry = |name: &&str| Entry {
                    grantee: (*name).to_owned(),
                    object: object.clone(),
                    verb: verb.clone(),
                    column: None,
                };
                current.extend(names.iter().map(entry));
            } else {
                current.insert(Entry { grantee, object, verb, column: column(row, "pg_attribute", "attribute")? });
            }
        }
        Ok(current)
    }

    /// Runs a statement, or reports it as a problem if this user may not run it.
    async fn change_if_allowed(&mut self, statement: String, report: &mut RolesReport) -> Result<(), Error> {
        match self.client().batch_execute(&statement).await {
            Ok(()) => report.changes.push(statement),
            Err(error) if already_exists(&error) => {}
            Err(error) if is_forbidden(&error) || error.code() == Some(&SqlState::UNDEFINED_OBJECT) => {
                report.problems.push(administrator_must_run(&statement));
            }
            Err(error) => return Err(rejected(error)),
        }
        Ok(())
    }

    /// Runs a statement about the roles that returns one column.
    async fn query_texts(&mut self, sql: &str) -> Result<BTreeSet<String>, Error> {
        let rows = self.query(sql, &[(&role_names(), Type::TEXT_ARRAY)]).await?;
        rows.iter()
            .map(|row| row.try_get(0).map_err(|error| Error::Corrupt { table: "pg_roles", source: Box::new(error) }))
            .collect()
    }

    async fn database(&mut self) -> Result<String, Error> {
        self.name("select quote_ident(current_database()) as name").await
    }

    async fn schema(&mut self) -> Result<String, Error> {
        self.name("select quote_ident(current_schema()) as name").await
    }

    async fn name(&mut self, sql: &str) -> Result<String, Error> {
        let rows = self.query(sql, &[]).await?;
        let row = rows.first().ok_or_else(|| Error::Corrupt { table: "no table", source: "no row".into() })?;
        column(row, "no table", "name")
    }
}

/// Returns the names of all roles.
fn role_names() -> Vec<&'static str> {
    GRANTS.iter().map(|grants| grants.role.name()).collect()
}

/// Returns the names of all tables on which a role has privileges.
fn table_names() -> Vec<&'static str> {
    let tables: BTreeSet<_> = GRANTS.iter().flat_map(Grants::all).map(|privilege| privilege.table).collect();
    tables.into_iter().collect()
}

/// Returns the desired entries of the access control lists.
fn desired(dialect: Dialect, database: &str, schema: &str) -> BTreeSet<Entry> {
    let mut desired = BTreeSet::new();
    for grants in GRANTS {
        let mut add = |object: String, verb: &str, column: Option<&str>| {
            let (grantee, verb, column) = (grants.role.name().to_owned(), verb.to_owned(), column.map(str::to_owned));
            desired.insert(Entry { grantee, object, verb, column });
        };
        if dialect == Dialect::PostgreSql {
            add(format!("database {database}"), "connect", None);
        }
        add(format!("schema {schema}"), "usage", None);
        for Privilege { verb, table, columns } in grants.all() {
            match columns {
                [] => add(format!("table {table}"), verb, None),
                columns => columns.iter().for_each(|column| add(format!("table {table}"), verb, Some(column))),
            }
        }
    }
    desired
}

/// Makes `grant … to` or `revoke … from` statements, one for each role and object.
fn statements<'a>(verb: &str, preposition: &str, entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    let mut columns: BTreeMap<(&str, &str, &str, bool), Vec<&str>> = BTreeMap::new();
    for Entry { grantee, object, verb, column } in entries {
        // A privilege on a table is listed apart from the same privilege on some of its columns.
        let key = (grantee.as_str(), object.as_str(), verb.as_str(), column.is_some());
        columns.entry(key).or_default().extend(column.as_deref());
    }
    let mut privileges: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for ((grantee, object, privilege, _), columns) in columns {
        let privilege = match columns.as_slice() {
            [] => privilege.to_owned(),
            columns => format!("{privilege} ({})", columns.join(", ")),
        };
        privileges.entry((grantee, object)).or_default().push(privilege);
    }
    privileges
        .into_iter()
        .map(|((grantee, object), privileges)| {
            format!("{verb} {} on {object} {preposition} {grantee}", privileges.join(", "))
        })
        .collect()
}

/// Returns the report of a change that the user of `migrate` may not make.
fn administrator_must_run(statement: &str) -> String {
    format!("this user may not change it. Have an administrator run `{statement}`")
}

fn already_exists(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::DUPLICATE_OBJECT | &SqlState::UNIQUE_VIOLATION))
}

fn is_forbidden(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
}
