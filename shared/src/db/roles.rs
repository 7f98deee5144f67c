//! The roles that the functions sign in as, what each may do, and how a database is brought to that.
//!
//! [`ROLES`] is the one table of it. A role may do what the statements of its functions do and nothing else: none may
//! change the schema, and none owns anything. `on conflict` and `for update` need what they lock or compare; what cascades
//! by a foreign key is done as the tables' owner and needs nothing; on Aurora DSQL, which has none, the roles do it themselves.
//!
//! Roles belong to a server, and several databases on it may have this schema: what is done to a role itself must bear being
//! done by two runs at once. What it may do in this database, the lock of the migrations guards.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::migrations::MigrationConnection;
use super::server::{Server, Sql, sql};
use super::{Error, column, refused};

/// A role of the database.
pub struct Role {
    /// Its name.
    pub name: &'static str,
    /// The functions that sign in as it.
    pub functions: &'static [&'static str],
    /// What it may do.
    pub privileges: &'static [Privilege],
    /// What it may do besides on Aurora DSQL: what foreign keys do elsewhere.
    pub dsql: &'static [Privilege],
}

/// Something that a role may do with a table.
pub struct Privilege {
    /// As SQL has it, in lower case.
    pub verb: &'static str,
    /// The table.
    pub table: &'static str,
    /// The columns; none stands for all, those that come later too.
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

/// What it takes to ask whether a session stands.
const SESSION: &[&str] = &["user_id", "id", "expires_at"];
/// What an account's owner sees of it: neither the password's hash nor what is there for comparisons.
const ACCOUNT: &[&str] = &["id", "username", "email", "full_name", "age", "gender", "created_at"];
/// All there is to the table: counts of wrong passwords.
const COUNTS: &[&str] = &[];
/// What it takes to find the refresh tokens of a session.
const TOKENS: &[&str] = &["user_id", "session_id", "digest"];

/// Who may do what, and which functions that is.
pub const ROLES: &[Role] = &[
    // It writes accounts and can read none, not even the one that it wrote.
    Role { name: "keyhold_register", functions: &["register"], privileges: &[insert("users")], dsql: &[] },
    // What compares passwords: beside the eraser, the only ones that can read a hash.
    Role {
        name: "keyhold_passwords",
        functions: &["token", "password-update"],
        privileges: &[
            select("users", &["id", "username", "username_canonical", "email", "email_canonical", "password"]),
            update("users", &["password"]),
            select("sessions", &["user_id", "id", "refreshed_at", "expires_at", "network"]),
            insert("sessions"),
            delete("sessions"),
            insert("refresh_tokens"),
            select("sign_in_failures", COUNTS),
            insert("sign_in_failures"),
            update("sign_in_failures", &["failures", "failed_at", "blocked_until", "refused"]),
            delete("sign_in_failures"),
        ],
        dsql: &[select("refresh_tokens", TOKENS), delete("refresh_tokens")],
    },
    Role {
        name: "keyhold_accounts",
        functions: &[
            "token-refresh",
            "token-revoke",
            "session-list",
            "session-delete",
            "session-delete-all",
            "account-get",
            "account-update",
        ],
        privileges: &[
            select(
                "users",
                &["id", "username", "email", "email_canonical", "full_name", "age", "gender", "created_at"],
            ),
            update("users", &["email", "email_canonical", "full_name", "age", "gender"]),
            select("sessions", &[]),
            update("sessions", &["refreshed_at", "expires_at", "network"]),
            delete("sessions"),
            select("refresh_tokens", &[]),
            insert("refresh_tokens"),
            update("refresh_tokens", &["consumed_at", "successor", "successor_digest"]),
            delete("refresh_tokens"),
        ],
        dsql: &[],
    },
    // The only one that can delete an account.
    Role {
        name: "keyhold_eraser",
        functions: &["account-delete"],
        privileges: &[
            select("users", &["id", "username", "email", "password"]),
            delete("users"),
            select("sessions", SESSION),
            select("data_clock", &["user_id"]),
            // To lock the row.
            update("data_clock", &["version"]),
            select("sign_in_failures", COUNTS),
            insert("sign_in_failures"),
            update("sign_in_failures", &["failures", "failed_at", "blocked_until", "refused"]),
            delete("sign_in_failures"),
        ],
        dsql: &[
            delete("sessions"),
            select("refresh_tokens", TOKENS),
            delete("refresh_tokens"),
            select("data_store", &["user_id", "key", "value"]),
            delete("data_store"),
            delete("data_clock"),
            select("data_usage", &["user_id"]),
            delete("data_usage"),
        ],
    },
    Role {
        name: "keyhold_reader",
        functions: &["data-get", "data-list"],
        privileges: &[select("sessions", SESSION), select("data_store", &[])],
        dsql: &[],
    },
    Role {
        name: "keyhold_exporter",
        functions: &["account-export"],
        privileges: &[select("users", ACCOUNT), select("sessions", &[]), select("data_store", &[])],
        dsql: &[],
    },
    Role {
        name: "keyhold_writer",
        functions: &["data-create", "data-update", "data-delete", "data-batch"],
        privileges: &[
            select("sessions", SESSION),
            select("data_clock", &[]),
            insert("data_clock"),
            update("data_clock", &["version"]),
            select("data_store", &[]),
            insert("data_store"),
            update(
                "data_store",
                &["value", "version", "first_version", "created_at", "updated_at", "expires_at", "replaced_bytes"],
            ),
            delete("data_store"),
            select("data_usage", &[]),
            insert("data_usage"),
            update("data_usage", &["keys", "bytes", "keys_allowed", "bytes_allowed"]),
        ],
        dsql: &[],
    },
    Role {
        name: "keyhold_sweeper",
        functions: &["data-sweep"],
        privileges: &[
            select("data_store", &["user_id", "key", "value", "expires_at"]),
            // To lock the rows.
            update("data_store", &["replaced_bytes"]),
            delete("data_store"),
            select("data_usage", &["user_id", "keys", "bytes"]),
            update("data_usage", &["keys", "bytes"]),
        ],
        dsql: &[
            select("users", &["id"]),
            select("sessions", &["user_id", "id"]),
            select("refresh_tokens", TOKENS),
            delete("refresh_tokens"),
            select("data_clock", &["user_id"]),
            delete("data_clock"),
            delete("data_usage"),
        ],
    },
    // It signs in, and that is all.
    Role { name: "keyhold_monitor", functions: &["health-ready"], privileges: &[], dsql: &[] },
];

/// Settings of each role. The code gives up a statement after 5 s and closes the connection, which a server that is at work
/// or waits for a lock does not notice: without these it would go on, and a transaction whose function died would keep its
/// locks. Two seconds more are for what is on its way; Lambda ends a function after 15. On the role and not by `set`, on
/// which RDS Proxy pins a connection.
const SETTINGS: [(&str, &str); 2] = [("statement_timeout", "7s"), ("idle_in_transaction_session_timeout", "7s")];

/// Who makes the roles, and how they sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleManagement {
    /// They are made where they are missing. A password is the administrator's to give.
    Make,
    /// They are made, and may sign in by IAM on RDS and Aurora, which then accept no password of theirs.
    MakeForIam,
    /// Nothing is done about roles.
    Off,
}

