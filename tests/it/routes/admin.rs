//! Tests of the admin routes.

use std::sync::Arc;

use expect_test::expect;
use serde_json::{Value, json};
use shared::mail::Content;
use shared::settings::{Operators, Settings};

use crate::support::{
    ADMIN_TOKEN, Client, Mailbox, Outcome, Service, database, in_process, password, race, registration, settings,
};

const UNKNOWN: &str = "01900000-0000-7000-8000-000000000000";

/// A client with the admin token.
fn operator(service: &Arc<Service>) -> Client {
    service.anonymous().with_token(ADMIN_TOKEN)
}

async fn id_of(user: &Client) -> String {
    user.get("/api/account").await.text("user_id")
}

/// A request to each admin route, for an account.
async fn call_all(client: &Client, id: &str) -> Vec<String> {
    let user = format!("/api/admin/users/{id}");
    vec![
        client.get("/api/admin/users").await.outcome(),
        client.get(&user).await.outcome(),
        client.patch(&user, r#"{"disabled":true}"#).await.outcome(),
        client.delete(&format!("{user}/sessions")).await.outcome(),
        client.post(&format!("{user}/password-reset"), "").await.outcome(),
        client.delete(&user).await.outcome(),
    ]
}

#[tokio::test]
async fn only_operators_may_use_the_admin_routes() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let id = id_of(&ada).await;
    for client in [
        service.anonymous(),
        ada.clone(),
        service.anonymous().with_token(&ADMIN_TOKEN.to_uppercase()),
        service.anonymous().with_header("authorization", &format!("Basic {ADMIN_TOKEN}")),
        service.anonymous().with_header("x-admin-token", ADMIN_TOKEN),
    ] {
        assert_eq!(call_all(&client, &id).await, ["401 INVALID_TOKEN"; 6]);
    }
    let off = service.with_settings(Settings { operators: Operators::default(), ..settings() });
    assert_eq!(call_all(&operator(&off), &id).await, ["401 INVALID_TOKEN"; 6], "off unless configured");
    assert_eq!(id_of(&ada).await, id, "nothing has changed");
}

#[tokio::test]
async fn iam_principals_of_the_own_account_are_operators() {
    let service = in_process();
    service.anonymous().sign_up("ada").await;
    let call = async |account: &str| {
        let iam = json!({ "iam": {
            "accessKey": "AKIAEXAMPLE",
            "accountId": account,
            "callerId": "AIDAEXAMPLE",
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": format!("arn:aws:iam::{account}:user/ops"),
            "userId": "AIDAEXAMPLE",
        } });
        let alter = |event: &mut Value| event["requestContext"]["authorizer"] = iam;
        service.anonymous().send_altered("GET", "/api/admin/users", alter).await.outcome()
    };
    assert_eq!(call("123456789012").await, "200");
    assert_eq!(call("999999999999").await, "401 INVALID_TOKEN");
}

