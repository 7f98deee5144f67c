//! The databases: one for each build, because their schemas can differ, and one for the Node peer.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use ::tests::{
    Error,
    postgres::{Options, Server, Version},
    process::{self, spawn_into},
    tools::Tools,
};

use crate::{
    builds::{Build, NODE_SOURCES},
    environment::{Candidate, Environment},
    events::{self, Account, OWN_KEYS, PASSWORD, REFRESHES_OF_A_SESSION, Request, USERNAME},
};

/// Signs the access tokens of all candidates.
pub const JWT_SECRET: &str = "9f8a1c0d5be24f7a8e3b6c1d2f405968";

/// The key ring of the functions, if it is another one.
static KEY: OnceLock<String> = OnceLock::new();

/// Sets the key ring of the functions.
pub fn use_key(text: String) {
    let _ = KEY.set(text);
}

/// Returns the key ring of the functions.
pub fn key() -> String {
    KEY.get().cloned().unwrap_or_else(|| JWT_SECRET.to_owned())
}

/// Keys of each user whose values only fill the table.
const KEYS_OF_OTHERS: usize = 1000;

/// A throw-away server, dropped with its databases at the end.
pub struct Cluster {
    tools: Tools,
    server: Server,
}

/// A database, filled as far as `rows`.
pub struct Database {
    pub name: String,
    /// The user whose requests are measured.
    pub user_id: String,
    rows: usize,
}

impl Cluster {
    pub fn start(tools: &Tools) -> Result<Self, Error> {
        Ok(Self { tools: tools.clone(), server: Server::throw_away(tools, Options::default())? })
    }