/// Which roles of IAM may sign in as which role of the database, by their ARNs. DSQL keeps that by itself.
pub type IamRoles = BTreeMap<String, Vec<String>>;

/// Why there are no roles for the functions.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The database refused.
    #[error(transparent)]
    Database(#[from] Error),
    /// Roles are missing, and this user may not make any.
    #[error(
        "the database has no role {names}, and this user may not make roles: let an administrator run `{statements}`, \
         or set DATABASE_ROLES=off if the functions sign in as another user"
    )]
    Missing {
        /// The roles, by commas.
        names: String,
        /// What makes them.
        statements: String,
    },
    /// What is to sign in as a role, or that role, is none.
    #[error(
        "DatabaseRoles says that {arn:?} may sign in as {role:?}: that is no role of IAM's, or none of this service's"
    )]
    NoSuchRole {
        /// The role of the database.
        role: String,
        /// The role of IAM.
        arn: String,
    },
}

/// What was done about the roles.
#[derive(Debug, Default)]
pub struct RolesReport {
    /// The statements that it took; none if everything was as it has to be.
    pub changes: Vec<String>,
    /// What is not as it has to be and could not be mended: what to do about it.
    pub problems: Vec<String>,
}

/// One entry of an access list. The grantee `public` is everybody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    grantee: String,
    /// As a grant names it: `table users`.
    object: String,
    verb: String,
    column: Option<String>,
}

