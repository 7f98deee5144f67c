//! Tests of the throttling of password guesses, at sign-in and at re-authentication.

use std::time::Duration;

use expect_test::expect;
use serde_json::json;

use crate::support::{Client, Outcome, in_process, password, race, registration};

/// An address from which the user has not signed in.
const OTHER_ADDRESS: &str = "198.51.100.7";

async fn guess(client: &Client, name: &str) -> String {
    let answer = client.token_for(name, "a wrong guess").await;
    match answer.header("retry-after") {
        Some(seconds) => format!("{}, {seconds} s", answer.outcome()),
        None => answer.outcome(),
    }
}

async fn guess_until_throttled(client: &Client, name: &str) {
    for _ in 0..5 {
        assert_eq!(guess(client, name).await, "401 INVALID_CREDENTIALS");
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn after_five_failures_an_account_is_throttled_for_one_second() {
    let service = in_process();
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    guess_until_throttled(&anonymous, "ada").await;
    let throttled = anonymous.token_for("ada", password()).await;
    expect![[r#"
        429
        retry-after: 1
        {
          "code": "TOO_MANY_ATTEMPTS",
          "message": "Too many failed attempts. Try again in 1 second.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&throttled.to_string());
    service.clock.advance(seconds(1));
    assert_eq!(anonymous.token_for("ada", password()).await.status, 200);
    guess_until_throttled(&anonymous.at(OTHER_ADDRESS), "ada").await;
}

#[tokio::test]
async fn unknown_accounts_are_throttled_identically() {
    let service = in_process();
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    for step in 0..40 {
        let known = guess(&anonymous, "ada").await;
        for unknown in ["unknown", "unknown@example.com", "unk\0nown"] {
            assert_eq!(guess(&anonymous, unknown).await, known, "step {step}: {unknown:?}");
        }
        service.clock.advance(seconds(step * step));
    }
}

#[tokio::test]
async fn each_failure_doubles_the_wait_up_to_15_minutes() {
    let service = in_process();
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    guess_until_throttled(&anonymous, "ada").await;
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
        assert_eq!(guess(&anonymous, "ada").await, format!("429 TOO_MANY_ATTEMPTS, {wait} s"));
        service.clock.advance(seconds(wait - 1));
        assert_eq!(guess(&anonymous, "ada").await, "429 TOO_MANY_ATTEMPTS, 1 s", "attempts do not prolong the wait");
        service.clock.advance(seconds(1));
        assert_eq!(guess(&anonymous, "ada").await, "401 INVALID_CREDENTIALS");
    }
    service.clock.advance(seconds(900));
    assert_eq!(
        anonymous.token_for("ada", password()).await.status,
        200,
        "the correct password is accepted after the wait"
    );
}

#[tokio::test]
async fn the_username_and_the_email_address_share_one_count() {
    let anonymous = in_process().anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    for name in ["ada", "ada@example.com", "ADA", "Ada@Example.com", "ada"] {
        assert_eq!(guess(&anonymous, name).await, "401 INVALID_CREDENTIALS");
    }
    assert_eq!(guess(&anonymous, "ada@example.com").await, "429 TOO_MANY_ATTEMPTS, 1 s");
}

#[tokio::test]
async fn guesses_from_other_networks_do_not_throttle_the_network_of_a_session() {
    let service = in_process();
    let home = service.anonymous().at("203.0.113.5");
    home.clone().sign_up("ada").await;
    for address in [OTHER_ADDRESS, "2001:db8::1", "no address", "198.51.100.8", "198.51.100.9"] {
        assert_eq!(
            guess(&service.anonymous().at(address), "ada").await,
            "401 INVALID_CREDENTIALS",
            "all other networks share one count"
        );
    }
    let other = service.anonymous().at(OTHER_ADDRESS);
    assert_eq!(other.token_for("ada", password()).await.outcome(), "429 TOO_MANY_ATTEMPTS");
    assert_eq!(home.token_for("ada", password()).await.status, 200);
    assert_eq!(
        other.token_for("ada", password()).await.outcome(),
        "429 TOO_MANY_ATTEMPTS",
        "a sign-in from the network of a session must not end the throttling of others"
    );
    guess_until_throttled(&home, "ada").await;
    assert_eq!(
        home.token_for("ada", password()).await.outcome(),
        "429 TOO_MANY_ATTEMPTS",
        "the network of a session has a separate count"
    );
}

#[tokio::test]
async fn concurrent_guesses_are_counted_individually() {
    let service = in_process();
    let client = service.anonymous();
    client.post("/api/register", &registration("ada").body()).await;
    for name in ["ada", "unknown"] {
        let outcomes = race(20, |_| {
            let client = client.clone();
            async move { client.token_for(name, "a wrong guess").await }
        })
        .await;
        let expected = [("401 INVALID_CREDENTIALS".to_owned(), 5), ("429 TOO_MANY_ATTEMPTS".to_owned(), 15)];
        assert_eq!(outcomes, expected.into(), "{name}");
    }
}

/// Otherwise concurrent guesses would bypass the throttle, because the account was not throttled when they arrived.
#[tokio::test]
async fn a_correct_password_is_rejected_if_concurrent_guesses_throttle_the_account_first() -> Outcome {
    let service = in_process();
    let client = service.anonymous();
    client.post("/api/register", &registration("ada").body()).await;
    guess(&client, "ada").await;
    let mut database = service.database.connect().await;
    let concurrent_guess = database.transaction().await?;
    concurrent_guess
        .execute("update sign_in_failures set throttled_until = throttled_until + interval '1 minute'", &[])
        .await?;
    let sign_in = tokio::spawn({
        let client = client.clone();
        async move { client.token_for("ada", password()).await }
    });
    service.database.until_a_statement_waits().await;
    concurrent_guess.commit().await?;
    assert_eq!(sign_in.await?.outcome(), "429 TOO_MANY_ATTEMPTS");
    Ok(())
}

#[tokio::test]
async fn concurrent_sign_ins_with_the_correct_password_all_succeed() {
    let service = in_process();
    let client = service.anonymous();
    client.post("/api/register", &registration("ada").body()).await;
    let outcomes = race(20, |_| {
        let client = client.clone();
        async move { client.token_for("ada", password()).await }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 20)].into());
}

#[tokio::test]
async fn reauthentication_is_throttled() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let delete = json!({ "password": "a wrong guess" }).to_string();
    let change = json!({ "current_password": "a wrong guess", "new_password": "another password" }).to_string();
    for _ in 0..2 {
        assert_eq!(ada.delete_with("/api/account", &delete).await.outcome(), "403 INVALID_CREDENTIALS");
        assert_eq!(ada.put("/api/account/password", &change).await.outcome(), "403 INVALID_CREDENTIALS");
    }
    assert_eq!(ada.delete_with("/api/account", &delete).await.outcome(), "403 INVALID_CREDENTIALS");
    let correct = json!({ "password": password() }).to_string();
    for answer in [ada.delete_with("/api/account", &correct).await, ada.put("/api/account/password", &change).await] {
        assert_eq!(answer.outcome(), "429 TOO_MANY_ATTEMPTS");
    }
    assert_eq!(ada.get("/api/account").await.status, 200, "the session must continue");
    service.clock.advance(seconds(1));
    assert_eq!(ada.delete_with("/api/account", &correct).await.status, 200);
}

#[tokio::test]
async fn throttled_sign_ins_do_not_keep_a_signed_in_user_from_changing_the_password() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    guess_until_throttled(&service.anonymous().at(OTHER_ADDRESS), "ada").await;
    guess_until_throttled(&service.anonymous(), "ada").await;
    let at_new_address = ada.at("192.0.2.1");
    let change = json!({ "current_password": password(), "new_password": "another password" }).to_string();
    assert_eq!(at_new_address.put("/api/account/password", &change).await.status, 200);
}

#[tokio::test]
async fn a_refresh_updates_the_network_of_the_session() {
    let service = in_process();
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    let tokens = service.anonymous().token_for("ada", password()).await;
    let at_new_address = service.anonymous().at("192.0.2.1");
    assert_eq!(at_new_address.refresh(&tokens.text("refresh_token")).await.status, 200);
    guess_until_throttled(&service.anonymous().at(OTHER_ADDRESS), "ada").await;
    assert_eq!(at_new_address.token_for("ada", password()).await.status, 200);
}

#[tokio::test]
async fn failures_expire_after_four_hours_and_their_rows_are_removed() -> Outcome {
    let service = in_process();
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    for _ in 0..4 {
        guess(&anonymous, "ada").await;
    }
    for number in 0..30 {
        guess(&anonymous, &format!("unknown-{number}")).await;
    }
    service.clock.advance(seconds(4 * 3600));
    guess_until_throttled(&anonymous, "ada").await;
    let database = service.database.connect().await;
    let row = database.query_one("select count(*), max(length(subject)) from sign_in_failures", &[]).await?;
    assert_eq!(row.get::<_, i64>(0), 1, "the new failures must have removed the expired rows");
    assert!(row.get::<_, i32>(1) <= 43, "names must not be stored");
    Ok(())
}
