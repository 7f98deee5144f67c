//! A database for each test, copied from a migrated template and dropped after the test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

use shared::App;
use shared::clock::SystemClock;
use shared::db::Dialect;
use shared::db::Role;
use shared::db::admin::roles::GRANTS;
use shared::secrets::{NoKeys, Secrets};
use tests::postgres::{Options, Server, Version};
use tokio_postgres::{Client, Config, NoTls};

use super::endpoints::roles;
use super::fake_dsql::{BEFORE, FakeDsql, LIMITS};
use super::tools;

/// An empty, migrated database on a server that all tests share. Dropping it drops the database on the server.
pub struct Database {
    url: String,
    /// Whether the functions' roles have passwords.
    roles: bool,
    /// The proxy to it that imitates Aurora DSQL, if any.
    fake_dsql: Option<FakeDsql>,
    shared: Option<Shared>,
}

struct Shared {
    name: String,
    cluster: &'static Cluster,
}

/// A server with the template of the tests' databases.
struct Cluster(Server);

/// The template. Functions never connect to it, because a database with connections cannot be copied.
const TEMPLATE: &str = "migrated";

/// The template of databases that imitate Aurora DSQL.
const TEMPLATE_LIKE_DSQL: &str = "migrated_like_dsql";

/// The password of every role on the shared servers, which only this machine can reach.
const ROLE_PASSWORD: &str = "role";

static CLUSTER_18: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(Version::V18));

/// A database on PostgreSQL 18.
pub fn database() -> Database {
    CLUSTER_18.database(TEMPLATE)
}

/// A database on PostgreSQL 18 that imitates Aurora DSQL as long as the test's runtime exists.
pub fn database_like_dsql() -> Database {
    static TEMPLATE: Once = Once::new();
    TEMPLATE.call_once(|| CLUSTER_18.make_template_like_dsql());
    let mut database = CLUSTER_18.database(TEMPLATE_LIKE_DSQL);
    let name = database.config().get_dbname().expect("its name").to_owned();
    // As on DSQL, a transaction that changes a row of a concurrent one fails with a conflict.
    let isolation = format!("alter database {name} set default_transaction_isolation = 'repeatable read'");
    apart(CLUSTER_18.execute(&isolation));
    database.fake_dsql = Some(FakeDsql::to(database.port()));
    database
}

/// A database on PostgreSQL 16, the oldest that is tested.
pub fn postgresql_16() -> Database {
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(Version::V16));
    CLUSTER.database(TEMPLATE)
}

impl Cluster {
    fn start(version: Version) -> Self {
        let server = Server::throw_away(tools(), Options { version, ..Options::default() });
        let cluster = Self(server.unwrap_or_else(|error| panic!("{error}")));
        apart(async {
            cluster.execute(&format!("create database {TEMPLATE}")).await;
            let applied = migrate::run(migration_app(&cluster.0.url(TEMPLATE))).await.expect("the migrations");
            assert!(!applied.applied.is_empty());
            // Migrations create the roles without a password.
            for name in GRANTS.iter().map(|grants| grants.role.name()) {
                cluster.execute(&format!("alter role {name} password '{ROLE_PASSWORD}'")).await;
            }
        });
        cluster
    }

    fn make_template_like_dsql(&self) {
        apart(async {
            self.execute(&format!("create database {TEMPLATE_LIKE_DSQL}")).await;
            let url = self.0.url(TEMPLATE_LIKE_DSQL);
            let superuser = connect(&url).await;
            for statement in BEFORE {
                superuser.batch_execute(statement).await.expect("the superuser's statement");
            }
            let mut database = Database::at(&url);
            database.fake_dsql = Some(FakeDsql::to(database.port()));
            migrate::run(database.migration_app()).await.expect("the migrations");
            assert_eq!(database.refusals(), [""; 0]);
            superuser.batch_execute(LIMITS).await.expect("the superuser's statement");
        });
        // A database with connections cannot be copied.
        apart(async {
            const OTHERS: &str = "select from pg_stat_activity where datname = 'migrated_like_dsql'";
            let observer = connect(&self.0.url("postgres")).await;
            while !observer.query(OTHERS, &[]).await.expect("the observer's statement").is_empty() {
                tokio::task::yield_now().await;
            }
        });
    }