impl Entry {
    /// Whether this one, for a whole object, is the same privilege as the other one.
    fn covers(&self, other: &Self) -> bool {
        self.column.is_none()
            && (&self.grantee, &self.object, &self.verb) == (&other.grantee, &other.object, &other.verb)
    }
}

impl MigrationConnection {
    /// Makes the roles that are missing and brings what they and everybody may do to what [`ROLES`] says. Safe to repeat.
    ///
    /// # Errors
    /// Roles are missing and cannot be made, or the database is out of reach.
    pub async fn bring_roles(
        &mut self,
        management: RoleManagement,
        iam_roles: &IamRoles,
    ) -> Result<RolesReport, RolesError> {
        let mut report = RolesReport::default();
        if management == RoleManagement::Off {
            return Ok(report);
        }
        self.make_roles(&mut report).await?;
        match self.server() {
            Server::PostgreSql => {
                self.set_timeouts(&mut report).await?;
                if management == RoleManagement::MakeForIam {
                    self.let_in_by_iam(&mut report).await?;
                }
                self.bring_privileges(&mut report).await?;
                self.look_for_too_much(&mut report).await?;
            }
            // Left out: timeouts, for DSQL has no settings of roles, and ends a transaction after five minutes; and the look
            // for attributes, which nobody but `admin` could have given.
            Server::AuroraDsql => {
                self.bring_privileges_one_by_one(&mut report).await?;
                self.let_in_iam_roles(iam_roles, &mut report).await?;
            }
        }
        for problem in &report.problems {
            tracing::warn!("{problem}");
        }
        Ok(report)
    }

