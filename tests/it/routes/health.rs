//! Tests of `GET /api/health` and `GET /api/health/ready`.

use expect_test::expect;

use crate::support::{Database, Service, in_process, settings};

#[tokio::test]
async fn health_returns_the_version_and_the_commit() {
    let health = in_process().anonymous().get("/api/health").await;
    let data = health.json()["data"].clone();
    assert_eq!((health.status, data["version"].as_str()), (200, Some(env!("CARGO_PKG_VERSION"))));
    let commit = data["commit"].as_str().expect("a commit");
    assert!(commit == "unknown" || commit.len() == 12 && commit.chars().all(|digit| digit.is_ascii_hexdigit()));
}

#[tokio::test]
async fn the_service_is_ready_while_the_database_is_available() {
    expect![[r#"
        200
        {
          "message": "Ready",
          "status": "success"
        }
    "#]]
    .assert_eq(&in_process().anonymous().get("/api/health/ready").await.to_string());
}

#[tokio::test]
async fn without_a_database_the_service_is_healthy_and_not_ready() {
    let unreachable = Database::at("postgres://user:x@127.0.0.1:1/none");
    let anonymous = Service::new(unreachable, settings()).anonymous();
    assert_eq!(anonymous.get("/api/health").await.status, 200);
    let ready = anonymous.get("/api/health/ready").await;
    assert_eq!((ready.outcome().as_str(), ready.header("retry-after")), ("503 SERVICE_UNAVAILABLE", Some("1")));
}
