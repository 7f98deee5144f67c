//! Failover to a replica: two servers with streaming replication behind one address. As soon as the address leads to the new
//! writer, every request gets the right response, although functions have connections to the old one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::postgres::{Options, Server};
use tokio_postgres::{Client as Superuser, NoTls};

use crate::support::{Client, Database, Outcome, Proxy, Response, Service, migration_app, password, settings, tools};

/// Time after which responses are right, since the address leads to the new writer.
const BOUND: Duration = Duration::from_secs(2);

/// A primary server and its replica behind one address, a service with open connections to the primary, and a user.
struct Pair {
    old: Server,
    new: Server,
    address: Proxy,
    service: Arc<Service>,
    /// A device whose session is ended during the failover.
    stolen: Client,
    /// The device of the user.
    ada: Client,
}

impl Pair {
    async fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let mut old = Server::throw_away(tools(), Options::default())?;
        migrate::run(migration_app(&old.url("postgres"))).await.map_err(|error| error.to_string())?;
        let new = old.replicate()?;
        let address = Proxy::to(old.port()).await;
        let service = Service::new(Database::at(&old.url("postgres")).through(address.port()), settings());
        let stolen = service.anonymous().sign_up("ada").await;
        service.clock.advance(Duration::from_secs(1));
        let ada = service.anonymous().sign_in("ada").await;
        assert_eq!(ada.store("key", json!("old")).await.status, 201);
        // Functions of every role have a connection to the old writer.
        for path in ["/api/data/key", "/api/data", "/api/account", "/api/sessions"] {
            assert_eq!(ada.get(path).await.status, 200, "{path}");
            assert_eq!(stolen.get(path).await.status, 200, "{path}");
        }
        Ok(Self { old, new, address, service, stolen, ada })
    }

    async fn on(server: &Server) -> Superuser {
        let (client, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls).await.expect("the server");
        tokio::spawn(connection);
        client
    }

    /// Waits until the replica has all rows of the primary.
    async fn catch_up(&self) {
        let primary = Self::on(&self.old).await;
        // The server writes a commit some time after its response, but a synchronous one writes all commits before it.
        let synchronous = "set synchronous_commit = on; select pg_logical_emit_message(true, 'catch up', '')";
        primary.batch_execute(synchronous).await.expect("a commit");
        let written = primary.query_one("select pg_current_wal_lsn()::text", &[]).await;
        let written: String = written.expect("a position").get(0);
        let replica = Self::on(&self.new).await;
        let reached = format!("select coalesce(pg_last_wal_replay_lsn() >= '{written}'::pg_lsn, false)");
        while !replica.query_one(&reached, &[]).await.expect("a position").get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    }

    /// Makes the replica the writer, and changes there what the old server does not know.
    async fn promote(&self) {
        let superuser = Self::on(&self.new).await;
        superuser.execute("select pg_promote(true, 30)", &[]).await.expect("a promotion");
        let ended = "delete from sessions where id = (select id from sessions order by created_at limit 1)";
        superuser.batch_execute(ended).await.expect("an ended session");
        superuser.batch_execute(r#"update data_store set value = '"new"'"#).await.expect("a newer value");
    }

    /// Requires that no response comes from the old server while the address leads to it.
    async fn expect_unavailable(&self) {
        for path in ["/api/data/key", "/api/data", "/api/account", "/api/sessions"] {
            assert_eq!(self.ada.get(path).await.outcome(), "503 SERVICE_UNAVAILABLE", "{path}");
        }
        assert_eq!(self.stolen.get("/api/data/key").await.outcome(), "503 SERVICE_UNAVAILABLE");
        assert_eq!(self.ada.store("other", json!(1)).await.outcome(), "503 SERVICE_UNAVAILABLE");
    }

    /// Requires right responses within the bound: the rows of the new writer, and no session that was ended there.
    async fn expect_recovery(&self) {
        let since = Instant::now();
        eventually(since, "200", async || self.ada.get("/api/data/key").await).await;
        assert_eq!(self.ada.get("/api/data/key").await.value_text(), r#""new""#);
        for path in ["/api/data/key", "/api/data", "/api/account", "/api/sessions"] {
            eventually(since, "401 INVALID_TOKEN", async || self.stolen.get(path).await).await;
            eventually(since, "200", async || self.ada.get(path).await).await;
        }
        eventually(since, "201", async || self.ada.store("other", json!(1)).await).await;
        eventually(since, "200", async || self.service.anonymous().token_for("ada", password()).await).await;
    }
}

/// Repeats a request that gets 503 until its outcome is the expected one.
async fn eventually(since: Instant, expected: &str, request: impl AsyncFn() -> Response) {
    loop {
        let response = request().await;
        if response.outcome() == expected {
            break;
        }
        assert_eq!(response.outcome(), "503 SERVICE_UNAVAILABLE", "instead of {expected}");
        assert!(since.elapsed() < BOUND, "still unavailable after {:?}", since.elapsed());
    }
}

#[tokio::test]
async fn after_the_old_writer_was_killed() -> Outcome {
    let mut pair = Pair::start().await?;
    pair.catch_up().await;
    pair.old.stop();
    pair.expect_unavailable().await;
    pair.promote().await;
    pair.address.lead_to(pair.new.port());
    pair.expect_recovery().await;
    Ok(())
}

/// The functions keep their connections to the old server, which still answers reads.
#[tokio::test]
async fn after_the_old_writer_was_left_read_only() -> Outcome {
    let pair = Pair::start().await?;
    pair.catch_up().await;
    let superuser = Pair::on(&pair.old).await;
    superuser.batch_execute("alter system set default_transaction_read_only = on").await?;
    superuser.batch_execute("select pg_reload_conf()").await?;
    // The configuration is loaded in the background.
    while Pair::on(&pair.old).await.query_one("show default_transaction_read_only", &[]).await?.get::<_, &str>(0)
        != "on"
    {
        tokio::task::yield_now().await;
    }
    pair.promote().await;
    pair.address.lead_to(pair.new.port());
    pair.expect_recovery().await;
    Ok(())
}

/// The name still leads to the old server, which has become a replica of the new writer and lags behind it.
#[tokio::test]
async fn after_the_old_writer_became_a_replica_with_the_name() -> Outcome {
    let mut pair = Pair::start().await?;
    pair.catch_up().await;
    pair.old.stop();
    pair.promote().await;
    pair.old.follow(&pair.new)?;
    pair.expect_unavailable().await;
    pair.address.lead_to(pair.new.port());
    pair.expect_recovery().await;
    Ok(())
}

/// The name leads to the new server before it has become the writer.
#[tokio::test]
async fn before_the_new_writer_accepts_writes() -> Outcome {
    let mut pair = Pair::start().await?;
    pair.catch_up().await;
    pair.address.lead_to(pair.new.port());
    pair.old.stop();
    pair.expect_unavailable().await;
    pair.promote().await;
    pair.expect_recovery().await;
    Ok(())
}
