//! Tests of `POST /api/token/revoke`.

use expect_test::expect;
use serde_json::json;

use crate::support::{RefreshTokenParts, in_process, password, registration};

fn body(token: &str) -> String {
    json!({ "refresh_token": token }).to_string()
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_session_at_the_next_request() {
    let service = in_process();
    let client = service.anonymous();
    client.post("/api/register", &registration("ada").body()).await;
    let (phone, laptop) = (client.token_for("ada", password()).await, client.token_for("ada", password()).await);
    let revoked = client.post("/api/token/revoke", &body(&phone.text("refresh_token"))).await;
    expect![[r#"
        200
        {
          "message": "Token revoked",
          "status": "success"
        }
    "#]]
    .assert_eq(&revoked.to_string());
    let with = |token: &str| client.clone().with_token(token);
    assert_eq!(with(&phone.text("access_token")).get("/api/account").await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(client.refresh(&phone.text("refresh_token")).await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(with(&laptop.text("access_token")).get("/api/account").await.outcome(), "200");
}

#[tokio::test]
async fn revoking_a_used_refresh_token_ends_its_session() {
    let client = in_process().anonymous();
    client.post("/api/register", &registration("ada").body()).await;
    let first = client.token_for("ada", password()).await.text("refresh_token");
    let second = client.refresh(&first).await.text("refresh_token");
    assert_eq!(client.post("/api/token/revoke", &body(&first)).await.status, 200);
    assert_eq!(client.refresh(&second).await.outcome(), "401 INVALID_TOKEN");
}

#[tokio::test]
async fn revoking_an_unknown_token_succeeds_like_any_revocation() {
    let client = in_process().anonymous();
    for token in ["", "x", &"A".repeat(43), &"A".repeat(128)] {
        assert_eq!(client.post("/api/token/revoke", &body(token)).await.status, 200, "{token:?}");
    }
    assert_eq!(client.post("/api/token/revoke", "{}").await.outcome(), "400 INVALID_REQUEST");
}

#[tokio::test]
async fn a_made_up_token_does_not_end_the_session_that_it_names() {
    let client = in_process().anonymous();
    client.post("/api/register", &registration("ada").body()).await;
    let (mine, other) = (client.token_for("ada", password()).await, client.token_for("ada", password()).await);
    let (mine, other) = (mine.text("refresh_token"), other.text("refresh_token"));
    let crossed = RefreshTokenParts::from(&mine).with_secrets_of(&RefreshTokenParts::from(&other)).text();
    assert_eq!(client.post("/api/token/revoke", &body(&crossed)).await.status, 200);
    for token in [mine, other] {
        assert_eq!(client.refresh(&token).await.outcome(), "200");
    }
}
