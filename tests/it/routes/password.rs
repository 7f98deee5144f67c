//! Tests of `PUT /api/account/password`, and of the password policy.

use std::sync::{Arc, Mutex};

use expect_test::expect;
use serde_json::json;
use shared::domain::PasswordPolicy;

use crate::support::{Client, Outcome, Response, in_process, password, race, registration, settings};

const NEW: &str = "staple battery horse";

async fn change(client: &Client, current: &str, new: &str) -> Response {
    let body = json!({ "current_password": current, "new_password": new }).to_string();
    client.put("/api/account/password", &body).await
}

#[tokio::test]
async fn changing_the_password_ends_all_sessions_and_starts_a_new_one() {
    let service = in_process();
    let bob = service.anonymous().sign_up("bob").await;
    let ada = service.anonymous().with_header("user-agent", "Phone/1.0").sign_up("ada").await;
    let other = service.anonymous().token_for("ada", password()).await;
    let own = service.anonymous().token_for("ada", password()).await;
    let ada = ada.with_token(&own.text("access_token"));
    let changed = change(&ada, password(), NEW).await;
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
          "message": "Password changed. All sessions have ended, and a new one has started.",
          "status": "success"
        }
    "#]]
    .assert_eq(&changed.to_string());
    for ended in [&own, &other] {
        let client = service.anonymous().with_token(&ended.text("access_token"));
        assert_eq!(client.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
        assert_eq!(client.refresh(&ended.text("refresh_token")).await.outcome(), "401 INVALID_TOKEN");
    }
    let ada = ada.with_token(&changed.text("access_token"));
    let sessions = ada.get("/api/sessions").await.json()["data"]["sessions"].clone();
    assert_eq!(sessions.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&sessions[0]["current"], &sessions[0]["user_agent"], &sessions[0]["network"]),
        (&json!(true), &json!("Phone/1.0"), &json!("203.0.113.1"))
    );
    assert_eq!(ada.refresh(&changed.text("refresh_token")).await.status, 200);
    assert_eq!(service.anonymous().token_for("ada", password()).await.outcome(), "401 INVALID_CREDENTIALS");
    assert_eq!(service.anonymous().token_for("ada", NEW).await.status, 200);
    assert_eq!(bob.get("/api/account").await.status, 200);
}

#[tokio::test]
async fn a_rejected_password_change_has_no_effect() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let other = service.anonymous().sign_in("ada").await;
    for (current, new, expected) in [
        ("wrong", NEW, "403 INVALID_CREDENTIALS"),
        (password(), "short", "400 INVALID_PASSWORD"),
        (password(), "qwertyuiop", "400 INVALID_PASSWORD"),
        (password(), "ADA@example.com", "400 INVALID_PASSWORD"),
        (password(), "", "400 INVALID_PASSWORD"),
    ] {
        assert_eq!(change(&ada, current, new).await.outcome(), expected, "{new}");
    }
    let missing = ada.put("/api/account/password", r#"{"new_password":"x"}"#).await;
    expect![[r#"
        400
        {
          "code": "INVALID_REQUEST",
          "errors": [
            {
              "code": "INVALID_REQUEST",
              "field": "current_password",
              "message": "current_password is required"
            },
            {
              "code": "INVALID_PASSWORD",
              "field": "new_password",
              "message": "password must be at least 8 characters"
            }
          ],
          "message": "current_password is required; password must be at least 8 characters",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&missing.to_string());
    assert_eq!(other.get("/api/account").await.status, 200);
    assert_eq!(service.anonymous().token_for("ada", password()).await.status, 200);
}

#[tokio::test]
async fn a_password_change_ends_concurrent_sign_ins_with_the_old_password() {
    let service = in_process();
    let client = service.anonymous();
    let mut old = password().to_owned();
    let mut ada = client.clone().sign_up("ada").await;
    for round in 0..10 {
        let new = format!("password of round {round}");
        let access_token = Arc::new(Mutex::new(String::new()));
        let outcomes = race(9, |index| {
            let (ada, client, old, new) = (ada.clone(), client.clone(), old.clone(), new.clone());
            let access_token = Arc::clone(&access_token);
            async move {
                match index {
                    4 => {
                        let changed = change(&ada, &old, &new).await;
                        if changed.status == 200 {
                            *access_token.lock().expect("a lock that is not poisoned") = changed.text("access_token");
                        }
                        changed
                    }
                    _ => client.token_for("ada", &old).await,
                }
            }
        })
        .await;
        let expected = ["200", "401 INVALID_CREDENTIALS", "429 TOO_MANY_ATTEMPTS"];
        assert!(outcomes.keys().all(|outcome| expected.contains(&outcome.as_str())), "round {round}: {outcomes:?}");
        service.clock.advance(std::time::Duration::from_mins(1));
        ada = ada.with_token(&access_token.lock().expect("a lock that is not poisoned"));
        let sessions = ada.get("/api/sessions").await.json()["data"]["sessions"].as_array().map(Vec::len);
        assert_eq!(sessions, Some(1), "round {round}: only the new session must remain");
        old = new;
    }
}

/// Forces a rare interleaving of the test above: the sign-in has locked the user's row and not yet created its session.
#[tokio::test]
async fn a_password_change_that_waits_for_a_sign_in_ends_the_new_session() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let mut database = service.database.connect().await;
    let sign_in = database.transaction().await?;
    sign_in.execute("update users set password = password", &[]).await?;
    let pending_change = tokio::spawn({
        let ada = ada.clone();
        async move { change(&ada, password(), NEW).await }
    });
    service.database.until_a_statement_waits().await;
    let create_session =
        "insert into sessions (user_id, id, created_at, refreshed_at, expires_at, family_digest, current_digest)
        select user_id, gen_random_uuid(), created_at, refreshed_at, expires_at, family_digest, current_digest from sessions";
    sign_in.execute(create_session, &[]).await?;
    sign_in.commit().await?;
    let changed = pending_change.await?;
    assert_eq!(changed.outcome(), "200");
    let ada = ada.with_token(&changed.text("access_token"));
    let sessions = ada.get("/api/sessions").await.json()["data"]["sessions"].as_array().map(Vec::len);
    assert_eq!(sessions, Some(1), "only the new session must remain");
    Ok(())
}

#[tokio::test]
async fn one_of_several_concurrent_password_changes_succeeds() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let outcomes = race(4, |index| {
        let ada = ada.clone();
        async move { change(&ada, password(), &format!("new password {index}")).await }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 1), ("401 INVALID_TOKEN".to_owned(), 3)].into());
}

