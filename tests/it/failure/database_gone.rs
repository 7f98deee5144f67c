//! A database that is unreachable, frozen, or slow. Requests fail with 503 and succeed once it is available again.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::{Value, json};
use tests::postgres::{Options, Server};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::support::workspace::events_of;
use crate::support::{
    Database, Outcome, Proxy, Service, binaries, database, emulate, in_process, migration_app, race, registration,
    settings, tools,
};

#[tokio::test]
async fn requests_get_503_until_the_database_is_available_again() -> Outcome {
    let mut server = Server::throw_away(tools(), Options::default())?;
    migrate::run(migration_app(&server.url("postgres"))).await.map_err(|error| error.to_string())?;
    let service = Service::new(Database::at(&server.url("postgres")), settings());
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    server.stop();
    expect![[r#"
        503
        retry-after: 1
        {
          "code": "SERVICE_UNAVAILABLE",
          "message": "The service is temporarily unavailable. Retry later.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&ada.get("/api/data/key").await.to_string());
    for response in [
        ada.store("other", json!(1)).await,
        ada.put("/api/data/key", r#"{"value":2}"#).await,
        ada.delete("/api/data/key").await,
        ada.post("/api/token", r#"{"username":"ada","password":"x"}"#).await,
        ada.post("/api/register", &registration("bob").body()).await,
    ] {
        assert_eq!(response.outcome(), "503 SERVICE_UNAVAILABLE");
    }
    server.start()?;
    assert_eq!(ada.get("/api/data/key").await.value_text(), "1", "stored values are unchanged");
    assert_eq!(ada.store("other", json!(1)).await.status, 201);
    Ok(())
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_without_an_error() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let superuser = service.database.connect().await;
    let terminate = async || {
        let connections = "from pg_stat_activity where datname = current_database() and application_name = 'keyhold'";
        superuser
            .execute(&format!("select pg_terminate_backend(pid, 5000) {connections}"), &[])
            .await
            .expect("a superuser may");
        superuser.execute(&format!("select 1 {connections}"), &[]).await.expect("a superuser may");
    };
    for index in 0..5 {
        terminate().await;
        assert_eq!(ada.store(&format!("key-{index}"), json!(1)).await.status, 201);
        terminate().await;
        assert_eq!(ada.get(&format!("/api/data/key-{index}")).await.status, 200);
    }
}

#[tokio::test]
async fn a_read_whose_connection_is_being_closed_is_sent_again() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let superuser = service.database.connect().await;
    let terminate = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'keyhold'";
    for _ in 0..50 {
        // Without a timeout, the call does not wait until the connection is closed.
        superuser.execute(terminate, &[]).await.expect("a superuser may");
        assert_eq!(ada.get("/api/data/key").await.outcome(), "200");
    }
}

/// After a long freeze, the server has dropped the connection, and the socket reports no error.
#[tokio::test]
async fn dead_connections_are_detected_quickly_after_a_freeze() {
    let database = database();
    let proxy = Proxy::to(database.port()).await;
    let service = Service::new(database.through(proxy.port()), settings());
    let ada = service.anonymous().sign_up("ada").await;
    assert_eq!(ada.store("key", json!(1)).await.status, 201);
    for (what, key, pause) in [
        ("a read", None, Duration::from_mins(10)),
        ("a read soon after", None, Duration::from_millis(1100)),
        ("a write", Some("other"), Duration::from_mins(10)),
    ] {
        proxy.cut();
        service.clock.advance(pause);
        let started = Instant::now();
        let response = match key {
            None => ada.get("/api/data/key").await,
            Some(key) => ada.store(key, json!(1)).await,
        };
        assert!(matches!(response.status, 200 | 201), "{what}: {}", response.body);
        assert!(started.elapsed() < Duration::from_secs(3), "{what} took {:?}", started.elapsed());
    }
}

/// A database that was paused takes some 15 s to accept connections.
#[tokio::test]
async fn a_request_waits_for_a_database_that_resumes_as_long_as_its_setting_allows() -> Outcome {
    let database = database();
    let unused = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let proxy = Proxy::to(unused).await;
    let url = database.through(proxy.port()).url_of("register");
    let (_, event) = events_of("register")?.pop().ok_or("no event")?;
    let status = |seconds: &'static str| {
        let (url, event) = (url.clone(), event.to_string());
        spawn_blocking(move || -> Result<i64, String> {
            let env = [("DATABASE_URL", url.as_str()), ("BCRYPT_COST", "10"), ("DATABASE_CONNECT_SECONDS", seconds)];
            let register = emulate(&binaries().path("register"), &env).map_err(|error| error.to_string())?;
            let response = register.invoke(&event).map_err(|error| error.to_string())?;
            let response: Value = serde_json::from_str(&response).map_err(|error| error.to_string())?;
            response["statusCode"].as_i64().ok_or(response.to_string())
        })
    };
    assert_eq!(status("").await??, 503, "by default the first failure is reported");
    let before = proxy.attempts();
    let waiting = status("18");
    // More attempts than one start and one request without repetitions make.
    timeout(Duration::from_secs(30), async {
        while proxy.attempts() < before + 20 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await?;
    proxy.lead_to(database.port());
    assert_eq!(waiting.await??, 201);
    Ok(())
}

/// The functions sign in as the owner of the tables, who has no time limits on the server.
#[tokio::test]
async fn a_write_that_takes_too_long_gets_503_and_is_not_executed_later() {
    let database = database();
    let service = Service::new(Database::at(database.url()), settings());
    let ada = service.anonymous().sign_up("ada").await;
    let superuser = database.connect().await;
    superuser.batch_execute("begin; lock table data_store in access exclusive mode").await.expect("a superuser may");
    let started = Instant::now();
    let outcomes = race(3, |index| {
        let ada = ada.clone();
        async move { ada.store(&format!("key-{index}"), json!(1)).await }
    });
    assert_eq!(outcomes.await, [("503 SERVICE_UNAVAILABLE".to_owned(), 3)].into());
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    const WAITING: &str =
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    assert_eq!(superuser.query(WAITING, &[]).await.expect("a superuser may").len(), 0, "no statement runs on");
    superuser.batch_execute("rollback").await.expect("a superuser may");
    for index in 0..3 {
        assert_eq!(ada.get(&format!("/api/data/key-{index}")).await.outcome(), "404 KEY_NOT_FOUND");
    }
    assert_eq!(ada.store("key-0", json!(1)).await.status, 201);
}

/// Idle environments leave their connections to busy ones.
#[tokio::test]
async fn a_connection_that_the_server_closes_when_idle_is_replaced_without_an_error() {
    let service = in_process();
    let superuser = service.database.connect().await;
    let shorter = "alter role keyhold_writer in database DATABASE set idle_session_timeout = '50ms'";
    let name: String = superuser.query_one("select current_database()::text", &[]).await.expect("a name").get(0);
    superuser.batch_execute(&shorter.replace("DATABASE", &name)).await.expect("a superuser may");
    let ada = service.anonymous().sign_up("ada").await;
    for index in 0..3 {
        assert_eq!(ada.store(&format!("key-{index}"), json!(1)).await.status, 201);
        const OPEN: &str =
            "select from pg_stat_activity where datname = current_database() and usename = 'keyhold_writer'";
        while !superuser.query(OPEN, &[]).await.expect("a superuser may").is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_missing_table_is_a_500_without_details() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    service.database.connect().await.batch_execute("drop table data_store").await.expect("a superuser may");
    let response = ada.get("/api/data/key").await;
    expect![[r#"
        500
        {
          "code": "INTERNAL_SERVER_ERROR",
          "message": "An internal error occurred.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&response.to_string());
    let _still_running: Arc<Service> = service;
}

#[tokio::test]
async fn a_transaction_whose_request_was_cancelled_is_rolled_back() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let mut database = service.database.connect().await;
    let holder = database.transaction().await?;
    holder.execute("select from data_store for update", &[]).await?;
    let batch = tokio::spawn({
        let ada = ada.clone();
        let operations = json!({ "operations": [{ "op": "put", "key": "key", "value": 2 }] }).to_string();
        async move { ada.post("/api/data/batch", &operations).await }
    });
    service.database.until_a_statement_waits().await;
    batch.abort();
    assert!(batch.await.is_err_and(|error| error.is_cancelled()));
    holder.rollback().await?;
    assert_eq!(ada.store("other", json!(3)).await.status, 201);
    let other = service.with_settings(settings());
    let list = other.anonymous().with_token(&ada.token()).get("/api/data?values=true").await.json();
    let values: Vec<_> = list["data"]["items"].as_array().into_iter().flatten().map(|item| &item["value"]).collect();
    assert_eq!(values, [&json!(1), &json!(3)], "the completed writes are stored, and the cancelled one is not");
    Ok(())
}
