//! Tests of `POST /api/account/email`.

use expect_test::expect;
use serde_json::json;

use crate::support::{Client, Response, in_process, password, race, registration};

async fn change(client: &Client, email: &str) -> Response {
    change_with(client, email, password()).await
}

async fn change_with(client: &Client, email: &str, password: &str) -> Response {
    client.post("/api/account/email", &json!({ "email": email, "password": password }).to_string()).await
}

#[tokio::test]
async fn a_change_ends_all_sessions_and_returns_the_tokens_of_a_new_one() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let other = service.anonymous().sign_in("ada").await;
    let changed = change(&ada, "Countess@Example.com").await;
    expect![[r#"
        200
        {
          "data": {
            "access_token": "[JWT]",
            "expires_in": 3600,
            "refresh_expires_in": 2592000,
            "refresh_token": "[refresh token]",
            "token_type": "Bearer"
          },
          "message": "Email address changed. All sessions have ended, and a new one has started.",
          "status": "success"
        }
    "#]]
    .assert_eq(&changed.to_string());
    for ended in [&ada, &other] {
        assert_eq!(ended.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
    }
    let ada = service.anonymous().with_token(&changed.text("access_token"));
    assert_eq!(ada.get("/api/account").await.text("email"), "Countess@Example.com");
    assert_eq!(service.anonymous().refresh(&changed.text("refresh_token")).await.status, 200);
    assert_eq!(service.anonymous().token_for("countess@example.com", password()).await.status, 200);
    assert_eq!(service.anonymous().token_for("ada@example.com", password()).await.outcome(), "401 INVALID_CREDENTIALS");
    let next = registration("bob").with("email", "ada@example.com").body();
    assert_eq!(service.anonymous().post("/api/register", &next).await.status, 201, "the old address is free");
}

#[tokio::test]
async fn a_request_without_the_password_or_with_a_useless_address_changes_nothing() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    service.anonymous().sign_up("bob").await;
    let before = ada.get("/api/account").await.body;
    for (body, expected) in [
        (json!({}), "400 INVALID_REQUEST"),
        (json!({ "email": "new@example.com" }), "400 INVALID_REQUEST"),
        (json!({ "password": password() }), "400 INVALID_REQUEST"),
        (json!({ "email": "ada", "password": password() }), "400 INVALID_REQUEST"),
        (json!({ "email": 1, "password": password() }), "400 INVALID_REQUEST"),
        (json!({ "email": "ada@example.com", "password": password() }), "400 INVALID_REQUEST"),
        (json!({ "email": "BOB@example.com", "password": password() }), "409 EMAIL_EXISTS"),
        (json!({ "email": "new@example.com", "password": "a wrong guess" }), "403 INVALID_CREDENTIALS"),
    ] {
        assert_eq!(ada.post("/api/account/email", &body.to_string()).await.outcome(), expected, "{body}");
    }
    assert_eq!(ada.get("/api/account").await.body, before, "the session continues");
    assert_eq!(change(&service.anonymous(), "new@example.com").await.outcome(), "401 INVALID_TOKEN");
    let other_case = change(&ada, "ADA@example.com").await;
    assert_eq!(other_case.status, 200, "the owner may write the address in another way");
}

#[tokio::test]
async fn wrong_passwords_throttle_the_session() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    for _ in 0..5 {
        let response = change_with(&ada, "new@example.com", "a wrong guess").await;
        assert_eq!(response.outcome(), "403 INVALID_CREDENTIALS");
    }
    assert_eq!(change(&ada, "new@example.com").await.outcome(), "429 TOO_MANY_ATTEMPTS");
    assert_eq!(ada.get("/api/account").await.text("email"), "ada@example.com");
}

#[tokio::test]
async fn one_of_several_concurrent_changes_to_the_same_email_address_succeeds() {
    let service = in_process();
    let mut clients = Vec::new();
    for index in 0..6 {
        clients.push(service.anonymous().sign_up(&format!("user-{index}")).await);
    }
    let outcomes = race(6, |index| {
        let client = clients[index].clone();
        async move { change(&client, "one@example.com").await }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 1), ("409 EMAIL_EXISTS".to_owned(), 5)].into());
}

/// One of two changes at once ends the session of the other, or both have the password and follow each other.
#[tokio::test]
async fn of_concurrent_changes_of_a_user_one_wins_and_its_tokens_work() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let outcomes = race(6, |index| {
        let ada = ada.clone();
        async move { change(&ada, &format!("address-{index}@example.com")).await }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 1), ("401 INVALID_TOKEN".to_owned(), 5)].into());
}
