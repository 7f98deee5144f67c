//! Guessing passwords is slow, and slows nobody else.

use std::time::Duration;

use expect_test::expect;
use serde_json::json;

use crate::support::{Client, Outcome, in_process, password, race, registration};

/// An address from which nobody has signed in.
const ELSEWHERE: &str = "198.51.100.7";

async fn guess(client: &Client, name: &str) -> String {
    let answer = client.token_for(name, "a wrong guess").await;
    match answer.header("retry-after") {
        Some(seconds) => format!("{}, {seconds} s", answer.outcome()),
        None => answer.outcome(),
    }
}

async fn guess_until_closed(client: &Client, name: &str) {
    for _ in 0..5 {
        assert_eq!(guess(client, name).await, "401 INVALID_CREDENTIALS");
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn after_five_failures_the_account_is_closed_for_a_while() {
    let service = in_process();
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    guess_until_closed(&anonymous, "ada").await;
    let closed = anonymous.token_for("ada", password()).await;
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
    .assert_eq(&closed.to_string());
    service.clock.advance(seconds(1));
    assert_eq!(anonymous.token_for("ada", password()).await.status, 200);
    guess_until_closed(&anonymous.at(ELSEWHERE), "ada").await;
}

#[tokio::test]
async fn a_name_that_nobody_has_is_closed_in_the_same_way() {
    let service = in_process();
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    for step in 0..40 {
        let known = guess(&anonymous, "ada").await;
        for unknown in ["nobody", "nobody@example.com", "no\0body"] {
            assert_eq!(guess(&anonymous, unknown).await, known, "step {step}: {unknown:?}");
        }
        service.clock.advance(seconds(step * step));
    }
}

#[tokio::test]
async fn each_failure_doubles_the_wait_up_to_a_quarter_of_an_hour() {
    let service = in_process();
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    guess_until_closed(&anonymous, "ada").await;
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
        assert_eq!(guess(&anonymous, "ada").await, format!("429 TOO_MANY_ATTEMPTS, {wait} s"));
        service.clock.advance(seconds(wait - 1));
        assert_eq!(guess(&anonymous, "ada").await, "429 TOO_MANY_ATTEMPTS, 1 s", "attempts do not prolong the wait");
        service.clock.advance(seconds(1));
        assert_eq!(guess(&anonymous, "ada").await, "401 INVALID_CREDENTIALS");
    }
    service.clock.advance(seconds(900));
    assert_eq!(anonymous.token_for("ada", password()).await.status, 200, "the owner's turn has come");
}

#[tokio::test]
async fn both_names_of_an_account_have_one_count() {
    let anonymous = in_process().anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    for name in ["ada", "ada@example.com", "ADA", "Ada@Example.com", "ada"] {
        assert_eq!(guess(&anonymous, name).await, "401 INVALID_CREDENTIALS");
    }
    assert_eq!(guess(&anonymous, "ada@example.com").await, "429 TOO_MANY_ATTEMPTS, 1 s");
}

#[tokio::test]
async fn nobody_elsewhere_can_close_the_account_where_its_owner_is_signed_in() {
    let service = in_process();
    let home = service.anonymous().at("203.0.113.5");
    home.clone().sign_up("ada").await;
    for address in [ELSEWHERE, "2001:db8::1", "no address", "198.51.100.8", "198.51.100.9"] {
        assert_eq!(
            guess(&service.anonymous().at(address), "ada").await,
            "401 INVALID_CREDENTIALS",
            "one count for all"
        );
    }
    let elsewhere = service.anonymous().at(ELSEWHERE);
    assert_eq!(elsewhere.token_for("ada", password()).await.outcome(), "429 TOO_MANY_ATTEMPTS");
    assert_eq!(home.token_for("ada", password()).await.status, 200);
    assert_eq!(elsewhere.token_for("ada", password()).await.outcome(), "429 TOO_MANY_ATTEMPTS", "that changed nothing");
    guess_until_closed(&home, "ada").await;
    assert_eq!(home.token_for("ada", password()).await.outcome(), "429 TOO_MANY_ATTEMPTS", "it has a count of its own");
}

#[tokio::test]
async fn guesses_that_are_made_at_once_are_counted_one_by_one() {
    let service = in_process();
    let client = service.anonymous();
    client.post("/api/register", &registration("ada").body()).await;
    for name in ["ada", "nobody"] {
        let outcomes = race(20, |_| {
            let client = client.clone();
            async move { client.token_for(name, "a wrong guess").await }
        })
        .await;
        let expected = [("401 INVALID_CREDENTIALS".to_owned(), 5), ("429 TOO_MANY_ATTEMPTS".to_owned(), 15)];
        assert_eq!(outcomes, expected.into(), "{name}");
    }
}

/// Otherwise a guess in a crowd would be as good as a guess alone: the account was open when it came.
#[tokio::test]
async fn a_right_password_is_of_no_use_once_others_have_closed_the_account() -> Outcome {
    let service = in_process();
    let client = service.anonymous();
    client.post("/api/register", &registration("ada").body()).await;
    guess(&client, "ada").await;
    let mut database = service.database.connect().await;
    let others = database.transaction().await?;
    others.execute("update sign_in_failures set throttled_until = throttled_until + interval '1 minute'", &[]).await?;
    let sign_in = tokio::spawn({
        let client = client.clone();
        async move { client.token_for("ada", password()).await }
    });
    service.database.until_a_statement_waits().await;
    others.commit().await?;
    assert_eq!(sign_in.await?.outcome(), "429 TOO_MANY_ATTEMPTS");
    Ok(())
}

#[tokio::test]
async fn right_passwords_side_by_side_are_all_let_in() {
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
async fn a_password_that_a_signed_in_user_repeats_is_guessed_no_faster() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let delete = json!({ "password": "a wrong guess" }).to_string();
    let change = json!({ "current_password": "a wrong guess", "new_password": "another password" }).to_string();
    for _ in 0..2 {
        assert_eq!(ada.delete_with("/api/account", &delete).await.outcome(), "403 INVALID_CREDENTIALS");
        assert_eq!(ada.put("/api/account/password", &change).await.outcome(), "403 INVALID_CREDENTIALS");
    }
    assert_eq!(ada.delete_with("/api/account", &delete).await.outcome(), "403 INVALID_CREDENTIALS");
    let right = json!({ "password": password() }).to_string();
    for answer in [ada.delete_with("/api/account", &right).await, ada.put("/api/account/password", &change).await] {
        assert_eq!(answer.outcome(), "429 TOO_MANY_ATTEMPTS");
    }
    assert_eq!(ada.get("/api/account").await.status, 200, "the session goes on");
    service.clock.advance(seconds(1));
    assert_eq!(ada.delete_with("/api/account", &right).await.status, 200);
}

#[tokio::test]
async fn nobody_outside_can_keep_a_signed_in_user_from_changing_the_password() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    guess_until_closed(&service.anonymous().at(ELSEWHERE), "ada").await;
    guess_until_closed(&service.anonymous(), "ada").await;
    let on_the_way = ada.at("192.0.2.1");
    let change = json!({ "current_password": password(), "new_password": "another password" }).to_string();
    assert_eq!(on_the_way.put("/api/account/password", &change).await.status, 200);
}

#[tokio::test]
async fn a_refresh_tells_where_its_owner_is_now() {
    let service = in_process();
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    let tokens = service.anonymous().token_for("ada", password()).await;
    let moved = service.anonymous().at("192.0.2.1");
    assert_eq!(moved.refresh(&tokens.text("refresh_token")).await.status, 200);
    guess_until_closed(&service.anonymous().at(ELSEWHERE), "ada").await;
    assert_eq!(moved.token_for("ada", password()).await.status, 200);
}

#[tokio::test]
async fn failures_are_forgotten_after_four_hours_and_their_rows_are_removed() -> Outcome {
    let service = in_process();
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    for _ in 0..4 {
        guess(&anonymous, "ada").await;
    }
    for name in 0..30 {
        guess(&anonymous, &format!("nobody-{name}")).await;
    }
    service.clock.advance(seconds(4 * 3600));
    guess_until_closed(&anonymous, "ada").await;
    let database = service.database.connect().await;
    let row = database.query_one("select count(*), max(length(subject)) from sign_in_failures", &[]).await?;
    assert_eq!(row.get::<_, i64>(0), 1, "what five failures found to remove is gone");
    assert!(row.get::<_, i32>(1) <= 43, "names are not kept");
    Ok(())
}
