//! Tests of the throttling of password guesses, at sign-in and at re-authentication.

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use serde_json::json;
use shared::settings::{Limits, Settings};

use crate::support::scenarios::sweep;
use crate::support::{Client, Outcome, Service, database, in_process, password, race, registration, settings};

/// An address from which the user has not signed in.
const OTHER_ADDRESS: &str = "198.51.100.7";

/// The service with limits for each network.
fn limited(failed_sign_ins: u32, registrations: u32) -> Arc<Service> {
    Service::new(database(), Settings { limits: Limits { failed_sign_ins, registrations }, ..settings() })
}

/// An address of a network of its own.
fn address(number: u32) -> String {
    format!("203.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255)
}

async fn guess(client: &Client, name: &str) -> String {
    let response = client.token_for(name, "a wrong guess").await;
    match response.header("retry-after") {
        Some(seconds) => format!("{}, {seconds} s", response.outcome()),
        None => response.outcome(),
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
          "message": "Too many attempts. Try again in 1 second.",
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

/// Otherwise the counts would tell that a name and an address belong together.
#[tokio::test]
async fn the_username_and_the_email_address_have_separate_counts_that_ignore_case() {
    let anonymous = in_process().anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    for names in
        [["ada", "ADA", "Ada", " ada ", "ada"], ["ada@example.com"; 5], ["other", "OTHER", "Other", " other", "other"]]
    {
        for name in names {
            assert_eq!(guess(&anonymous, name).await, "401 INVALID_CREDENTIALS", "{name:?}");
        }
        assert_eq!(guess(&anonymous, names[0]).await, "429 TOO_MANY_ATTEMPTS, 1 s");
    }
}

/// An attacker cannot tell from which networks the user signs in.
#[tokio::test]
async fn each_network_has_its_own_count_known_or_not() {
    let service = in_process();
    let home = service.anonymous().at("203.0.113.5");
    home.clone().sign_up("ada").await;
    for addresses in [
        ["203.0.113.5"; 5],
        ["198.51.100.8"; 5],
        ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::", "2001:db8::1", "2001:db8::3"],
        ["2001:db8:0:1::1"; 5],
        // Without a network.
        ["no address", "", "198.51.100.8, 203.0.113.5", "999.1.1.1", "no address"],
    ] {
        for address in addresses {
            assert_eq!(guess(&service.anonymous().at(address), "ada").await, "401 INVALID_CREDENTIALS", "{address}");
        }
        let throttled = service.anonymous().at(addresses[0]);
        assert_eq!(guess(&throttled, "ada").await, "429 TOO_MANY_ATTEMPTS, 1 s", "{}", addresses[0]);
        assert_eq!(throttled.token_for("ada", password()).await.outcome(), "429 TOO_MANY_ATTEMPTS");
    }
    service.clock.advance(seconds(1));
    assert_eq!(home.token_for("ada", password()).await.status, 200);
    assert_eq!(
        guess(&service.anonymous().at("198.51.100.8"), "ada").await,
        "401 INVALID_CREDENTIALS",
        "one more failure is counted"
    );
    assert_eq!(
        guess(&service.anonymous().at("198.51.100.8"), "ada").await,
        "429 TOO_MANY_ATTEMPTS, 2 s",
        "a sign-in from another network has not ended the throttle"
    );
}

#[tokio::test]
async fn a_network_that_guesses_over_many_names_is_throttled_whatever_the_name() {
    let service = limited(20, 0);
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    let attacker = service.anonymous().at("2001:db8::1");
    for number in 0..20 {
        assert_eq!(guess(&attacker, &format!("user-{number}")).await, "401 INVALID_CREDENTIALS", "{number}");
    }
    for (name, password) in [("another", "guess"), ("ada", "guess"), ("ada", password())] {
        let response = service.anonymous().at("2001:db8::2").token_for(name, password).await;
        assert_eq!(
            (response.outcome().as_str(), response.header("retry-after")),
            ("429 TOO_MANY_ATTEMPTS", Some("180"))
        );
    }
    let neighbour = service.anonymous().at("2001:db8:0:1::1");
    assert_eq!(neighbour.token_for("ada", password()).await.status, 200, "the next network is another one");
    service.clock.advance(seconds(179));
    assert_eq!(guess(&attacker, "another").await, "429 TOO_MANY_ATTEMPTS, 1 s");
    service.clock.advance(seconds(1));
    assert_eq!(attacker.token_for("ada", password()).await.status, 200);
    assert_eq!(guess(&attacker, "another").await, "401 INVALID_CREDENTIALS");
    assert_eq!(
        guess(&attacker, "one-more").await,
        "429 TOO_MANY_ATTEMPTS, 180 s",
        "a sign-in does not refill the bucket"
    );
    service.clock.advance(seconds(3600));
    for number in 0..20 {
        assert_eq!(guess(&attacker, &format!("later-{number}")).await, "401 INVALID_CREDENTIALS", "{number}");
    }
    assert_eq!(guess(&attacker, "last").await, "429 TOO_MANY_ATTEMPTS, 180 s");
}

/// Guesses at once find the bucket with a token. They must not empty it for longer than one guess does.
#[tokio::test]
async fn concurrent_guesses_empty_the_bucket_of_a_network_once() {
    let service = limited(5, 0);
    let attacker = service.anonymous();
    let outcomes = race(30, |number| {
        let attacker = attacker.clone();
        async move { attacker.token_for(&format!("user-{number}"), "a wrong guess").await }
    })
    .await;
    assert!(
        outcomes.keys().all(|outcome| ["401 INVALID_CREDENTIALS", "429 TOO_MANY_ATTEMPTS"].contains(&outcome.as_str()))
    );
    assert!(outcomes["401 INVALID_CREDENTIALS"] >= 5, "{outcomes:?}");
    assert_eq!(guess(&attacker, "another").await, "429 TOO_MANY_ATTEMPTS, 720 s");
}

#[tokio::test]
async fn failed_reauthentication_counts_for_the_network() {
    let service = limited(3, 0);
    let ada = service.anonymous().sign_up("ada").await;
    let wrong = json!({ "password": "a wrong guess" }).to_string();
    for _ in 0..3 {
        assert_eq!(ada.delete_with("/api/account", &wrong).await.outcome(), "403 INVALID_CREDENTIALS");
    }
    assert_eq!(ada.delete_with("/api/account", &wrong).await.outcome(), "429 TOO_MANY_ATTEMPTS");
    assert_eq!(ada.token_for("ada", password()).await.outcome(), "429 TOO_MANY_ATTEMPTS");
    assert_eq!(ada.get("/api/account").await.status, 200, "the session continues");
}

/// A guesser with many networks makes 100 guesses and then 96 a day. The owner signs in from every known network all the
/// time, with and without a session there.
#[tokio::test]
async fn guesses_from_many_networks_end_at_the_limit_of_the_account_except_for_known_networks() {
    let service = in_process();
    let home = service.anonymous().at("198.51.100.1");
    let ada = home.clone().sign_up("ada").await;
    assert_eq!(ada.delete("/api/sessions").await.status, 200, "familiarity outlives sessions");
    for number in 0..100 {
        assert_eq!(guess(&service.anonymous().at(&address(number)), "ada").await, "401 INVALID_CREDENTIALS");
    }
    let elsewhere = service.anonymous().at(OTHER_ADDRESS);
    for name in ["ada", "ada@example.com"] {
        let right = elsewhere.token_for(name, password()).await;
        let wrong = elsewhere.token_for(name, "a wrong guess").await;
        assert_eq!(right.outcome(), "401 INVALID_CREDENTIALS", "{name}");
        assert_eq!(right.json()["message"], wrong.json()["message"], "it looks like a wrong password");
    }
    for _ in 0..3 {
        assert_eq!(home.token_for("ada", password()).await.status, 200);
    }
    service.clock.advance(seconds(15 * 60));
    assert_eq!(
        service.anonymous().at("192.0.2.1").token_for("ada", password()).await.status,
        200,
        "an attempt becomes possible every 15 minutes"
    );
    // That network is known now.
    assert_eq!(guess(&service.anonymous().at(&address(101)), "ada").await, "401 INVALID_CREDENTIALS");
    assert_eq!(elsewhere.token_for("ada", password()).await.outcome(), "401 INVALID_CREDENTIALS");
    assert_eq!(service.anonymous().at("192.0.2.1").token_for("ada", password()).await.status, 200);
}

/// One guess every 15 minutes, for ever, does not keep the owner out of a new network either.
#[tokio::test]
async fn a_slow_guesser_does_not_keep_the_owner_out() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    assert_eq!(ada.delete("/api/sessions").await.status, 200);
    let attacker = service.anonymous().at(OTHER_ADDRESS);
    for round in 0..200 {
        guess(&attacker, "ada").await;
        let owner = service.anonymous().at(&address(round));
        if round % 20 == 0 {
            assert_eq!(owner.token_for("ada", password()).await.status, 200, "round {round}");
        }
        service.clock.advance(seconds(15 * 60));
    }
}

#[tokio::test]
async fn a_user_has_at_most_50_known_networks_for_90_days() -> Outcome {
    let service = in_process();
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    for number in 0..60 {
        let client = service.anonymous().at(&address(number));
        assert_eq!(client.token_for("ada", password()).await.status, 200);
        service.clock.advance(seconds(1));
    }
    let ada = service.anonymous().at(&address(59)).sign_in("ada").await;
    let export = ada.get("/api/account/export").await.json();
    let networks: Vec<_> = export["data"]["known_networks"].as_array().into_iter().flatten().collect();
    assert_eq!(networks.len(), 50);
    assert_eq!((&networks[0]["network"], &networks[49]["network"]), (&json!(address(59)), &json!(address(10))));
    service.clock.advance(seconds(90 * 24 * 3600 - 1));
    assert_eq!(sweep(&service).await?.known_networks, 49, "the last one was seen a second later");
    service.clock.advance(seconds(2));
    assert_eq!(sweep(&service).await?.known_networks, 1);
    Ok(())
}

#[tokio::test]
async fn a_network_registers_as_many_accounts_as_its_limit_in_an_hour() {
    let service = limited(0, 5);
    let client = service.anonymous().at("2001:db8::1");
    for number in 0..4 {
        let outcome = client.post("/api/register", &registration(&format!("user-{number}")).body()).await.outcome();
        assert_eq!(outcome, "201", "{number}");
    }
    assert_eq!(client.post("/api/register", &registration("user-0").body()).await.outcome(), "409 USERNAME_EXISTS");
    for _ in 0..2 {
        // The second one is rejected before the password is hashed.
        let throttled =
            service.anonymous().at("2001:db8::2").post("/api/register", &registration("user-5").body()).await;
        assert_eq!(throttled.outcome(), "429 TOO_MANY_ATTEMPTS");
        assert_eq!(throttled.header("retry-after"), Some("720"), "a registration that failed is counted");
    }
    let neighbour = service.anonymous().at("2001:db8:0:1::1");
    assert_eq!(neighbour.post("/api/register", &registration("user-5").body()).await.outcome(), "201");
    service.clock.advance(seconds(720));
    assert_eq!(client.post("/api/register", &registration("user-6").body()).await.outcome(), "201");
    assert_eq!(client.post("/api/register", &registration("user-7").body()).await.outcome(), "429 TOO_MANY_ATTEMPTS");
    assert_eq!(
        neighbour.token_for("user-7", password()).await.outcome(),
        "401 INVALID_CREDENTIALS",
        "nothing is half done"
    );
}

#[tokio::test]
async fn concurrent_registrations_do_not_exceed_the_limit() {
    let service = limited(0, 5);
    let client = service.anonymous();
    let outcomes = race(20, |number| {
        let client = client.clone();
        async move { client.post("/api/register", &registration(&format!("user-{number}")).body()).await }
    })
    .await;
    assert_eq!(outcomes, [("201".to_owned(), 5), ("429 TOO_MANY_ATTEMPTS".to_owned(), 15)].into());
}

/// Each change hashes two passwords. A client with a valid token and the password must not keep a core busy.
#[tokio::test]
async fn an_account_changes_its_password_ten_times_at_once() {
    let service = in_process();
    let mut ada = service.anonymous().sign_up("ada").await;
    let change = |from: &str, to: &str| json!({ "current_password": from, "new_password": to }).to_string();
    let passwords =
        |number: usize| if number == 0 { password().to_owned() } else { format!("another passphrase {number}") };
    for number in 0..10 {
        let changed = ada.put("/api/account/password", &change(&passwords(number), &passwords(number + 1))).await;
        assert_eq!(changed.outcome(), "200", "{number}");
        ada = service.anonymous().with_token(&changed.text("access_token"));
    }
    let throttled = ada.put("/api/account/password", &change(&passwords(10), &passwords(11))).await;
    assert_eq!((throttled.outcome().as_str(), throttled.header("retry-after")), ("429 TOO_MANY_ATTEMPTS", Some("360")));
    let elsewhere = service.anonymous().at(OTHER_ADDRESS);
    assert_eq!(elsewhere.token_for("ada", &passwords(10)).await.status, 200, "sign-in is not affected");
    service.clock.advance(seconds(360));
    assert_eq!(ada.put("/api/account/password", &change(&passwords(10), &passwords(11))).await.outcome(), "200");
}

/// The row of a name is locked before that of a network. In another order, crossing attempts would deadlock.
#[tokio::test]
async fn concurrent_failures_over_crossing_names_and_networks_do_not_deadlock() {
    let service = limited(1000, 0);
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    let outcomes = race(60, |number| {
        let client = service.anonymous().at(&address(u32::try_from(number % 3).unwrap_or_default()));
        async move { client.token_for(["ada", "ada@example.com", "unknown"][number / 3 % 3], "a wrong guess").await }
    })
    .await;
    assert!(
        outcomes.keys().all(|outcome| ["401 INVALID_CREDENTIALS", "429 TOO_MANY_ATTEMPTS"].contains(&outcome.as_str()))
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
    for response in [ada.delete_with("/api/account", &correct).await, ada.put("/api/account/password", &change).await] {
        assert_eq!(response.outcome(), "429 TOO_MANY_ATTEMPTS");
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
async fn a_refresh_from_a_new_network_makes_it_a_known_one() {
    let service = in_process();
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    let tokens = service.anonymous().token_for("ada", password()).await;
    let mobile = service.anonymous().at("192.0.2.1");
    assert_eq!(mobile.refresh(&tokens.text("refresh_token")).await.status, 200);
    let ada = service.anonymous().with_token(&tokens.text("access_token"));
    assert_eq!(ada.delete("/api/sessions").await.status, 200);
    for number in 0..100 {
        guess(&service.anonymous().at(&address(number)), "ada").await;
    }
    assert_eq!(
        service.anonymous().at(OTHER_ADDRESS).token_for("ada", password()).await.outcome(),
        "401 INVALID_CREDENTIALS"
    );
    assert_eq!(mobile.token_for("ada", password()).await.status, 200);
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
