//! Sequences of requests that several tests send.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shared::App;
use shared::domain::CODE_LIFETIME;
use shared::secrets::{NoKeys, Secrets};
use shared::settings::{Limits, Settings};
use users_import::Lines;

use super::service::pool;
use super::{ADMIN_TOKEN, Forged, Mailbox, Outcome, Service, password, race, registration, settings};

/// Runs the scheduled task `data-sweep`.
pub async fn sweep(service: &Service) -> Result<data_sweep::Report, Box<dyn std::error::Error>> {
    sweep_with(service, settings()).await
}

/// Runs the scheduled task `data-sweep` with the given settings.
pub async fn sweep_with(
    service: &Service,
    settings: Settings,
) -> Result<data_sweep::Report, Box<dyn std::error::Error>> {
    let clock = service.clock.clone();
    let secrets = Secrets::fixed(service.database.config_of("data-sweep"), NoKeys, clock.clone());
    let secrets = secrets.with_dialect(service.database.dialect());
    Ok(data_sweep::run(App::new(settings, secrets.into(), clock, pool(1))).await.map_err(|error| error.to_string())?)
}

/// Imports JSON lines as `users-import` does.
pub async fn import_users(
    service: &Service,
    lines: &'static str,
) -> Result<users_import::Report, Box<dyn std::error::Error>> {
    let secrets = Secrets::fixed(service.database.config_of("users-import"), NoKeys, service.clock.clone());
    let secrets = secrets.with_dialect(service.database.dialect());
    let app = App::new(settings(), secrets.into(), service.clock.clone(), pool(1));
    let lines = Lines::of_reader(lines.as_bytes());
    Ok(users_import::import(&app, lines, 0, None).await.map_err(|error| error.to_string())?)
}

