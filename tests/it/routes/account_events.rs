//! Tests of `GET /api/account/events`, and of what other routes record for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use serde_json::{Value, json};
use shared::settings::{Limits, Settings};

use crate::support::{
    ADMIN_TOKEN, Client, Mailbox, Outcome, Service, database, in_process, password, registration, settings,
};

const DAY: Duration = Duration::from_hours(24);

async fn events(client: &Client) -> Vec<Value> {
    let response = client.get("/api/account/events?limit=1000").await;
    assert_eq!(response.status, 200, "{}", response.body);
    response.json()["data"]["items"].as_array().expect("a list").clone()
}

/// Returns the events, the oldest first: their names, networks, and programs, `session` with a session, and `operator`.
async fn summary(client: &Client) -> String {
    let line = |event: &Value| {
        let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
        let mut words = vec![text("event"), text("network"), text("user_agent")];
        if event["session_id"].is_string() {
            words.push("session".to_owned());
        }
        if event["by_operator"] == true {
            words.push("operator".to_owned());
        }
        words.join(" ")
    };
    events(client).await.iter().rev().map(line).collect::<Vec<_>>().join("\n")
}

async fn count_of(client: &Client, name: &str) -> usize {
    events(client).await.iter().filter(|event| event["event"] == name).count()
}

fn phone(service: &Arc<Service>) -> Client {
    service.anonymous().with_header("user-agent", "Phone/1.0").at("2001:db8:1:2:3:4:5:6")
}

