//! Tests of the limits for each network and each account.

use serde_json::json;

use crate::support::guesses::{OTHER_ADDRESS, guess, limited, seconds};
use crate::support::{in_process, password, race, registration};

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