    fn database(&'static self, template: &str) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        apart(self.execute(&format!("create database {name} template {template} strategy file_copy")));
        Database { url: self.0.url(&name), roles: true, fake_dsql: None, shared: Some(Shared { name, cluster: self }) }
    }

    async fn execute(&self, sql: &str) {
        connect(&self.0.url("postgres")).await.batch_execute(sql).await.expect("the superuser's statement");
    }
}

impl Database {
    /// A database on the test's own server.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), roles: false, fake_dsql: None, shared: None }
    }

    /// The same database, reached through another port.
    pub fn through(&self, port: u16) -> Self {
        let own = self.port().to_string();
        let url = self.url.replacen(&own, &port.to_string(), 1);
        Self { url, roles: self.roles, fake_dsql: None, shared: None }
    }

    /// The kind of server that the service detects.
    pub fn kind(&self) -> Dialect {
        if self.fake_dsql.is_some() { Dialect::AuroraDsql } else { Dialect::PostgreSql }
    }

    /// The statements of the service that Aurora DSQL would reject.
    pub fn refusals(&self) -> Vec<String> {
        self.fake_dsql.as_ref().map(FakeDsql::refusals).unwrap_or_default()
    }

    /// The context of `migrate` for this database.
    pub fn migration_app(&self) -> App<NoKeys> {
        let clock = Arc::new(SystemClock);
        let secrets = Secrets::fixed(self.as_seen().parse().expect("an address"), NoKeys, clock.clone())
            .with_dialect(self.kind());
        App::new(super::service::settings(), Arc::new(secrets), clock, 1)
    }

    /// The address for the superuser, through the imitation of DSQL if any.
    pub fn as_seen(&self) -> String {
        match &self.fake_dsql {
            Some(fake_dsql) => self.url.replacen(&self.port().to_string(), &fake_dsql.port().to_string(), 1),
            None => self.url.clone(),
        }
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.config().get_ports()[0]
    }

    /// The address for the superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address for a function, with the role that it is deployed with.
    pub fn url_of(&self, function: &str) -> String {
        let role = roles().find_map(|(name, role)| (name == function).then_some(role));
        role.map_or_else(|| self.url.clone(), |role| self.url_as(role))
    }

    /// The address for a role. A database without roles has one user only.
    fn url_as(&self, role: Role) -> String {
        if !self.roles {
            return self.url.clone();
        }
        let url = self.as_seen();
        let (_, place) = url.split_once('@').expect("a user in the address");
        format!("postgres://{}:{ROLE_PASSWORD}@{place}", role.name())
    }

    /// The parsed address for a function.
    pub fn config_of(&self, function: &str) -> Config {
        self.url_of(function).parse().expect("the address that the server gave")
    }

    /// The parsed address for the superuser.
    pub fn config(&self) -> Config {
        self.url.parse().expect("the address that the server gave")
    }

    /// Waits until a statement is blocked by a lock.
    pub async fn until_a_statement_waits(&self) {
        const WAITING: &str =
            "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let observer = self.connect().await;
        let waiting = async {
            while observer.query(WAITING, &[]).await.expect("the observer's statement").is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("a statement that waits");
    }

    /// A connection as a role.
    pub async fn connect_as(&self, role: Role) -> Client {
        connect(&self.url_as(role)).await
    }

    /// A direct connection as the superuser, to inspect or damage the database.
    pub async fn connect(&self) -> Client {
        let client = connect(&self.url).await;
        if self.fake_dsql.is_some() {
            client.batch_execute("set search_path = keyhold").await.expect("a setting");
        }
        client
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(Shared { name, cluster }) = &self.shared {
            apart(cluster.execute(&format!("drop database {name} with (force)")));
        }
    }
}

/// The context of `migrate` for a database.
pub fn migration_app(url: &str) -> App<NoKeys> {
    Database::at(url).migration_app()
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the test's own PostgreSQL");
    tokio::spawn(connection);
    client
}

/// Runs a future to its end in a new thread, for callers that cannot await it, such as `drop`.
fn apart(work: impl Future<Output = ()> + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(work);
        });
    });
}