    /// Creates a database. The name is not used by another run: backends are found by it.
    pub fn create(&self, name: &str) -> Result<Database, Error> {
        let name = format!("bench_{}_{name}", std::process::id());
        self.execute("postgres", &[&format!("create database {name}")])?;
        Ok(Database { name, user_id: String::new(), rows: 0 })
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The address for a role of the functions.
    pub fn url(&self, database: &Database, role: &str) -> String {
        format!("postgres://{role}:{ROLE_PASSWORD}@127.0.0.1:{}/{}", self.server.port(), database.name)
    }

    /// Brings the schema up to date, creates the user, and stores the user's values, all by functions.
    pub fn prepare(&self, database: &mut Database, functions: &Setup) -> Result<(), Error> {
        functions.migrate(&self.tools, &self.server.url(&database.name))?;
        self.execute(&database.name, &[SET_PASSWORDS, GRANT_TO_NEW_ROLES])?;
        let body = format!(
            r#"{{"username":"{USERNAME}","email":"bench@example.com","password":"{PASSWORD}","full_name":"Ben Marks","age":36,"gender":"male"}}"#
        );
        let register =
            events::event(&Request { method: "POST", route: "/api/register", body: Some(&body), ..Request::default() });
        let response = functions.call(self, database, "register", "keyhold_register", vec![register])?;
        database.user_id = read(&response, "user_id")?;
        let account = self.sign_in(database, functions)?;
        let batches = (0..OWN_KEYS).step_by(100).map(|first| {
            let (body, token) = (events::batch_body(first, 100, 0), Some(account.access_token.as_str()));
            let body = Some(body.as_str());
            events::event(&Request { method: "POST", route: "/api/data/batch", token, body, ..Request::default() })
        });
        functions.call(self, database, "data-batch", "keyhold_writer", batches.collect())?;
        database.rows = OWN_KEYS;
        Ok(())
    }

    /// Signs the user in by a function.
    pub fn sign_in(&self, database: &Database, functions: &Setup) -> Result<Account, Error> {
        let body = format!(r#"{{"username":"{USERNAME}","password":"{PASSWORD}"}}"#);
        let event =
            events::event(&Request { method: "POST", route: "/api/token", body: Some(&body), ..Request::default() });
        let response = functions.call(self, database, "token", SIGN_IN_ROLE, vec![event])?;
        let (access_token, refresh_token) = (read(&response, "access_token")?, read(&response, "refresh_token")?);
        Ok(Account { access_token, refresh_tokens: vec![refresh_token] })
    }

    /// Signs the user in so often that `count` refreshes stay within the limit of each session.
    pub fn sign_in_for(&self, count: usize, database: &Database, functions: &Setup) -> Result<Account, Error> {
        let mut account = self.sign_in(database, functions)?;
        for _ in 0..count / REFRESHES_OF_A_SESSION {
            account.refresh_tokens.extend(self.sign_in(database, functions)?.refresh_tokens);
        }
        Ok(account)
    }

    /// Adds values of other users until the table has `rows`, and gathers statistics.
    pub fn fill(&self, database: &mut Database, rows: usize) -> Result<(), Error> {
        self.fill_with(database, rows, INSERT_USERS)
    }

    fn fill_with(&self, database: &mut Database, rows: usize, users: &str) -> Result<(), Error> {
        let (first, last) = (database.rows, rows.saturating_sub(1));
        let mut statements = vec!["set session_replication_role = replica".to_owned()];
        if rows > database.rows {
            let (first_user, last_user) = (first / KEYS_OF_OTHERS, last / KEYS_OF_OTHERS);
            statements
                .push(format!("{users} from generate_series({first_user}, {last_user}) n on conflict do nothing"));
            statements.push(format!("{INSERT_VALUES} from generate_series({first}, {last}) n"));
            database.rows = rows;
        }
        statements.push("vacuum analyze".to_owned());
        statements.push("checkpoint".to_owned());
        self.execute(&database.name, &statements.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Creates the Node peer's tables, with the same user as the service's.
    pub fn prepare_node(&self, database: &mut Database, account: &Account) -> Result<(), Error> {
        let mut psql = self.psql(&database.name)?;
        psql.arg("-f").arg(Path::new(NODE_SOURCES).join("schema.sql"));
        run(psql)?;
        let claims = claims(account);
        let value = events::value(0);
        self.execute(
            &database.name,
            &[
                "grant select, insert, update, delete on all tables in schema public to keyhold_reader, keyhold_writer",
                &format!("insert into users {claims} select (claims->>'sub')::uuid from token"),
                &format!(
                    "insert into data_store (user_id, key, value, version, first_version, created_at, updated_at)
                     {claims} select (claims->>'sub')::uuid, 'key-' || lpad(n::text, 4, '0'), '{value}', n + 1, n + 1,
                     now(), now() from token, generate_series(0, {OWN_KEYS} - 1) n"
                ),
                &format!("insert into data_clock {claims} select (claims->>'sub')::uuid, {OWN_KEYS} from token"),
                &format!(
                    "insert into data_usage {claims}
                     select (claims->>'sub')::uuid, {OWN_KEYS}, {OWN_KEYS} * 200, 100000, 268435456 from token"
                ),
            ],
        )?;
        database.rows = OWN_KEYS;
        Ok(())
    }

    /// Adds values of other users to the Node peer's table.
    pub fn fill_node(&self, database: &mut Database, rows: usize) -> Result<(), Error> {
        self.fill_with(database, rows, "insert into users select md5('user' || n)::uuid")
    }

    /// Gives the Node peer a session of the service's.
    pub fn admit(&self, database: &Database, account: &Account) -> Result<(), Error> {
        let claims = claims(account);
        let session = format!(
            "insert into sessions {claims}
             select (claims->>'sub')::uuid, (claims->>'sid')::uuid, now() + interval '1 day' from token"
        );
        self.execute(&database.name, &[&session])
    }

    fn execute(&self, database: &str, statements: &[&str]) -> Result<(), Error> {
        let mut psql = self.psql(database)?;
        psql.args(statements.iter().flat_map(|statement| ["-c", *statement]));
        run(psql)
    }

    fn psql(&self, database: &str) -> Result<std::process::Command, Error> {
        let program = Version::default().programs(&self.tools)?.join("psql");
        let mut command = self.tools.guard().command(program);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.server.url(database)]);
        Ok(command)
    }
}

fn run(psql: std::process::Command) -> Result<(), Error> {
    let status = process::run(psql).map_err(|error| Error::start("psql", error))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new("The database could not be prepared.", "The message of psql is above."))
}

const ROLE_PASSWORD: &str = "bench";

const SET_PASSWORDS: &str = "
    do $$ declare role text; begin
        for role in select rolname from pg_roles where rolname like 'keyhold\\_%' loop
            execute format('alter role %I password %L', role, 'bench');
        end loop;
    end $$";

/// The database role of `token`.
pub const SIGN_IN_ROLE: &str = "keyhold_sign_in";

/// Lets functions of an older build sign in as roles that its `migrate` does not know.
const GRANT_TO_NEW_ROLES: &str =
    "grant select, insert, update, delete on all tables in schema public to keyhold_sign_in, keyhold_refresh";

const INSERT_USERS: &str = "
    insert into users
        (id, username, username_canonical, email, email_canonical, password, full_name, age, gender, created_at)
    select md5('user' || n)::uuid, 'user' || n, 'user' || n, n || '@example.com', n || '@example.com', '', 'A User', 40,
           'female', now()";

const INSERT_VALUES: &str = r#"
    insert into data_store (user_id, key, value, version, first_version, created_at, updated_at)
    select md5('user' || n / 1000)::uuid, 'key-' || lpad((n % 1000)::text, 4, '0'),
           '{"theme":"dark","revision":' || n || ',"font":{"family":"Inter","size":12},"text":"' || repeat('x', 120) || '"}',
           n, n, now(), now()"#;

fn read(response: &str, name: &str) -> Result<String, Error> {
    events::text(response, name).map_err(|reason| Error::new(reason, "The functions do not belong to this API."))
}

/// A common table expression with the claims of an access token.
fn claims(account: &Account) -> String {
    let payload = account.access_token.split('.').nth(1).unwrap_or_default();
    let padded = format!("{payload}{}", "=".repeat((4 - payload.len() % 4) % 4)).replace('-', "+").replace('_', "/");
    format!("with token as (select convert_from(decode('{padded}', 'base64'), 'utf8')::json as claims)")
}

/// The functions that prepare a database, and their log.
pub struct Setup {
    pub build: Build,
    pub fallback: Build,
    pub log: PathBuf,
}

impl Setup {
    fn migrate(&self, tools: &Tools, url: &str) -> Result<(), Error> {
        let mut command = tools.guard().command(self.build.setup("migrate", &self.fallback)?);
        command.env("DATABASE_URL", url).env_remove("AWS_LAMBDA_RUNTIME_API").env_remove("DATABASE_ROLES");
        let failed = |error| Error::file(&self.log, error);
        let log = File::options().create(true).append(true).open(&self.log).map_err(failed)?;
        let mut running = spawn_into(command, Some(&log)).map_err(|error| Error::start("migrate", error))?;
        if running.wait().is_ok_and(|status| status.success()) {
            return Ok(());
        }
        Err(Error::new("The schema could not be created.", format!("The reason is in {}.", self.log.display())))
    }

    /// Sends events to a function; returns the last response.
    fn call(
        &self,
        cluster: &Cluster,
        database: &Database,
        function: &str,
        role: &str,
        events: Vec<String>,
    ) -> Result<String, Error> {
        let program = self.build.setup(function, &self.fallback)?;
        let candidate = Candidate {
            name: function.to_owned(),
            artifact: program.clone(),
            program,
            arguments: Vec::new(),
            variables: vec![("DATABASE_URL", cluster.url(database, role)), ("JWT_SECRET", key())],
            log: self.log.clone(),
        };
        let mut environment = Environment::start(&candidate, None)?;
        environment.call(events)
    }
}
