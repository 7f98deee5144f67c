//! Tests of `GET /api/sessions`, `DELETE /api/sessions/{id}`, and `DELETE /api/sessions`.

use std::time::Duration;

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Client, Gateway, Outcome, in_process};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

async fn sessions(client: &Client) -> Vec<Value> {
    let response = client.get("/api/sessions").await;
    assert_eq!(response.status, 200, "{}", response.body);
    response.json()["data"]["sessions"].as_array().expect("a list").clone()
}

/// Returns the id of the session that a client is signed in with.
async fn own_id(client: &Client) -> String {
    let sessions = sessions(client).await;
    let own = sessions.iter().find(|session| session["current"] == true).expect("its own session");
    own["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn every_sign_in_is_listed_as_a_session_with_its_user_agent_and_network() {
    let service = in_process();
    let phone =
        service.anonymous().with_header("user-agent", "Phone/1.0").at("2001:db8:1:2:3:4:5:6").sign_up("ada").await;
    service.clock.advance(MINUTE);
    service.anonymous().with_header("user-agent", "Laptop/2.0").sign_in("ada").await;
    service.anonymous().sign_up("bob").await;
    expect![[r#"
        200
        {
          "data": {
            "sessions": [
              {
                "created_at": "2026-01-01T00:01:00.000Z",
                "current": false,
                "expires_at": "2026-01-31T00:01:00.000Z",
                "id": "[UUIDv7]",
                "network": "203.0.113.1",
                "refreshed_at": "2026-01-01T00:01:00.000Z",
                "user_agent": "Laptop/2.0"
              },
              {
                "created_at": "2026-01-01T00:00:00.000Z",
                "current": true,
                "expires_at": "2026-01-31T00:00:00.000Z",
                "id": "[UUIDv7]",
                "network": "2001:db8:1:2::/64",
                "refreshed_at": "2026-01-01T00:00:00.000Z",
                "user_agent": "Phone/1.0"
              }
            ]
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&phone.get("/api/sessions").await.to_string());
}

#[tokio::test]
async fn a_deleted_session_is_rejected_at_its_next_request_and_other_sessions_continue() {
    let service = in_process();
    let phone = service.anonymous().sign_up("ada").await;
    let laptop = service.anonymous().sign_in("ada").await;
    phone.store("key", json!(1)).await;
    let id = own_id(&phone).await;
    for client in [&laptop, &laptop.clone().behind(Gateway::CargoLambda)] {
        let outcome = client.delete(&format!("/api/sessions/{id}")).await.outcome();
        assert!(["200", "404 SESSION_NOT_FOUND"].contains(&outcome.as_str()), "{outcome}");
    }
    for response in [
        phone.get("/api/data/key").await,
        phone.store("other", json!(1)).await,
        phone.put("/api/data/key", r#"{"value":2}"#).await,
        phone.delete("/api/data/key").await,
        phone.get("/api/sessions").await,
    ] {
        assert_eq!(response.outcome(), "401 INVALID_TOKEN");
    }
    assert_eq!(laptop.get("/api/data/key").await.value_text(), "1");
    assert_eq!(laptop.get("/api/data/other").await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(sessions(&laptop).await.len(), 1);
}

#[tokio::test]
async fn a_client_can_delete_its_own_session() {
    let ada = in_process().anonymous().sign_up("ada").await;
    assert_eq!(ada.delete(&format!("/api/sessions/{}", own_id(&ada).await)).await.outcome(), "200");
    assert_eq!(ada.get("/api/sessions").await.outcome(), "401 INVALID_TOKEN");
}

#[tokio::test]
async fn a_session_of_another_user_is_not_found() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let bob = service.anonymous().sign_up("bob").await;
    let id = own_id(&ada).await;
    for id in [id.as_str(), "01900000-0000-7000-8000-000000000000", "x", "%20", "%00", "'", "%ff", "%2Fx"] {
        for client in [bob.clone(), bob.clone().behind(Gateway::CargoLambda)] {
            let response = client.delete(&format!("/api/sessions/{id}")).await;
            assert_eq!(response.outcome(), "404 SESSION_NOT_FOUND", "{id}");
        }
    }
    let compact = id.replace('-', "");
    for form in [format!("%7B{id}%7D"), format!("urn:uuid:{id}"), compact] {
        assert_eq!(ada.delete(&format!("/api/sessions/{form}")).await.outcome(), "404 SESSION_NOT_FOUND", "{form}");
    }
    let invalid_encoding = bob.clone().behind(Gateway::CargoLambda).delete("/api/sessions/%zz").await;
    assert_eq!(invalid_encoding.outcome(), "404 SESSION_NOT_FOUND");
    assert_eq!(ada.get("/api/sessions").await.status, 200);
}

#[tokio::test]
async fn all_sessions_of_a_user_can_be_deleted_with_one_request() {
    let service = in_process();
    let clients = [
        service.anonymous().sign_up("ada").await,
        service.anonymous().sign_in("ada").await,
        service.anonymous().sign_in("ada").await,
    ];
    let bob = service.anonymous().sign_up("bob").await;
    expect![[r#"
        200
        {
          "message": "All sessions ended",
          "status": "success"
        }
    "#]]
    .assert_eq(&clients[1].delete("/api/sessions").await.to_string());
    for client in &clients {
        assert_eq!(client.get("/api/sessions").await.outcome(), "401 INVALID_TOKEN");
    }
    assert_eq!(bob.get("/api/sessions").await.status, 200);
    assert_eq!(sessions(&service.anonymous().sign_in("ada").await).await.len(), 1);
}

#[tokio::test]
async fn an_expired_session_is_rejected_and_not_listed() {
    let service = in_process();
    let old = service.anonymous().sign_up("ada").await;
    service.clock.advance(30 * DAY);
    assert_eq!(old.get("/api/sessions").await.outcome(), "401 INVALID_TOKEN");
    let new = service.anonymous().sign_in("ada").await;
    assert_eq!(sessions(&new).await.len(), 1);
}

#[tokio::test]
async fn session_1001_ends_the_least_recently_refreshed_session() -> Outcome {
    let service = in_process();
    let first = service.anonymous().sign_up("ada").await;
    service.clock.advance(MINUTE);
    let second = service.anonymous().sign_in("ada").await;
    let insert_sessions =
        "insert into sessions (user_id, id, created_at, refreshed_at, expires_at, family_digest, current_digest)
        select user_id, gen_random_uuid(), created_at + interval '1 hour', refreshed_at + interval '1 hour', expires_at,
            family_digest, current_digest
        from (select * from sessions limit 1) any_session, generate_series(1, 998)";
    service.database.connect().await.execute(insert_sessions, &[]).await?;
    assert_eq!(sessions(&first).await.len(), 1000);
    service.clock.advance(MINUTE);
    let newest = service.anonymous().sign_in("ada").await;
    assert_eq!(first.get("/api/sessions").await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(second.get("/api/sessions").await.status, 200);
    assert_eq!(sessions(&newest).await.len(), 1000);
    Ok(())
}

#[tokio::test]
async fn a_sign_in_ends_expired_sessions_first_and_ten_surplus_sessions_at_most() -> Outcome {
    let service = in_process();
    let first = service.anonymous().sign_up("ada").await;
    let database = service.database.connect().await;
    // As many concurrent sign-ins could leave them. One has expired although it was refreshed last.
    let insert_sessions =
        "insert into sessions (user_id, id, created_at, refreshed_at, expires_at, family_digest, current_digest)
        select user_id, gen_random_uuid(), created_at, refreshed_at + number * interval '1 second',
            case number when 1014 then created_at else expires_at end, family_digest, current_digest
        from sessions, generate_series(1, 1014) as number";
    database.execute(insert_sessions, &[]).await?;
    let count = || async {
        let row =
            database.query_one("select count(*), count(*) filter (where expires_at = created_at) from sessions", &[]);
        row.await.map(|row| (row.get::<_, i64>(0), row.get::<_, i64>(1)))
    };
    assert_eq!(count().await?, (1015, 1));
    service.anonymous().sign_in("ada").await;
    assert_eq!(count().await?, (1006, 0));
    assert_eq!(first.get("/api/sessions").await.outcome(), "401 INVALID_TOKEN");
    service.anonymous().sign_in("ada").await;
    assert_eq!(count().await?, (1000, 0));
    Ok(())
}