/// Sends requests that run every statement of the service.
pub async fn run_every_statement(service: &Arc<Service>) -> Outcome {
    let ada = service.anonymous().sign_up("ada").await;
    let value = r#"{"value":2}"#;
    assert_eq!(ada.store("key", json!(1)).await.outcome(), "201");
    assert_eq!(ada.store("key", json!(1)).await.outcome(), "409 KEY_EXISTS");
    assert_eq!(ada.put("/api/data/key", value).await.value_text(), "2");
    assert_eq!(ada.put("/api/data/other?upsert=true", value).await.outcome(), "201");
    assert_eq!(ada.put("/api/data/other?upsert=true", value).await.outcome(), "200");
    assert_eq!(ada.put("/api/data/none", value).await.outcome(), "404 KEY_NOT_FOUND");
    let guarded = ada.clone().with_header("if-match", "\"1\"");
    assert_eq!(guarded.put("/api/data/key", value).await.outcome(), "412 PRECONDITION_FAILED");
    assert_eq!(guarded.delete("/api/data/key").await.outcome(), "412 PRECONDITION_FAILED");
    assert_eq!(ada.get("/api/data/key").await.value_text(), "2");
    assert_eq!(ada.delete("/api/data/key").await.outcome(), "200");
    assert_eq!(ada.get("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");

    assert_eq!(ada.get("/api/data?values=true&prefix=o").await.json()["data"]["items"][0]["value"], 2);
    let batch = json!({ "operations": [
        { "op": "put", "key": "other", "value": 3, "expires_in": 10 },
        { "op": "create", "key": "more", "value": 4 },
    ] });
    assert_eq!(ada.post("/api/data/batch", &batch.to_string()).await.outcome(), "200");
    assert_eq!(ada.get("/api/account/export").await.json()["data"]["operations"][1]["expires_in"], 10);
    service.clock.advance(Duration::from_secs(10));
    assert_eq!(sweep(service).await?.removed, 1);

    let tokens = service.anonymous().token_for("ada", password()).await;
    for _ in 0..2 {
        assert_eq!(service.anonymous().refresh(&tokens.text("refresh_token")).await.outcome(), "200");
    }
    let revoke = json!({ "refresh_token": tokens.text("refresh_token") }).to_string();
    assert_eq!(service.anonymous().post("/api/token/revoke", &revoke).await.outcome(), "200");
    for expected in ["401 INVALID_CREDENTIALS"; 5].into_iter().chain(["429 TOO_MANY_ATTEMPTS"]) {
        assert_eq!(service.anonymous().token_for("unknown", "a wrong guess").await.outcome(), expected);
    }
    assert_eq!(ada.get("/api/sessions").await.json()["data"]["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(ada.patch("/api/account", r#"{"age":50}"#).await.outcome(), "200");
    let events = ada.get("/api/account/events?limit=1").await.json();
    assert!(events["data"]["next_cursor"].is_string(), "{events}");
    run_every_statement_of_operators(service).await;
    let change = json!({ "current_password": password(), "new_password": "another password" }).to_string();
    let changed = ada.put("/api/account/password", &change).await;
    assert_eq!(changed.outcome(), "200");
    let ada = service.anonymous().with_token(&changed.text("access_token"));
    let address = json!({ "email": "new@example.com", "password": "another password" }).to_string();
    let changed = ada.post("/api/account/email", &address).await;
    assert_eq!(changed.outcome(), "200");
    let ada = service.anonymous().with_token(&changed.text("access_token"));
    let other = service.anonymous().token_for("new@example.com", "another password").await;
    let other = service.anonymous().with_token(&other.text("access_token"));
    let id = Forged::from(&other.token()).claims()["sid"].as_str().unwrap_or_default().to_owned();
    assert_eq!(ada.delete(&format!("/api/sessions/{id}")).await.outcome(), "200");
    let again = service.anonymous().token_for("ada", "another password").await;
    let again = service.anonymous().with_token(&again.text("access_token"));
    let delete = json!({ "password": "another password" }).to_string();
    assert_eq!(again.delete("/api/sessions").await.outcome(), "200");
    assert_eq!(ada.delete_with("/api/account", &delete).await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(import_users(service, r#"{"email":"imported@example.com"}"#).await?.imported, 1);
    let found = service.anonymous().with_token(ADMIN_TOKEN).get("/api/admin/users?email=imported@example.com").await;
    let imported = found.json()["data"]["items"][0]["user_id"].as_str().unwrap_or_default().to_owned();
    let imported = format!("/api/admin/users/{imported}");
    assert_eq!(service.anonymous().with_token(ADMIN_TOKEN).delete(&imported).await.outcome(), "200");
    let last = service.anonymous().token_for("ada", "another password").await;
    let last = service.anonymous().with_token(&last.text("access_token"));
    assert_eq!(last.delete_with("/api/account", &delete).await.outcome(), "200");
    Ok(())
}

/// Sends requests to all admin routes but the one that mails a code.
async fn run_every_statement_of_operators(service: &Arc<Service>) {
    let bob = service.anonymous().sign_up("bob").await;
    let user = format!("/api/admin/users/{}", bob.get("/api/account").await.text("user_id"));
    let operator = service.anonymous().with_token(ADMIN_TOKEN);
    for query in ["", "?username=bob", "?email=bob@example.com"] {
        let found = operator.get(&format!("/api/admin/users{query}")).await.json();
        assert!(found["data"]["items"].to_string().contains("bob"), "{query}");
    }
    assert_eq!(operator.get(&user).await.json()["data"]["sessions"], 1);
    assert_eq!(operator.delete(&format!("{user}/sessions")).await.json()["data"]["sessions"], 1);
    assert_eq!(operator.patch(&user, r#"{"disabled":true,"email_verified":true}"#).await.outcome(), "200");
    assert_eq!(operator.delete(&user).await.outcome(), "200");
    assert_eq!(operator.get(&user).await.outcome(), "404 USER_NOT_FOUND");
}

/// Sends requests that run every statement of a service with mail.
pub async fn run_every_statement_with_mail(service: &Arc<Service>) -> Outcome {
    let mailbox = Mailbox::default();
    let limits = Limits { mails: 100, mails_for_account: 100, ..settings().limits };
    let service = service.with_settings(Settings { requires_verified_email: true, limits, ..mailbox.settings() });
    let client = service.anonymous();
    assert_eq!(client.post("/api/register", &registration("eve").body()).await.outcome(), "201");
    let confirm = |handle: &str| json!({ "handle": handle, "code": mailbox.code() });

    let rejected = client.token_for("eve", password()).await;
    assert_eq!(rejected.outcome(), "403 EMAIL_NOT_VERIFIED");
    let confirmation = confirm(rejected.json()["handle"].as_str().unwrap_or_default());
    let path = "/api/email-verification/confirm";
    assert_eq!(client.post(path, &confirmation.to_string()).await.outcome(), "200");
    assert_eq!(client.post(path, &confirmation.to_string()).await.outcome(), "401 INVALID_CODE");

    let eve = client.clone().sign_in("eve").await;
    assert_eq!(eve.post("/api/email-verification", "").await.status, 202);
    mailbox.take();
    let address = json!({ "email": "new@example.com", "password": password() }).to_string();
    let handle = eve.post("/api/account/email", &address).await.handle();
    let changed = eve.post("/api/account/email/confirm", &confirm(&handle).to_string()).await;
    assert_eq!(changed.outcome(), "200");
    let eve = client.clone().with_token(&changed.text("access_token"));
    assert_eq!(mailbox.take().len(), 1, "an announcement");
    let change = json!({ "current_password": password(), "new_password": "another password" }).to_string();
    assert_eq!(eve.put("/api/account/password", &change).await.outcome(), "200");
    assert_eq!(mailbox.take().len(), 1, "an announcement");

    let operator = client.clone().with_token(ADMIN_TOKEN);
    let found = operator.get("/api/admin/users?username=eve").await.json();
    let user = found["data"]["items"][0]["user_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(operator.post(&format!("/api/admin/users/{user}/password-reset"), "").await.status, 202);
    mailbox.take();
    assert_eq!(client.post("/api/password-reset", r#"{"email":"unknown@example.com"}"#).await.status, 202);
    mailbox.take();
    let handle = client.post("/api/password-reset", r#"{"email":"new@example.com"}"#).await.handle();
    let mut reset = confirm(&handle);
    reset["new_password"] = json!(password());
    mailbox.break_down();
    assert_eq!(client.post("/api/password-reset/confirm", &reset.to_string()).await.outcome(), "200");
    mailbox.repair();
    service.clock.advance(CODE_LIFETIME);
    let report = sweep_with(&service, mailbox.settings()).await?;
    assert_eq!((report.announcements, report.mailed_codes), (1, 1), "the code without an account");
    let eve = client.sign_in("eve").await;
    let deleted = eve.delete_with("/api/account", &json!({ "password": password() }).to_string()).await;
    assert_eq!(deleted.outcome(), "200");
    Ok(())
}

/// Races writes and the deletion of their account, several times.
pub async fn race_account_deletion(service: &Arc<Service>) -> Outcome {
    let client = service.anonymous();
    for round in 0..5 {
        let ada = client.clone().sign_up("ada").await;
        let outcomes = race(12, |index| {
            let (ada, client) = (ada.clone(), client.clone());
            async move {
                match index {
                    0 => ada.delete_with("/api/account", &json!({ "password": password() }).to_string()).await,
                    1 => client.token_for("ada", password()).await,
                    2 => ada.patch("/api/account", r#"{"age":40}"#).await,
                    3 => ada.put("/api/data/same?upsert=true", r#"{"value":1}"#).await,
                    index => ada.store(&format!("key-{}", index % 3), json!(index)).await,
                }
            }
        })
        .await;
        let expected = ["200", "201", "401 INVALID_TOKEN", "401 INVALID_CREDENTIALS", "409 KEY_EXISTS"];
        assert!(outcomes.keys().all(|outcome| expected.contains(&outcome.as_str())), "round {round}: {outcomes:?}");
        assert_eq!(ada.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
    }
    Ok(())
}

/// Asserts that no accounts, sessions, or values are left.
pub async fn assert_no_rows_remain(service: &Service) -> Outcome {
    let database = service.database.connect().await;
    for table in
        ["users", "sessions", "data_store", "user_counters", "known_networks", "account_events", "deleted_users"]
    {
        let row = database.query_one(&format!("select count(*) from {table}"), &[]).await?;
        assert_eq!(row.get::<_, i64>(0), 0, "{table}");
    }
    Ok(())
}
