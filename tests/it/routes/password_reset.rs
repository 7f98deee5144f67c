//! Tests of `POST /api/password-reset` and `POST /api/password-reset/confirm`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::{Value, json};
use shared::mail::Content;
use shared::settings::{Limits, Settings};

use crate::support::scenarios::sweep_with;
use crate::support::{Client, Mailbox, Outcome, Response, Service, database, password, race, registration};

const NEW: &str = "another password";

async fn request(client: &Client, body: Value) -> Response {
    client.post("/api/password-reset", &body.to_string()).await
}

async fn confirm(client: &Client, handle: &str, code: &str, password: &str) -> Response {
    let body = json!({ "handle": handle, "code": code, "new_password": password });
    client.post("/api/password-reset/confirm", &body.to_string()).await
}

fn service(mailbox: &Mailbox) -> Arc<Service> {
    Service::new(database(), mailbox.settings())
}

#[tokio::test]
async fn a_user_sets_a_new_password_with_the_mailed_code() {
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    let ada = service.anonymous().sign_up("ada").await;
    let client = service.anonymous();
    let requested = request(&client, json!({ "email": "ADA@example.com" })).await;
    expect![[r#"
        202
        {
          "data": {
            "handle": "[UUID]"
          },
          "message": "If the account exists, a code is on its way to its email address.",
          "status": "success"
        }
    "#]]
    .assert_eq(&requested.to_string());
    let code = mailbox.code();
    let confirmed = confirm(&client, &requested.handle(), &code, NEW).await;
    expect![[r#"
        200
        {
          "message": "Password changed. All sessions have ended. Sign in with the new password.",
          "status": "success"
        }
    "#]]
    .assert_eq(&confirmed.to_string());
    assert_eq!(ada.get("/api/account").await.outcome(), "401 INVALID_TOKEN", "all sessions have ended");
    assert_eq!(client.token_for("ada", password()).await.outcome(), "401 INVALID_CREDENTIALS");
    let tokens = client.token_for("ada", NEW).await;
    assert_eq!(tokens.outcome(), "200");
    let ada = service.anonymous().with_token(&tokens.text("access_token"));
    assert_eq!(ada.get("/api/account").await.json()["data"]["email_verified"], true, "the code proves the address");
    let announced = mailbox.take();
    let [announced] = announced.as_slice() else { panic!("{announced:?}") };
    assert!(matches!(announced.content, Content::PasswordChanged { .. }), "{announced:?}");
    assert_eq!(announced.to, "ada@example.com");
    assert_eq!(confirm(&client, &requested.handle(), &code, NEW).await.outcome(), "401 INVALID_CODE", "used");
}

#[tokio::test]
async fn the_username_may_be_given_instead_of_the_address() {
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    service.anonymous().sign_up("ada").await;
    for body in [json!({ "username": " Ada " }), json!({ "username": "ada@example.com" }), json!({ "email": "ada" })] {
        assert_eq!(request(&service.anonymous(), body).await.status, 202);
        assert_eq!(mailbox.take().len(), 1);
    }
    for body in [json!({}), json!({ "email": 1 }), json!({ "email": "ada@example.com", "username": "ada" })] {
        assert_eq!(request(&service.anonymous(), body.clone()).await.outcome(), "400 INVALID_REQUEST", "{body}");
    }
}

#[tokio::test]
async fn an_unknown_account_gets_the_same_answers() {
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    service.anonymous().sign_up("ada").await;
    let client = service.anonymous();
    for name in ["unknown@example.com", "unknown", "", "a\0b", "ada@example.com'--"] {
        let requested = request(&client, json!({ "email": name })).await;
        let handle = requested.handle();
        assert_eq!(mailbox.entries(), 1, "the outbox is written to in any case");
        assert_eq!(mailbox.take(), []);
        for _ in 0..7 {
            assert_eq!(confirm(&client, &handle, "12345678", NEW).await.outcome(), "401 INVALID_CODE");
        }
    }
}

/// A difference of the medians, which an attacker could measure, must be small beside the time of a request.
#[tokio::test]
async fn an_unknown_account_takes_as_long() {
    const ROUNDS: usize = 60;
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    let client = service.anonymous().sign_up("ada").await;
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..2 * ROUNDS {
        let which = round % 2;
        let name = ["ada", "unknown"][which];
        let start = Instant::now();
        request(&client, json!({ "username": name })).await;
        times[which].push(start.elapsed());
        mailbox.take();
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2].as_secs_f64()
    });
    let ratio = known / unknown;
    assert!((0.6..1.7).contains(&ratio), "known: {known} s, unknown: {unknown} s");
}

#[tokio::test]
async fn a_password_that_the_rules_reject_does_not_use_up_the_code() {
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    service.anonymous().sign_up("ada-lovelace").await;
    let client = service.anonymous();
    let handle = request(&client, json!({ "username": "ada-lovelace" })).await.handle();
    let code = mailbox.code();
    for password in ["short", "password1", "ada-lovelace", "ada-lovelace@example.com"] {
        let response = confirm(&client, &handle, &code, password).await;
        assert_eq!(response.outcome(), "400 INVALID_PASSWORD", "{password}");
    }
    assert_eq!(confirm(&client, &handle, &code, NEW).await.outcome(), "200");
}

#[tokio::test]
async fn a_reset_lifts_the_throttle() {
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    service.anonymous().sign_up("ada").await;
    let client = service.anonymous();
    for name in ["ada", "ada@example.com"] {
        for _ in 0..5 {
            assert_eq!(client.token_for(name, "a wrong guess").await.outcome(), "401 INVALID_CREDENTIALS");
        }
        assert_eq!(client.token_for(name, password()).await.outcome(), "429 TOO_MANY_ATTEMPTS");
    }
    let handle = request(&client, json!({ "email": "ada@example.com" })).await.handle();
    assert_eq!(confirm(&client, &handle, &mailbox.code(), NEW).await.outcome(), "200");
    for name in ["ada", "ada@example.com"] {
        assert_eq!(client.token_for(name, NEW).await.outcome(), "200");
    }
}

#[tokio::test]
async fn one_of_several_concurrent_confirmations_succeeds_and_replaces_the_other_codes() {
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    let ada = service.anonymous().sign_up("ada").await;
    let client = service.anonymous();
    let mut codes = Vec::new();
    for _ in 0..4 {
        let handle = request(&client, json!({ "username": "ada" })).await.handle();
        codes.push((handle, mailbox.code()));
    }
    let verification = ada.post("/api/email-verification", "").await.handle();
    let verification = json!({ "handle": verification, "code": mailbox.code() }).to_string();
    let outcomes = race(8, |index| {
        let (client, (handle, code)) = (client.clone(), codes[index % 4].clone());
        async move { confirm(&client, &handle, &code, &format!("{NEW} {index}")).await }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 1), ("401 INVALID_CODE".to_owned(), 7)].into());
    let verified = client.post("/api/email-verification/confirm", &verification).await;
    assert_eq!(verified.outcome(), "401 INVALID_CODE");
    assert_eq!(mailbox.take().len(), 1, "one announcement");
}

#[tokio::test]
async fn changes_of_the_password_and_the_account_invalidate_codes() {
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    let client = service.anonymous();
    let ada = service.anonymous().sign_up("ada").await;
    let handle = request(&client, json!({ "username": "ada" })).await.handle();
    let code = mailbox.code();
    let change = json!({ "current_password": password(), "new_password": "a third password" }).to_string();
    let changed = ada.put("/api/account/password", &change).await;
    assert_eq!(changed.outcome(), "200");
    assert!(matches!(mailbox.take().as_slice(), [message] if message.to == "ada@example.com"));
    assert_eq!(confirm(&client, &handle, &code, NEW).await.outcome(), "401 INVALID_CODE");

    let handle = request(&client, json!({ "username": "ada" })).await.handle();
    let code = mailbox.code();
    let ada = service.anonymous().with_token(&changed.text("access_token"));
    let deleted = ada.delete_with("/api/account", &json!({ "password": "a third password" }).to_string()).await;
    assert_eq!(deleted.outcome(), "200");
    assert_eq!(confirm(&client, &handle, &code, NEW).await.outcome(), "401 INVALID_CODE");
}

/// A stranger can neither use up the messages of the owner nor learn that the account exists.
#[tokio::test]
async fn requests_of_strangers_do_not_keep_the_owner_out() {
    let mailbox = Mailbox::default();
    let limits = Limits { mails_for_account: 2, ..mailbox.settings().limits };
    let service = Service::new(database(), Settings { limits, ..mailbox.settings() });
    service.anonymous().sign_up("ada").await;
    let (owner, stranger) = (service.anonymous(), service.anonymous().at("198.51.100.7"));
    for _ in 0..4 {
        assert_eq!(request(&stranger, json!({ "username": "ada" })).await.status, 202);
    }
    assert_eq!(mailbox.take().len(), 2, "a cap for the account");
    let handle = request(&owner, json!({ "username": "ada" })).await.handle();
    assert_eq!(confirm(&owner, &handle, &mailbox.code(), NEW).await.outcome(), "200");
}

#[tokio::test]
async fn an_announcement_survives_an_outbox_that_is_down() -> Outcome {
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    service.anonymous().sign_up("ada").await;
    let client = service.anonymous();
    let handle = request(&client, json!({ "username": "ada" })).await.handle();
    let code = mailbox.code();
    mailbox.break_down();
    assert_eq!(confirm(&client, &handle, &code, NEW).await.outcome(), "200", "the password is changed");
    assert!(sweep_with(&service, mailbox.settings()).await?.announcements == 0, "the request may still move it");
    service.clock.advance(Duration::from_mins(1));
    assert!(sweep_with(&service, mailbox.settings()).await.is_err());
    mailbox.repair();
    assert_eq!(sweep_with(&service, mailbox.settings()).await?.announcements, 1);
    assert!(
        matches!(mailbox.take().as_slice(), [message] if matches!(message.content, Content::PasswordChanged { .. }))
    );
    assert_eq!(sweep_with(&service, mailbox.settings()).await?.announcements, 0);
    Ok(())
}

#[tokio::test]
async fn expired_codes_are_swept_away() -> Outcome {
    let mailbox = Mailbox::default();
    let service = service(&mailbox);
    assert_eq!(service.anonymous().post("/api/register", &registration("ada").body()).await.status, 201);
    for name in ["ada", "unknown"] {
        assert_eq!(request(&service.anonymous(), json!({ "username": name })).await.status, 202);
    }
    assert_eq!(sweep_with(&service, mailbox.settings()).await?.mailed_codes, 0);
    service.clock.advance(Duration::from_mins(15));
    assert_eq!(sweep_with(&service, mailbox.settings()).await?.mailed_codes, 2);
    Ok(())
}
