//! Tests of `POST /api/email-verification` and `POST /api/email-verification/confirm`.

use std::time::Duration;

use expect_test::expect;
use serde_json::json;
use shared::settings::{Limits, Settings};

use crate::support::{Client, Mailbox, Response, Service, database, in_process, password, race};

async fn request(client: &Client) -> Response {
    client.post("/api/email-verification", "").await
}

async fn confirm(client: &Client, handle: &str, code: &str) -> Response {
    client.post("/api/email-verification/confirm", &json!({ "handle": handle, "code": code }).to_string()).await
}

/// A code that differs from `code`.
fn other(code: &str) -> String {
    let digit = if code.starts_with('0') { '1' } else { '0' };
    format!("{digit}{}", &code[1..])
}

#[tokio::test]
async fn a_user_verifies_the_address_with_the_mailed_code() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let requested = request(&ada).await;
    expect![[r#"
        202
        {
          "data": {
            "handle": "[UUID]"
          },
          "message": "A code is on its way to your email address.",
          "status": "success"
        }
    "#]]
    .assert_eq(&requested.to_string());
    let messages = mailbox.take();
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((message.to.as_str(), message.username.as_str()), ("ada@example.com", "ada"));
    let code = message.content.code().expect("a code").as_str().to_owned();

    assert_eq!(ada.get("/api/account").await.json()["data"]["email_verified"], false);
    let confirmed = confirm(&service.anonymous(), &requested.handle(), &format!("{} {}", &code[..4], &code[4..])).await;
    expect![[r#"
        200
        {
          "message": "Email address verified",
          "status": "success"
        }
    "#]]
    .assert_eq(&confirmed.to_string());
    assert_eq!(ada.get("/api/account").await.json()["data"]["email_verified"], true);
    assert_eq!(confirm(&ada, &requested.handle(), &code).await.outcome(), "401 INVALID_CODE", "used");
}

#[tokio::test]
async fn a_code_is_bound_to_its_handle_and_its_purpose_and_expires() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let bob = service.anonymous().sign_up("bob").await;
    let of_ada = request(&ada).await.handle();
    let code_of_ada = mailbox.code();
    let of_bob = request(&bob).await.handle();
    let code_of_bob = mailbox.code();
    assert_eq!(confirm(&bob, &of_bob, &code_of_ada).await.outcome(), "401 INVALID_CODE", "the code of another account");
    assert_eq!(confirm(&bob, &of_ada, &code_of_bob).await.outcome(), "401 INVALID_CODE");
    let reset = json!({ "handle": of_ada, "code": code_of_ada, "new_password": "another password" }).to_string();
    let reset = ada.post("/api/password-reset/confirm", &reset).await;
    assert_eq!(reset.outcome(), "401 INVALID_CODE", "a code for another purpose");
    let unknown = "9b2d6a0e-7a57-4f0e-9d67-3a1f5e0c8b21";
    assert_eq!(confirm(&ada, unknown, &code_of_ada).await.outcome(), "401 INVALID_CODE");
    service.clock.advance(Duration::from_mins(15));
    assert_eq!(confirm(&ada, &of_ada, &code_of_ada).await.outcome(), "401 INVALID_CODE", "expired");
    assert_eq!(ada.get("/api/account").await.json()["data"]["email_verified"], false);
}

#[tokio::test]
async fn the_sixth_try_fails_even_with_the_right_code() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let (first, code) = (request(&ada).await.handle(), mailbox.code());
    for _ in 0..4 {
        assert_eq!(confirm(&ada, &first, &other(&code)).await.outcome(), "401 INVALID_CODE");
    }
    let (second, second_code) = (request(&ada).await.handle(), mailbox.code());
    for _ in 0..5 {
        assert_eq!(confirm(&ada, &second, &other(&second_code)).await.outcome(), "401 INVALID_CODE");
    }
    assert_eq!(confirm(&ada, &second, &second_code).await.outcome(), "401 INVALID_CODE");
    assert_eq!(confirm(&ada, &first, &code).await.outcome(), "200", "another request has its own tries");
}

#[tokio::test]
async fn concurrent_tries_are_counted_one_by_one() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let (handle, code) = (request(&ada).await.handle(), mailbox.code());
    let outcomes = race(12, |_| {
        let (ada, handle, code) = (ada.clone(), handle.clone(), other(&code));
        async move { confirm(&ada, &handle, &code).await }
    })
    .await;
    assert_eq!(outcomes, [("401 INVALID_CODE".to_owned(), 12)].into());
    assert_eq!(confirm(&ada, &handle, &code).await.outcome(), "401 INVALID_CODE");
}

#[tokio::test]
async fn one_of_several_concurrent_confirmations_succeeds() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let (handle, code) = (request(&ada).await.handle(), mailbox.code());
    let outcomes = race(8, |_| {
        let (ada, handle, code) = (ada.clone(), handle.clone(), code.clone());
        async move { confirm(&ada, &handle, &code).await }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 1), ("401 INVALID_CODE".to_owned(), 7)].into());
}

