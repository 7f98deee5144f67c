//! Tests of `POST /api/token/refresh`: rotation, the retry window, reuse detection, and expiry.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::expect;
use serde_json::json;

use crate::support::{Client, Forged, Response, Service, in_process, password, race, registration};

const GRACE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_hours(24);

/// An access token and the refresh token that was issued with it.
struct Tokens {
    access: String,
    refresh: String,
}

impl From<Response> for Tokens {
    fn from(response: Response) -> Self {
        assert_eq!(response.status, 200, "{}", response.body);
        Self { access: response.text("access_token"), refresh: response.text("refresh_token") }
    }
}

async fn sign_up(service: &Arc<Service>) -> (Client, Tokens) {
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    let tokens = anonymous.token_for("ada", password()).await.into();
    (anonymous, tokens)
}

async fn refresh(client: &Client, token: &str) -> Tokens {
    client.refresh(token).await.into()
}

async fn is_accepted(client: &Client, access_token: &str) -> bool {
    let response = client.clone().with_token(access_token).get("/api/account").await;
    assert!(["200", "401 INVALID_TOKEN"].contains(&response.outcome().as_str()), "{}", response.body);
    response.status == 200
}

#[tokio::test]
async fn a_refresh_returns_new_tokens_for_the_same_session() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let response = client.refresh(&first.refresh).await;
    expect![[r#"
        200
        {
          "data": {
            "access_token": "[JWT]",
            "expires_in": 3600,
            "refresh_expires_in": 2592000,
            "refresh_token": "[256 bits]",
            "token_type": "Bearer"
          },
          "message": "Tokens refreshed",
          "status": "success"
        }
    "#]]
    .assert_eq(&response.to_string());
    let second = Tokens::from(response);
    assert_ne!(second.refresh, first.refresh);
    let session = |token: &str| Forged::from(token).claims()["sid"].clone();
    assert_eq!(session(&second.access), session(&first.access));
    assert!(is_accepted(&client, &first.access).await && is_accepted(&client, &second.access).await);
}

#[tokio::test]
async fn a_refresh_repeated_within_the_retry_window_returns_the_same_refresh_token() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(GRACE.saturating_sub(Duration::from_millis(1)));
    let again = refresh(&client, &first.refresh).await;
    assert_eq!(again.refresh, second.refresh, "a repeated refresh must not issue another refresh token");
    assert!(is_accepted(&client, &again.access).await);
    refresh(&client, &second.refresh).await;
}

#[tokio::test]
async fn an_older_token_used_within_the_retry_window_returns_the_newest_refresh_token() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let second = refresh(&client, &first.refresh).await;
    let third = refresh(&client, &second.refresh).await;
    let again = refresh(&client, &first.refresh).await;
    assert_eq!(again.refresh, third.refresh);
    service.clock.advance(DAY);
    refresh(&client, &again.refresh).await;
}

#[tokio::test]
async fn reuse_of_a_refresh_token_after_the_retry_window_ends_its_session() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let other = Tokens::from(client.token_for("ada", password()).await);
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(GRACE);
    let reused = client.refresh(&first.refresh).await;
    expect![[r#"
        401
        www-authenticate: Bearer error="invalid_token"
        {
          "code": "INVALID_TOKEN",
          "message": "The refresh token is invalid, expired, or revoked. Sign in again.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&reused.to_string());
    assert!(!is_accepted(&client, &first.access).await && !is_accepted(&client, &second.access).await);
    assert_eq!(
        client.refresh(&second.refresh).await.outcome(),
        "401 INVALID_TOKEN",
        "the newest refresh token of the session must be revoked too"
    );
    assert!(is_accepted(&client, &other.access).await, "other sessions of the user must continue");
}

#[tokio::test]
async fn concurrent_refreshes_return_the_same_refresh_token() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let outcomes = race(12, |_| {
        let (client, token, seen) = (client.clone(), first.refresh.clone(), Arc::clone(&seen));
        async move {
            let response = client.refresh(&token).await;
            seen.lock().expect("a lock that is not poisoned").insert(response.text("refresh_token"));
            response
        }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 12)].into());
    let seen = seen.lock().expect("a lock that is not poisoned").clone();
    assert_eq!(seen.len(), 1, "{seen:?}");
    service.clock.advance(DAY);
    for token in seen {
        refresh(&client, &token).await;
    }
}

#[tokio::test]
async fn a_refresh_concurrent_with_the_end_of_its_session_does_not_prolong_the_session() {
    let service = in_process();
    let (client, _) = sign_up(&service).await;
    for _ in 0..5 {
        let tokens = Tokens::from(client.token_for("ada", password()).await);
        let outcomes = race(6, |index| {
            let (client, tokens) = (client.clone(), (tokens.access.clone(), tokens.refresh.clone()));
            async move {
                match index {
                    0 => client.with_token(&tokens.0).delete("/api/sessions").await,
                    1 => client.post("/api/token/revoke", &json!({ "refresh_token": tokens.1 }).to_string()).await,
                    _ => client.refresh(&tokens.1).await,
                }
            }
        })
        .await;
        assert!(
            outcomes.keys().all(|outcome| ["200", "401 INVALID_TOKEN"].contains(&outcome.as_str())),
            "{outcomes:?}"
        );
        assert!(!is_accepted(&client, &tokens.access).await);
        assert_eq!(client.refresh(&tokens.refresh).await.outcome(), "401 INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_session_expires_thirty_days_after_its_last_refresh() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    service.clock.advance(29 * DAY);
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(29 * DAY);
    let third = refresh(&client, &second.refresh).await;
    service.clock.advance(30 * DAY);
    assert_eq!(client.refresh(&third.refresh).await.outcome(), "401 INVALID_TOKEN");
}

#[tokio::test]
async fn a_used_refresh_token_is_stored_until_it_would_have_expired() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let database = service.database.connect().await;
    let mut newest = refresh(&client, &first.refresh).await;
    let second = newest.refresh.clone();
    for _ in 0..4 {
        service.clock.advance(20 * DAY);
        newest = refresh(&client, &newest.refresh).await;
    }
    let row = database.query_one("select count(*) from refresh_tokens", &[]).await.expect("the tokens");
    assert_eq!(row.get::<_, i64>(0), 2, "only the tokens that were issued in the last thirty days must be stored");
    assert_eq!(client.refresh(&first.refresh).await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(client.refresh(&second).await.outcome(), "401 INVALID_TOKEN");
    assert!(
        is_accepted(&client, &newest.access).await,
        "a refresh token that is no longer stored must not end the session"
    );
}

#[tokio::test]
async fn an_invalid_refresh_token_is_rejected() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    for token in ["", "x", &first.access, &first.refresh[1..], &"A".repeat(43), "a\0b"] {
        assert_eq!(client.refresh(token).await.outcome(), "401 INVALID_TOKEN", "{token:?}");
    }
    for body in ["{}", r#"{"refresh_token":null}"#, r#"{"refresh_token":1}"#, "[]", ""] {
        assert_eq!(client.post("/api/token/refresh", body).await.outcome(), "400 INVALID_REQUEST", "{body}");
    }
    refresh(&client, &first.refresh).await;
}