    async fn make_roles(&mut self, report: &mut RolesReport) -> Result<(), RolesError> {
        let existing = self.texts("select rolname::text from pg_roles where rolname = any($1)").await?;
        let mut missing = Vec::new();
        for role in ROLES.iter().filter(|role| !existing.contains(role.name)) {
            const CREATE: Sql = sql!("create role {} " dsql("with ") "login");
            let statement = self.server().choose(CREATE).replace("{}", role.name);
            match self.execute(&statement).await {
                Ok(()) => report.changes.push(statement),
                // A run for another database of this server was faster.
                Err(error) if is_there_already(&error) => {}
                Err(error) if is_forbidden(&error) => missing.push(role.name),
                Err(error) => return Err(refused(error).into()),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let statements: Vec<_> = missing.iter().map(|name| format!("create role {name} login;")).collect();
        Err(RolesError::Missing { names: missing.join(", "), statements: statements.join(" ") })
    }

    /// For this database alone: two databases that set something for one role would get into each other's way.
    async fn set_timeouts(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        const SET: &str = "
            select r.rolname || ' ' || unnest(s.setconfig) from pg_db_role_setting s
            join pg_roles r on r.oid = s.setrole join pg_database d on d.oid = s.setdatabase
            where r.rolname = any($1) and d.datname = current_database()";
        let set = self.texts(SET).await?;
        let database = self.database().await?;
        for (role, (name, value)) in ROLES.iter().flat_map(|role| SETTINGS.map(|setting| (role.name, setting))) {
            if !set.contains(&format!("{role} {name}={value}")) {
                let statement = format!("alter role {role} in database {database} set {name} = '{value}'");
                self.change_if_allowed(statement, report).await?;
            }
        }
        Ok(())
    }

    async fn let_in_by_iam(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        const MEMBERS: &str = "
            select r.rolname::text from pg_auth_members m
            join pg_roles r on r.oid = m.member join pg_roles g on g.oid = m.roleid
            where r.rolname = any($1) and g.rolname = 'rds_iam'";
        let members = self.texts(MEMBERS).await?;
        for role in ROLES.iter().filter(|role| !members.contains(role.name)) {
            self.change_if_allowed(format!("grant rds_iam to {}", role.name), report).await?;
        }
        Ok(())
    }

    async fn bring_privileges(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        let (database, schema) = (self.database().await?, self.schema().await?);
        let (mut held, wanted) = (self.held(&database, &schema).await?, wanted(Server::PostgreSql, &database, &schema));
        let mut changes = statements("revoke", "from", held.difference(&wanted));
        // To revoke a privilege on a table revokes it on the columns too: those that shall keep it get it again.
        let revoked: Vec<Entry> = held.difference(&wanted).filter(|entry| entry.column.is_none()).cloned().collect();
        held.retain(|entry| !revoked.iter().any(|whole| whole.covers(entry)));
        changes.extend(statements("grant", "to", wanted.difference(&held)));
        if changes.is_empty() {
            return Ok(());
        }
        // In one message, and so in one transaction: no function ever sees half of it.
        self.client().batch_execute(&changes.join(";\n")).await.map_err(refused)?;
        let held = self.held(&database, &schema).await?;
        let left = statements("revoke", "from", held.difference(&wanted));
        let left = left.into_iter().chain(statements("grant", "to", wanted.difference(&held)));
        let left: BTreeSet<String> = left.collect();
        // What only the owner of the database or the schema can do, PostgreSQL passes over with a warning.
        report.problems.extend(left.iter().map(|statement| let_administrator_run(statement)));
        report.changes.extend(changes.into_iter().filter(|statement| !left.contains(statement)));
        Ok(())
    }

    /// The same on DSQL, which changes one thing in a transaction. First it gives, so that no function lacks anything, then it
    /// takes, and gives again what went with that.
    async fn bring_privileges_one_by_one(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        let (database, schema) = (self.database().await?, self.schema().await?);
        let wanted = wanted(Server::AuroraDsql, &database, &schema);
        let held = match self.held(&database, &schema).await {
            Ok(held) => held,
            // Not tried: whether DSQL lets its access lists be read. To give is possible without.
            Err(error @ Error::Refused(_)) => {
                let cause = crate::telemetry::chain(&error);
                report
                    .problems
                    .push(format!("privileges are only added, for those that there are cannot be read: {cause}"));
                BTreeSet::new()
            }
            Err(error) => return Err(error),
        };
        let surplus: Vec<&Entry> = held.difference(&wanted).collect();
        let again: BTreeSet<&Entry> =
            wanted.intersection(&held).filter(|entry| surplus.iter().any(|whole| whole.covers(entry))).collect();
        let mut changes = statements("grant", "to", wanted.difference(&held));
        changes.extend(statements("revoke", "from", surplus.into_iter()));
        changes.extend(statements("grant", "to", again.into_iter()));
        for change in changes {
            self.execute(&change).await.map_err(refused)?;
            report.changes.push(change);
        }
        Ok(())
    }

    /// Lets roles of IAM in. Those that are let in and not named stay: until the end of the deployment functions run as them.
    async fn let_in_iam_roles(&mut self, iam_roles: &IamRoles, report: &mut RolesReport) -> Result<(), RolesError> {
        let wanted =
            iam_roles.iter().flat_map(|(role, arns)| arns.iter().map(move |arn| (role.as_str(), arn.as_str())));
        let wanted: Vec<(&str, &str)> = wanted.collect();
        for (role, arn) in &wanted {
            // Neither can be a parameter of the statement.
            let is_arn =
                arn.starts_with("arn:") && arn.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-/:".contains(c));
            if !names().contains(role) || !is_arn {
                return Err(RolesError::NoSuchRole { role: (*role).to_owned(), arn: (*arn).to_owned() });
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        const LET_IN: &str =
            "select pg_role_name || ' ' || arn from sys.iam_pg_role_mappings where pg_role_name = any($1)";
        let let_in = self.texts(LET_IN).await?;
        for (role, arn) in wanted {
            if !let_in.contains(&format!("{role} {arn}")) {
                let statement = format!("aws iam grant {role} to '{arn}'");
                self.execute(&statement).await.map_err(refused)?;
                report.changes.push(statement);
            }
        }
        Ok(())
    }

    /// Looks for what a role may do whatever it is granted: by an attribute, as a member of another one, or as an owner.
    async fn look_for_too_much(&mut self, report: &mut RolesReport) -> Result<(), Error> {
        const TOO_MUCH: &str = "
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
        let statements = self.texts(TOO_MUCH).await?;
        report.problems.extend(statements.iter().map(|statement| let_administrator_run(statement)));
        Ok(())
    }

    /// What the roles may do with anything in this schema, and everybody with these tables. That everybody may connect and
    /// look names up is PostgreSQL's default, and as good as doing so by a grant.
    async fn held(&mut self, database: &str, schema: &str) -> Result<BTreeSet<Entry>, Error> {
        // DSQL has one database, no list of them, and no other privilege on it than to connect.
        const HELD: Sql = sql!(
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
        let (names, tables) = (names(), tables());
        let parameters: &super::Parameters<'_> = &[(&names, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY)];
        let held = self.server().choose(HELD);
        let rows = self.query(held, parameters).await?;
        let mut held = BTreeSet::new();
        for row in &rows {
            let text = |name| column::<String>(row, "pg_class", name);
            let kind = text("kind")?;
            let object = match kind.as_str() {
                "database" => format!("database {database}"),
                "schema" => format!("schema {schema}"),
                _ => format!("table {}", text("relation")?),
            };
            let (grantee, verb) = (text("grantee")?, text("verb")?);
            let default = matches!((kind.as_str(), verb.as_str()), ("database", "connect") | ("schema", "usage"));
            if default && grantee == "public" {
                // As if each role had it by itself, so that nothing is granted that a mere user of a database cannot grant.
                let entry = |name: &&str| Entry {
                    grantee: (*name).to_owned(),
                    object: object.clone(),
                    verb: verb.clone(),
                    column: None,
                };
                held.extend(names.iter().map(entry));
            } else {
                held.insert(Entry { grantee, object, verb, column: column(row, "pg_attribute", "attribute")? });
            }
        }
        Ok(held)
    }

    /// Runs a statement, or notes it as a problem where this user may not.
    async fn change_if_allowed(&mut self, statement: String, report: &mut RolesReport) -> Result<(), Error> {
        match self.client().batch_execute(&statement).await {
            Ok(()) => report.changes.push(statement),
            Err(error) if is_there_already(&error) => {}
            Err(error) if is_forbidden(&error) || error.code() == Some(&SqlState::UNDEFINED_OBJECT) => {
                report.problems.push(let_administrator_run(&statement));
            }
            Err(error) => return Err(refused(error)),
        }
        Ok(())
    }

    /// The rows of a statement about the roles that has one column.
    async fn texts(&mut self, sql: &str) -> Result<BTreeSet<String>, Error> {
        let rows = self.query(sql, &[(&names(), Type::TEXT_ARRAY)]).await?;
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

fn names() -> Vec<&'static str> {
    ROLES.iter().map(|role| role.name).collect()
}

fn tables() -> Vec<&'static str> {
    let tables: BTreeSet<_> = ROLES.iter().flat_map(|role| role.privileges).map(|privilege| privilege.table).collect();
    tables.into_iter().collect()
}

/// What access lists have to say, and nothing else.
fn wanted(server: Server, database: &str, schema: &str) -> BTreeSet<Entry> {
    let mut wanted = BTreeSet::new();
    for role in ROLES {
        let mut want = |object: String, verb: &str, column: Option<&str>| {
            let (grantee, verb, column) = (role.name.to_owned(), verb.to_owned(), column.map(str::to_owned));
            wanted.insert(Entry { grantee, object, verb, column });
        };
        let besides = match server {
            Server::PostgreSql => {
                want(format!("database {database}"), "connect", None);
                [].as_slice()
            }
            Server::AuroraDsql => role.dsql,
        };
        want(format!("schema {schema}"), "usage", None);
        for Privilege { verb, table, columns } in role.privileges.iter().chain(besides) {
            match columns {
                [] => want(format!("table {table}"), verb, None),
                columns => columns.iter().for_each(|column| want(format!("table {table}"), verb, Some(column))),
            }
        }
    }
    wanted
}

/// `grant … to` or `revoke … from` for entries, one for each role and object.
fn statements<'a>(verb: &str, preposition: &str, entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    let mut columns: BTreeMap<(&str, &str, &str, bool), Vec<&str>> = BTreeMap::new();
    for Entry { grantee, object, verb, column } in entries {
        // The same privilege on a table and on columns of it are two things.
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

fn let_administrator_run(statement: &str) -> String {
    format!("this user may not do it: let an administrator run `{statement}`")
}

fn is_there_already(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::DUPLICATE_OBJECT | &SqlState::UNIQUE_VIOLATION))
}

fn is_forbidden(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
}