#[tokio::test]
async fn a_code_for_an_address_that_was_changed_meanwhile_verifies_nothing() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let (verification, code) = (request(&ada).await.handle(), mailbox.code());
    // The same database without mail, where an address is changed at once.
    let without_mail = service.with_settings(crate::support::settings());
    let change = json!({ "email": "new@example.com", "password": password() }).to_string();
    let changed = without_mail.anonymous().with_token(&ada.token()).post("/api/account/email", &change).await;
    assert_eq!(changed.outcome(), "200");
    assert_eq!(confirm(&ada, &verification, &code).await.outcome(), "401 INVALID_CODE");
    let ada = service.anonymous().with_token(&changed.text("access_token"));
    assert_eq!(ada.get("/api/account").await.json()["data"]["email_verified"], false);
}

#[tokio::test]
async fn malformed_members_are_named() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    for (body, fields) in [
        (json!({}), vec!["handle", "code"]),
        (json!({ "handle": "1", "code": "12345678" }), vec!["handle"]),
        (json!({ "handle": "9b2d6a0e-7a57-4f0e-9d67-3a1f5e0c8b21", "code": "1234567" }), vec!["code"]),
        (json!({ "handle": 1, "code": 12_345_678 }), vec!["handle", "code"]),
    ] {
        let response = service.anonymous().post("/api/email-verification/confirm", &body.to_string()).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{body}");
        let errors = response.json()["errors"].as_array().cloned().unwrap_or_default();
        let named: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap_or_default()).collect();
        assert_eq!(named, fields, "{body}");
    }
}

#[tokio::test]
async fn without_mail_the_routes_say_so() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let body = json!({ "handle": "9b2d6a0e-7a57-4f0e-9d67-3a1f5e0c8b21", "code": "12345678" }).to_string();
    for response in [
        request(&ada).await,
        ada.post("/api/email-verification/confirm", &body).await,
        ada.post("/api/password-reset", r#"{"email":"ada@example.com"}"#).await,
        ada.post("/api/account/email/confirm", &body).await,
    ] {
        assert_eq!(response.outcome(), "403 MAIL_NOT_CONFIGURED");
    }
}

#[tokio::test]
async fn requests_of_a_user_and_of_a_network_are_limited() {
    let mailbox = Mailbox::default();
    let limits = Limits { mails: 5, mails_for_account: 3, ..mailbox.settings().limits };
    let service = Service::new(database(), Settings { limits, ..mailbox.settings() });
    let ada = service.anonymous().sign_up("ada").await;
    let first = request(&ada).await.handle();
    let code = mailbox.code();
    for _ in 0..2 {
        assert_eq!(request(&ada).await.status, 202);
    }
    let limited = request(&ada).await;
    assert_eq!(limited.outcome(), "429 TOO_MANY_ATTEMPTS");
    assert_eq!(limited.header("retry-after"), Some("28800"), "a third of a day");
    let bob = service.anonymous().sign_up("bob").await;
    assert_eq!(request(&bob).await.status, 202);
    let limited = request(&bob).await;
    assert_eq!(
        limited.outcome(),
        "429 TOO_MANY_ATTEMPTS",
        "the rejected request of the account counts for the network"
    );
    assert_eq!(limited.header("retry-after"), Some("720"), "a fifth of an hour");
    assert_eq!(request(&bob.clone().at("198.51.100.7")).await.status, 202);
    assert_eq!(mailbox.take().len(), 4);
    assert_eq!(confirm(&ada, &first, &code).await.outcome(), "200", "the limits invalidate no code");
}

#[tokio::test]
async fn an_outbox_that_is_down_is_reported_and_the_next_request_works() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    mailbox.break_down();
    let response = request(&ada).await;
    assert_eq!(response.outcome(), "503 SERVICE_UNAVAILABLE");
    assert_eq!(response.header("retry-after"), Some("1"));
    mailbox.repair();
    let (handle, code) = (request(&ada).await.handle(), mailbox.code());
    assert_eq!(confirm(&ada, &handle, &code).await.outcome(), "200");
}

#[tokio::test]
async fn a_sign_in_can_require_a_verified_address() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), Settings { requires_verified_email: true, ..mailbox.settings() });
    let client = service.anonymous();
    let registration = crate::support::registration("ada").body();
    assert_eq!(client.post("/api/register", &registration).await.status, 201);
    assert_eq!(client.token_for("ada", "a wrong guess").await.outcome(), "401 INVALID_CREDENTIALS");
    assert_eq!(mailbox.entries(), 0, "nothing is mailed before the password was right");
    let rejected = client.token_for("ada", password()).await;
    expect![[r#"
        403
        {
          "code": "EMAIL_NOT_VERIFIED",
          "handle": "[UUID]",
          "message": "The email address is not verified. A code is on its way to it. Send the code and this handle to POST /api/email-verification/confirm, then sign in again.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&rejected.to_string());
    let handle = rejected.json()["handle"].as_str().unwrap_or_default().to_owned();
    assert_eq!(confirm(&client, &handle, &mailbox.code()).await.outcome(), "200");
    assert_eq!(client.token_for("ada", password()).await.outcome(), "200");
}
