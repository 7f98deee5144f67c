//! Tests of `POST /api/account/email` and `POST /api/account/email/confirm` of a service with mail.

use expect_test::expect;
use serde_json::json;
use shared::mail::Content;

use crate::support::{Client, Mailbox, Response, Service, database, password, race, registration};

async fn request(client: &Client, email: &str) -> Response {
    client.post("/api/account/email", &json!({ "email": email, "password": password() }).to_string()).await
}

async fn confirm(client: &Client, handle: &str, code: &str) -> Response {
    client.post("/api/account/email/confirm", &json!({ "handle": handle, "code": code }).to_string()).await
}

#[tokio::test]
async fn the_code_from_the_new_mailbox_changes_the_address() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let requested = request(&ada, "Countess@Example.com").await;
    expect![[r#"
        202
        {
          "data": {
            "handle": "[UUID]"
          },
          "message": "A code is on its way to the new email address.",
          "status": "success"
        }
    "#]]
    .assert_eq(&requested.to_string());
    let messages = mailbox.take();
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(message.to, "Countess@Example.com");
    assert_eq!(ada.get("/api/account").await.text("email"), "ada@example.com", "nothing has changed yet");

    let code = message.content.code().expect("a code");
    let changed = confirm(&ada, &requested.handle(), code.as_str()).await;
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
    assert_eq!(ada.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
    let ada = service.anonymous().with_token(&changed.text("access_token"));
    let account = ada.get("/api/account").await.json();
    assert_eq!(account["data"]["email"], "Countess@Example.com");
    assert_eq!(account["data"]["email_verified"], true);
    assert_eq!(service.anonymous().refresh(&changed.text("refresh_token")).await.status, 200);
    let announced = mailbox.take();
    let [announced] = announced.as_slice() else { panic!("{announced:?}") };
    assert_eq!(announced.to, "ada@example.com", "the announcement goes to the address before");
    assert!(matches!(announced.content, Content::EmailChanged { .. }));
}

#[tokio::test]
async fn only_the_user_who_asked_can_confirm() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let bob = service.anonymous().sign_up("bob").await;
    let handle = request(&ada, "new@example.com").await.handle();
    let code = mailbox.code();
    for _ in 0..7 {
        assert_eq!(confirm(&bob, &handle, &code).await.outcome(), "401 INVALID_CODE");
    }
    assert_eq!(confirm(&service.anonymous(), &handle, &code).await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(confirm(&ada, &handle, &code).await.outcome(), "200", "the tries of others do not count");
}

#[tokio::test]
async fn an_address_that_is_taken_is_rejected_at_both_steps() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    service.anonymous().sign_up("bob").await;
    assert_eq!(request(&ada, "BOB@example.com").await.outcome(), "409 EMAIL_EXISTS");
    assert_eq!(request(&ada, "ada@example.com").await.outcome(), "400 INVALID_REQUEST");
    assert_eq!(mailbox.entries(), 0);
    let other_case = request(&ada, "ADA@example.com").await;
    assert_eq!(other_case.status, 202, "the owner may write the address in another way");
    mailbox.take();
    let handle = request(&ada, "eve@example.com").await.handle();
    let code = mailbox.code();
    assert_eq!(service.anonymous().post("/api/register", &registration("eve").body()).await.status, 201);
    assert_eq!(confirm(&ada, &handle, &code).await.outcome(), "409 EMAIL_EXISTS");
    assert_eq!(ada.get("/api/account").await.text("email"), "ada@example.com", "the session continues");
    assert_eq!(mailbox.entries(), 0, "no announcement");
}

#[tokio::test]
async fn of_concurrent_confirmations_one_wins_and_its_tokens_work() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let mut codes = Vec::new();
    for index in 0..3 {
        let handle = request(&ada, &format!("address-{index}@example.com")).await.handle();
        codes.push((handle, mailbox.code()));
    }
    let outcomes = race(6, |index| {
        let (ada, (handle, code)) = (ada.clone(), codes[index % 3].clone());
        async move { confirm(&ada, &handle, &code).await }
    })
    .await;
    assert_eq!(outcomes["200"], 1, "{outcomes:?}");
    let expected = ["200", "401 INVALID_TOKEN", "401 INVALID_CODE"];
    assert!(outcomes.keys().all(|outcome| expected.contains(&outcome.as_str())), "{outcomes:?}");
}