#[tokio::test]
async fn a_sign_in_is_shown_with_its_time_network_program_and_session() {
    let service = in_process();
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    service.clock.advance(DAY);
    let ada = phone(&service).sign_in("ada").await;
    expect![[r#"
        200
        {
          "data": {
            "items": [
              {
                "by_operator": false,
                "created_at": "2026-01-02T00:00:00.000Z",
                "event": "session.started",
                "id": "[UUIDv7]",
                "network": "2001:db8:1:2::/64",
                "session_id": "[UUIDv7]",
                "user_agent": "Phone/1.0"
              },
              {
                "by_operator": false,
                "created_at": "2026-01-01T00:00:00.000Z",
                "event": "account.created",
                "id": "[UUIDv7]",
                "network": "203.0.113.1",
                "session_id": null,
                "user_agent": null
              }
            ],
            "next_cursor": null
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.get("/api/account/events").await.to_string());
    let sessions = ada.get("/api/sessions").await.json();
    assert_eq!(events(&ada).await[0]["session_id"], sessions["data"]["sessions"][0]["id"]);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one sequence of requests and all its events")]
async fn every_change_of_an_account_and_its_sessions_is_shown() -> Outcome {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let confirm = async |client: &Client, path: &str, requested: String, more: Value| {
        let messages = mailbox.take();
        let code = messages.iter().find_map(|message| message.content.code()).expect("a code");
        let mut body = json!({ "handle": requested, "code": code.as_str() });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let confirmed = client.post(path, &body.to_string()).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.body);
        confirmed
    };

    // Events of the same millisecond have no order.
    let pause = || service.clock.advance(Duration::from_secs(1));

    let client = phone(&service);
    assert_eq!(client.post("/api/register", &registration("ada").body()).await.status, 201);
    pause();
    let ada = client.clone().sign_in("ada").await;
    let other = service.anonymous().at("198.51.100.7").with_header("user-agent", "Thief");
    pause();
    assert_eq!(other.token_for("ADA@example.com", "a wrong guess").await.status, 401);
    pause();
    assert_eq!(ada.patch("/api/account", r#"{"age":37}"#).await.status, 200);
    pause();
    let handle = ada.post("/api/email-verification", "").await.handle();
    confirm(&client, "/api/email-verification/confirm", handle, json!({})).await;

    pause();
    let wrong = json!({ "current_password": "a wrong guess", "new_password": "a second password" });
    assert_eq!(ada.put("/api/account/password", &wrong.to_string()).await.status, 403);
    pause();
    let change = json!({ "current_password": password(), "new_password": "a second password" });
    let changed = ada.put("/api/account/password", &change.to_string()).await;
    let ada = ada.with_token(&changed.text("access_token"));
    pause();
    let request = json!({ "email": "countess@example.com", "password": "a second password" }).to_string();
    mailbox.take();
    let handle = ada.post("/api/account/email", &request).await.handle();
    let changed = confirm(&ada, "/api/account/email/confirm", handle, json!({})).await;
    let ada = ada.with_token(&changed.text("access_token"));
    mailbox.take();
    pause();
    let handle = client.post("/api/password-reset", r#"{"username":"ada"}"#).await.handle();
    confirm(&client, "/api/password-reset/confirm", handle, json!({ "new_password": password() })).await;
    assert_eq!(ada.get("/api/account/events").await.outcome(), "401 INVALID_TOKEN");

    pause();
    let tokens = client.token_for("ada", password()).await;
    let ada = client.clone().with_token(&tokens.text("access_token"));
    assert_eq!(client.refresh(&tokens.text("refresh_token")).await.status, 200);
    service.clock.advance(Duration::from_mins(3));
    assert_eq!(other.refresh(&tokens.text("refresh_token")).await.status, 401);
    assert_eq!(ada.get("/api/account/events").await.outcome(), "401 INVALID_TOKEN");

    pause();
    let revoked = client.token_for("ada", password()).await;
    let body = json!({ "refresh_token": revoked.text("refresh_token") }).to_string();
    pause();
    for _ in 0..2 {
        assert_eq!(client.post("/api/token/revoke", &body).await.status, 200);
    }
    pause();
    let ada = client.clone().sign_in("ada").await;
    let session = events(&ada).await[0]["session_id"].as_str().ok_or("a session")?.to_owned();
    pause();
    for status in [200, 401] {
        assert_eq!(ada.delete(&format!("/api/sessions/{session}")).await.status, status);
    }
    pause();
    let ada = client.clone().sign_in("ada").await;
    assert_eq!(ada.delete(&format!("/api/sessions/{session}")).await.status, 404);
    pause();
    assert_eq!(ada.delete("/api/sessions").await.status, 200);

    pause();
    let ada = client.clone().sign_in("ada").await;
    let user = format!("/api/admin/users/{}", ada.get("/api/account").await.text("user_id"));
    let operator = service.anonymous().with_token(ADMIN_TOKEN);
    for patch in [r#"{"disabled":true}"#, r#"{"disabled":false}"#, r#"{"email_verified":false}"#] {
        pause();
        assert_eq!(operator.patch(&user, patch).await.status, 200);
    }
    pause();
    assert_eq!(operator.patch(&user, r#"{"disabled":false,"email_verified":true}"#).await.status, 200);
    pause();
    assert_eq!(operator.delete(&format!("{user}/sessions")).await.status, 200);

    pause();
    expect![[r#"
        account.created 2001:db8:1:2::/64 Phone/1.0
        session.started 2001:db8:1:2::/64 Phone/1.0 session
        password.wrong 198.51.100.7 Thief
        account.updated 2001:db8:1:2::/64 Phone/1.0 session
        email.verified 2001:db8:1:2::/64 Phone/1.0
        password.wrong 2001:db8:1:2::/64 Phone/1.0 session
        password.changed 2001:db8:1:2::/64 Phone/1.0 session
        email.changed 2001:db8:1:2::/64 Phone/1.0 session
        password.reset 2001:db8:1:2::/64 Phone/1.0
        session.started 2001:db8:1:2::/64 Phone/1.0 session
        refresh.reused 198.51.100.7 Thief session
        session.started 2001:db8:1:2::/64 Phone/1.0 session
        session.revoked 2001:db8:1:2::/64 Phone/1.0 session
        session.started 2001:db8:1:2::/64 Phone/1.0 session
        session.ended 2001:db8:1:2::/64 Phone/1.0 session
        session.started 2001:db8:1:2::/64 Phone/1.0 session
        session.all_ended 2001:db8:1:2::/64 Phone/1.0 session
        session.started 2001:db8:1:2::/64 Phone/1.0 session
        account.disabled - - operator
        account.enabled - - operator
        email.verified - - operator
        session.all_ended - - operator
        session.started 2001:db8:1:2::/64 Phone/1.0 session"#]]
    .assert_eq(&summary(&client.clone().sign_in("ada").await).await);

    let ada = client.sign_in("ada").await;
    let seen: BTreeSet<String> =
        events(&ada).await.iter().filter_map(|event| event["event"].as_str().map(str::to_owned)).collect();
    let document = service.anonymous().get("/api/openapi.json").await.json();
    let text = document["paths"]["/api/account/events"]["get"]["description"].as_str().ok_or("a description")?;
    let documented: BTreeSet<String> = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(seen, documented, "each kind is in the OpenAPI document");
    Ok(())
}

#[tokio::test]
async fn events_are_returned_page_by_page_and_only_to_their_user() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let bob = service.anonymous().sign_up("bob").await;
    for age in 1..=4 {
        ada.patch("/api/account", &json!({ "age": age }).to_string()).await;
    }
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ada.get(&format!("/api/account/events?limit=2&cursor={cursor}")).await.json();
        pages.push(page["data"]["items"].as_array().expect("a list").clone());
        match page["data"]["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(pages.len(), 3, "the last page is full");
    assert_eq!(pages.concat(), events(&ada).await);
    assert_eq!(events(&bob).await.len(), 2);
    let foreign = bob.get(&format!("/api/account/events?cursor={cursor}")).await.json();
    assert!(!foreign.to_string().contains("account.updated"), "{foreign}");
    for invalid in ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=%00", "limit=1&limit=2"] {
        let response = ada.get(&format!("/api/account/events?{invalid}")).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{invalid}");
    }
    assert_eq!(service.anonymous().get("/api/account/events").await.outcome(), "401 INVALID_TOKEN");
}

#[tokio::test]
async fn guesses_do_not_fill_the_list_and_do_not_hide_a_sign_in() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let guess = async |number: usize| {
        let client = service.anonymous().at(&format!("198.51.100.{number}"));
        assert_eq!(client.token_for("ada", "a wrong guess").await.outcome(), "401 INVALID_CREDENTIALS");
    };
    for number in 0..25 {
        guess(number).await;
    }
    service.clock.advance(Duration::from_secs(1));
    service.anonymous().at("198.51.100.200").sign_in("ada").await;
    assert_eq!(count_of(&ada, "password.wrong").await, 20);
    assert_eq!(events(&ada).await[0]["network"], "198.51.100.200");
    service.clock.advance(DAY);
    guess(100).await;
    let ada = ada.sign_in("ada").await;
    assert_eq!(count_of(&ada, "password.wrong").await, 21, "the limit is one for 24 hours");
    Ok(())
}

/// Beyond the limit of the account, a wrong password is not compared, so it is not a guess either.
#[tokio::test]
async fn throttled_attempts_are_not_shown() -> Outcome {
    let limits = Limits { failed_sign_ins: 2, ..settings().limits };
    let service = Service::new(database(), Settings { limits, ..settings() });
    let ada = service.anonymous().sign_up("ada").await;
    for outcome in ["401 INVALID_CREDENTIALS", "401 INVALID_CREDENTIALS", "429 TOO_MANY_ATTEMPTS"] {
        assert_eq!(service.anonymous().token_for("ada", "a wrong guess").await.outcome(), outcome);
    }
    assert_eq!(count_of(&ada, "password.wrong").await, 2);
    let fill = "insert into rate_limits (subject, full_at)
        select 'failures ' || id::text, timestamptz '2027-01-01' from users";
    service.database.connect().await.execute(fill, &[]).await?;
    let elsewhere = service.anonymous().at("198.51.100.1");
    assert_eq!(elsewhere.token_for("ada", "a wrong guess").await.outcome(), "401 INVALID_CREDENTIALS");
    assert_eq!(count_of(&ada, "password.wrong").await, 2);
    Ok(())
}

#[tokio::test]
async fn events_end_after_90_days_or_with_the_account() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    service.clock.advance(89 * DAY);
    let ada = ada.sign_in("ada").await;
    assert_eq!(events(&ada).await.len(), 3);
    service.clock.advance(DAY + Duration::from_secs(1));
    let ada = ada.sign_in("ada").await;
    assert_eq!(count_of(&ada, "account.created").await, 0);
    assert_eq!(events(&ada).await.len(), 2, "although they were not swept yet");
    let bob = service.anonymous().sign_up("bob").await;
    let password = json!({ "password": password() }).to_string();
    assert_eq!(ada.delete_with("/api/account", &password).await.status, 200);
    let users = "select count(distinct user_id) from account_events";
    let remaining: i64 = service.database.connect().await.query_one(users, &[]).await?.get(0);
    assert_eq!(remaining, 1);
    assert_eq!(events(&bob).await.len(), 2);
    Ok(())
}

/// The failure is counted although its event has no account any more.
#[tokio::test]
async fn a_wrong_password_for_an_account_that_is_being_deleted_is_a_wrong_password() -> Outcome {
    let service = in_process();
    service.anonymous().sign_up("ada").await;
    let mut database = service.database.connect().await;
    let deletion = database.transaction().await?;
    deletion.execute("delete from users", &[]).await?;
    let client = service.anonymous();
    let guess = tokio::spawn(async move { client.token_for("ada", "a wrong guess").await });
    service.database.until_a_statement_waits().await;
    deletion.commit().await?;
    assert_eq!(guess.await?.outcome(), "401 INVALID_CREDENTIALS");
    let failures: i64 = database.query_one("select count(*) from sign_in_failures", &[]).await?.get(0);
    assert_eq!(failures, 1);
    Ok(())
}