#[tokio::test]
async fn accounts_are_found_by_name_or_listed_page_by_page() {
    let service = in_process();
    for name in ["ada", "bob", "eve"] {
        assert_eq!(service.anonymous().post("/api/register", &registration(name).body()).await.status, 201);
    }
    let operator = operator(&service);
    expect![[r#"
        200
        {
          "data": {
            "items": [
              {
                "age": 36,
                "created_at": "2026-01-01T00:00:00.000Z",
                "disabled": false,
                "email": "ada@example.com",
                "email_verified": false,
                "full_name": "Ada Lovelace",
                "gender": "female",
                "user_id": "[UUIDv7]",
                "username": "ada"
              }
            ],
            "next_cursor": null
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&operator.get("/api/admin/users?username=ADA").await.to_string());
    let names = async |query: &str| {
        let page = operator.get(&format!("/api/admin/users?{query}")).await.json();
        let items = page["data"]["items"].as_array().cloned().unwrap_or_default();
        let names: Vec<String> =
            items.iter().map(|item| item["username"].as_str().unwrap_or_default().to_owned()).collect();
        (names, page["data"]["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(names("email=EVE%40example.com").await.0, ["eve"]);
    for nothing in ["username=none", "email=ada", "username=a%00b", "email=%20"] {
        assert_eq!(names(nothing).await, (Vec::new(), None), "{nothing}");
    }
    let (first, cursor) = names("limit=2").await;
    let (second, end) = names(&format!("limit=2&cursor={}", cursor.unwrap_or_default())).await;
    assert_eq!(([first, second].concat().len(), end), (3, None));
    for invalid in ["limit=0", "cursor=x", "username=ada&email=ada%40example.com", "username=a&username=b"] {
        let response = operator.get(&format!("/api/admin/users?{invalid}")).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{invalid}");
    }
}

#[tokio::test]
async fn an_account_is_shown_with_what_it_uses() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!("value")).await;
    let shown = operator(&service).get(&format!("/api/admin/users/{}", id_of(&ada).await)).await;
    expect![[r#"
        200
        {
          "data": {
            "age": 36,
            "bytes": 10,
            "created_at": "2026-01-01T00:00:00.000Z",
            "disabled": false,
            "email": "ada@example.com",
            "email_verified": false,
            "full_name": "Ada Lovelace",
            "gender": "female",
            "keys": 1,
            "sessions": 1,
            "user_id": "[UUIDv7]",
            "username": "ada"
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&shown.to_string());
}

#[tokio::test]
async fn an_account_without_the_id_is_not_found() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let operator = operator(&service);
    for id in [UNKNOWN, "ada", "%00", "0190000000007000800000000000000a"] {
        let outcomes = call_all(&operator, id).await;
        assert_eq!(outcomes[1..], ["404 USER_NOT_FOUND"; 5], "{id}");
    }
    assert_eq!(mailbox.entries(), 0);
}

#[tokio::test]
async fn disabling_an_account_ends_its_sessions_at_once_and_enabling_it_restores_it() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let tokens = service.anonymous().token_for("ada", password()).await;
    ada.store("key", json!(1)).await;
    let (operator, user) = (operator(&service), format!("/api/admin/users/{}", id_of(&ada).await));
    let disabled = operator.patch(&user, r#"{"disabled":true}"#).await;
    assert_eq!((disabled.outcome().as_str(), &disabled.json()["data"]["disabled"]), ("200", &json!(true)));
    assert_eq!(ada.get("/api/data/key").await.outcome(), "401 INVALID_TOKEN");
    let refreshed = service.anonymous().refresh(&tokens.text("refresh_token")).await;
    assert_eq!(refreshed.outcome(), "401 INVALID_TOKEN");
    expect![[r#"
        403
        {
          "code": "ACCOUNT_DISABLED",
          "message": "This account is disabled. Ask the operator of this service.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&service.anonymous().token_for("ada", password()).await.to_string());
    let wrong = service.anonymous().token_for("ada", "a wrong guess").await;
    assert_eq!(wrong.outcome(), "401 INVALID_CREDENTIALS", "a guesser does not learn of it");
    assert_eq!(operator.patch(&user, r#"{"disabled":true}"#).await.outcome(), "200", "repeatable");

    assert_eq!(operator.patch(&user, r#"{"disabled":false}"#).await.json()["data"]["disabled"], false);
    let ada = service.anonymous().sign_in("ada").await;
    assert_eq!(ada.get("/api/data/key").await.value_text(), "1", "the data was kept");
}

#[tokio::test]
async fn no_sign_in_survives_a_concurrent_disabling() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let user = format!("/api/admin/users/{}", id_of(&ada).await);
    for round in 0..5 {
        let operator = operator(&service);
        operator.patch(&user, r#"{"disabled":false}"#).await;
        race(10, |index| {
            let (operator, client, user) = (operator.clone(), service.anonymous(), user.clone());
            async move {
                match index {
                    4 => operator.patch(&user, r#"{"disabled":true}"#).await,
                    _ => client.token_for("ada", password()).await,
                }
            }
        })
        .await;
        assert_eq!(operator.get(&user).await.json()["data"]["sessions"], 0, "round {round}");
    }
}

/// A sign-in that has locked the account first is waited for, and its session ends too.
#[tokio::test]
async fn disabling_and_ending_sessions_wait_for_a_sign_in() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let (operator, user) = (operator(&service), format!("/api/admin/users/{}", id_of(&ada).await));
    for ends_sessions_only in [true, false] {
        let mut database = service.database.connect().await;
        let sign_in = database.transaction().await?;
        sign_in.batch_execute("update users set password_cost = password_cost").await?;
        let waiting = tokio::spawn({
            let (operator, user) = (operator.clone(), user.clone());
            async move {
                if ends_sessions_only {
                    operator.delete(&format!("{user}/sessions")).await
                } else {
                    operator.patch(&user, r#"{"disabled":true}"#).await
                }
            }
        });
        service.database.until_a_statement_waits().await;
        let started = "insert into sessions
                (user_id, id, created_at, refreshed_at, expires_at, family_digest, current_digest)
            select id, gen_random_uuid(), now(), now(), timestamp '2030-01-01', '', '' from users";
        sign_in.batch_execute(started).await?;
        sign_in.commit().await?;
        assert_eq!(waiting.await?.outcome(), "200");
        assert_eq!(operator.get(&user).await.json()["data"]["sessions"], 0);
    }
    Ok(())
}

#[tokio::test]
async fn an_operator_can_vouch_for_an_address() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), Settings { requires_verified_email: true, ..mailbox.settings() });
    let client = service.anonymous();
    assert_eq!(client.post("/api/register", &registration("ada").body()).await.status, 201);
    let operator = operator(&service);
    let found = operator.get("/api/admin/users?username=ada").await.json();
    let user = format!("/api/admin/users/{}", found["data"]["items"][0]["user_id"].as_str().unwrap_or_default());
    assert_eq!(client.token_for("ada", password()).await.outcome(), "403 EMAIL_NOT_VERIFIED");
    assert_eq!(operator.patch(&user, r#"{"email_verified":true}"#).await.json()["data"]["email_verified"], true);
    assert_eq!(client.token_for("ada", password()).await.outcome(), "200");
    for body in
        ["{}", r#"{"disabled":null}"#, r#"{"disabled":"yes"}"#, r#"{"email_verified":1}"#, r#"{"username":"x"}"#]
    {
        assert_eq!(operator.patch(&user, body).await.outcome(), "400 INVALID_REQUEST", "{body}");
    }
}

#[tokio::test]
async fn an_operator_ends_all_sessions_and_deletes_an_account() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let second = service.anonymous().sign_in("ada").await;
    let bob = service.anonymous().sign_up("bob").await;
    for client in [&ada, &bob] {
        client.store("key", json!(1)).await;
    }
    let (operator, user) = (operator(&service), format!("/api/admin/users/{}", id_of(&ada).await));
    let ended = operator.delete(&format!("{user}/sessions")).await;
    assert_eq!(ended.json()["data"]["sessions"], 2);
    for client in [&ada, &second] {
        assert_eq!(client.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
    }
    service.anonymous().sign_in("ada").await;
    assert_eq!(operator.delete(&user).await.outcome(), "200");
    assert_eq!(operator.delete(&user).await.outcome(), "404 USER_NOT_FOUND");
    assert_eq!(service.anonymous().token_for("ada", password()).await.outcome(), "401 INVALID_CREDENTIALS");
    let database = service.database.connect().await;
    for table in ["users", "sessions", "data_store", "user_counters", "known_networks"] {
        let row = database.query_one(&format!("select count(*) from {table}"), &[]).await?;
        assert_eq!(row.get::<_, i64>(0), 1, "{table} must contain only bob's row");
    }
    assert_eq!(service.anonymous().post("/api/register", &registration("ada").body()).await.status, 201);
    Ok(())
}

#[tokio::test]
async fn an_operator_mails_a_code_that_the_user_resets_the_password_with() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    let user = format!("/api/admin/users/{}", id_of(&ada).await);
    let handle = operator(&service).post(&format!("{user}/password-reset"), "").await.handle();
    let messages = mailbox.take();
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert!(matches!(message.content, Content::PasswordReset { .. }) && message.to == "ada@example.com");
    let code = message.content.code().expect("a code").as_str();
    let body = json!({ "handle": handle, "code": code, "new_password": "another password" }).to_string();
    assert_eq!(service.anonymous().post("/api/password-reset/confirm", &body).await.outcome(), "200");
    assert_eq!(service.anonymous().token_for("ada", "another password").await.outcome(), "200");
}