#[tokio::test]
async fn the_minimum_password_length_is_configurable() {
    let mut settings = settings();
    settings.password_policy = PasswordPolicy { min_chars: 15 };
    let service = in_process().with_settings(settings);
    let register = |password: &str| {
        let (client, body) = (service.anonymous(), registration("ada").with("password", password).body());
        async move { client.post("/api/register", &body).await }
    };
    let too_short = register(&"y".repeat(14)).await;
    assert_eq!(too_short.outcome(), "400 INVALID_PASSWORD");
    assert!(too_short.body.contains("at least 15 characters"), "{}", too_short.body);
    assert_eq!(register(&"y".repeat(15)).await.outcome(), "201");
}

#[tokio::test]
async fn the_new_password_must_differ_from_the_current_one() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let same = change(&ada, password(), password()).await;
    assert_eq!(same.outcome(), "400 INVALID_PASSWORD");
    assert_eq!(same.json()["message"], "new_password must differ from current_password");
    assert_eq!(ada.get("/api/account").await.status, 200, "the session continues");
}

/// A keyboard may send é as one character or as e with an accent.
#[tokio::test]
async fn a_password_is_accepted_in_every_normalization_form() -> Outcome {
    const COMPOSED: &str = "caf\u{e9} au lait";
    const DECOMPOSED: &str = "cafe\u{301} au lait";
    let service = in_process();
    for (username, registered) in [("ada", COMPOSED), ("bob", DECOMPOSED)] {
        let body = registration(username).with("password", registered).body();
        assert_eq!(service.anonymous().post("/api/register", &body).await.status, 201);
        for typed in [COMPOSED, DECOMPOSED] {
            assert_eq!(service.anonymous().token_for(username, typed).await.status, 200, "{registered:?} {typed:?}");
        }
        assert_eq!(service.anonymous().token_for(username, "cafe au lait").await.status, 401);
    }
    // An imported hash of the text as it was typed, computed by libxcrypt.
    let imported = "$2b$04$abcdefghijklmnopqrstuu.oMTCQjdCbYvSW3IQEvGWmdb6wOIFXe";
    let database = service.database.connect().await;
    database.execute("update users set password = $1 where username = 'ada'", &[&imported]).await?;
    assert_eq!(service.anonymous().token_for("ada", COMPOSED).await.status, 401);
    assert_eq!(service.anonymous().token_for("ada", DECOMPOSED).await.status, 200);
    assert_eq!(service.anonymous().token_for("ada", COMPOSED).await.status, 200, "the hash was renewed");
    Ok(())
}

#[tokio::test]
async fn white_space_around_names_is_ignored() {
    let service = in_process();
    let body = registration("ada").with("username", " ada\n").with("email", "ada@example.com ").body();
    let account = service.anonymous().post("/api/register", &body).await;
    assert_eq!((account.text("username"), account.text("email")), ("ada".to_owned(), "ada@example.com".to_owned()));
    for name in ["ada ", "\u{3000}ada", "ada@example.com\n", " ADA@example.com"] {
        assert_eq!(service.anonymous().token_for(name, password()).await.status, 200, "{name:?}");
    }
}
