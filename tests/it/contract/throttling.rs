//! Tests of the throttling of password guesses, at sign-in and at re-authentication.

use expect_test::expect;
use serde_json::json;

use crate::support::guesses::{OTHER_ADDRESS, address, guess, limited, seconds};
use crate::support::scenarios::sweep;
use crate::support::{Client, Outcome, in_process, password, race, registration};

async fn guess_until_throttled(client: &Client, name: &str) {
    for _ in 0..5 {
        assert_eq!(guess(client, name).await, "401 INVALID_CREDENTIALS");
    }
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
