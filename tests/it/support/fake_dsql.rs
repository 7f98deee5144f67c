//! An imitation of Aurora DSQL on PostgreSQL. A proxy rejects the statements that DSQL rejects, and translates those
//! that only DSQL has. The database rolls back transactions that conflict or exceed the limits of DSQL.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::sql::{Statement, refused, statements};

/// The proxy.
pub struct FakeDsql {
    address: SocketAddr,
    refusals: Arc<Mutex<Vec<String>>>,
}

/// Statements that add objects and privileges of DSQL before the migrations run.
pub const BEFORE: [&str; 3] = [
    "create schema sys",
    "create table sys.iam_pg_role_mappings (pg_role_name text not null, arn text not null)",
    // Only `admin` has access.
    "revoke all on schema public from public",
];

/// Triggers that enforce the limits of a transaction, 3000 rows and 10 MiB, on the tables of the migrations.
pub const LIMITS: &str = "
    create function public.count_change() returns trigger language plpgsql as $$
    declare
        changed int := coalesce(nullif(current_setting('fake_dsql.rows', true), ''), '0')::int + 1;
        bytes bigint := coalesce(nullif(current_setting('fake_dsql.bytes', true), ''), '0')::bigint
            + coalesce(octet_length(new::text), octet_length(old::text));
    begin
        if changed > 3000 then
            raise exception 'transaction row limit exceeded' using errcode = '54000';
        elsif bytes > 10 * 1024 * 1024 then
            raise exception 'transaction size limit 10mb exceeded' using errcode = '54000';
        end if;
        perform set_config('fake_dsql.rows', changed::text, true), set_config('fake_dsql.bytes', bytes::text, true);
        return coalesce(new, old);
    end $$;
    do $$ declare name text; begin
        for name in select tablename from pg_tables where schemaname = 'keyhold' loop
            execute format('create trigger count_change before insert or update or delete on keyhold.%I
                for each row execute function public.count_change()', name);
        end loop;
    end $$";

impl FakeDsql {
    /// Starts a proxy on a free port of this machine. It runs as long as the test's runtime.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the port");
        listener.set_nonblocking(true).expect("a listener");
        let listener = tokio::net::TcpListener::from_std(listener).expect("the test's runtime");
        let refusals = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&refusals);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server");
                let ((from_client, to_client), (mut from_server, mut to)) = (client.into_split(), server.into_split());
                let mut to_client = to_client;
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
                });
                let connection =
                    Connection { refusals: Arc::clone(&noted), in_transaction: false, changes: Vec::new() };
                tokio::spawn(async move {
                    let _ = connection.forward(from_client, &mut to).await;
                });
            }
        });
        Self { address, refusals }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The rejected statements and the reasons.
    pub fn refusals(&self) -> Vec<String> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Connection {
    refusals: Arc<Mutex<Vec<String>>>,
    in_transaction: bool,
    /// For each statement of the transaction, whether it changes the schema.
    changes: Vec<bool>,
}

impl Connection {
    async fn forward(mut self, mut from: OwnedReadHalf, to: &mut OwnedWriteHalf) -> std::io::Result<()> {
        // The first message has no type.
        let length = from.read_u32().await?;
        let mut startup = vec![0; length as usize - 4];
        from.read_exact(&mut startup).await?;
        to.write_all(&[&length.to_be_bytes()[..], &startup].concat()).await?;
        loop {
            let (kind, length) = (from.read_u8().await?, from.read_u32().await?);
            let mut body = vec![0; length as usize - 4];
            from.read_exact(&mut body).await?;
            let body = match kind {
                b'Q' => [self.seen(text(&body)).as_bytes(), b"\0"].concat(),
                b'P' => {
                    let name = text(&body);
                    let statement = text(&body[name.len() + 1..]);
                    let rest = &body[name.len() + statement.len() + 2..];
                    [name.as_bytes(), b"\0", self.seen(statement).as_bytes(), b"\0", rest].concat()
                }
                _ => body,
            };
            let length = u32::try_from(body.len() + 4).expect("a message");
            to.write_all(&[&[kind][..], &length.to_be_bytes(), &body].concat()).await?;
        }
    }

    /// Translates a statement for PostgreSQL. A rejected one becomes a statement that fails.
    fn seen(&mut self, sql: &str) -> String {
        let all = statements(sql);
        let reason = all.iter().find_map(|statement| self.refusal(statement, all.len()));
        if let Some(reason) = reason {
            let refusal = format!("DSQL refuses {reason}: {sql}");
            self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(refusal);
            return format!("select \"DSQL refuses {}\"", reason.replace('"', ""));
        }
        let lower = sql.to_lowercase();
        if let Some(rest) = lower.strip_prefix("aws iam grant ") {
            let (role, _) = rest.split_once(" to ").expect("a role and an ARN");
            let arn = sql.split('\'').nth(1).expect("an ARN in quotes");
            return format!("insert into sys.iam_pg_role_mappings values ('{role}', '{arn}')");
        }
        sql.replace("create index async", "create index")
    }

    fn refusal(&mut self, statement: &Statement, of: usize) -> Option<String> {
        let verb = statement.first().map(String::as_str).unwrap_or_default();
        match verb {
            "begin" | "start" => (self.in_transaction, self.changes) = (true, Vec::new()),
            "commit" | "rollback" => self.in_transaction = false,
            _ => {
                let schema = ["create", "alter", "drop", "grant", "revoke", "aws"].contains(&verb);
                if !self.in_transaction && of > 1 && schema {
                    return Some("several statements with one that changes the schema".to_owned());
                }
                self.changes.push(schema);
                let mixed = self.changes.len() > 1 && self.changes.contains(&true);
                if self.in_transaction && mixed {
                    return Some("a change of the schema beside another statement".to_owned());
                }
            }
        }
        refused(statement).first().map(|phrase| format!("`{phrase}`"))
    }
}

/// The text at the beginning of a message's body.
fn text(body: &[u8]) -> &str {
    let end = body.iter().position(|byte| *byte == 0).expect("the text's end");
    std::str::from_utf8(&body[..end]).expect("a text")
}
