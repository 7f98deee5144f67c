//! Tests of `POST /api/token/refresh`: rotation, repeated requests, detection of theft, and expiry.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::json;

use shared::App;
use shared::auth::refresh_token::RefreshToken;
use shared::db::sessions::{self, Refreshed};
use shared::domain::Device;
use shared::secrets::{NoKeys, Secrets};

use crate::support::{
    Client, Forged, Outcome, RefreshTokenParts, Response, Service, in_process, password, pool, race, registration,
    settings,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const RETRY_WINDOW: Duration = Duration::from_mins(2);
const RACE_WINDOW: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// An access token and the refresh token that was issued with it.
#[derive(Clone)]
struct Tokens {
    access: String,
    refresh: String,
}

impl From<Response> for Tokens {
    fn from(response: Response) -> Self {
        assert_eq!(response.status, 200, "{}", response.body);
        Self { access: response.text("access_token"), refresh: response.text("refresh_token") }
    }
}

async fn sign_up(service: &Arc<Service>) -> (Client, Tokens) {
    let anonymous = service.anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    let tokens = anonymous.token_for("ada", password()).await.into();
    (anonymous, tokens)
}

async fn refresh(client: &Client, token: &str) -> Tokens {
    client.refresh(token).await.into()
}

async fn is_accepted(client: &Client, access_token: &str) -> bool {
    let response = client.clone().with_token(access_token).get("/api/account").await;
    assert!(["200", "401 INVALID_TOKEN"].contains(&response.outcome().as_str()), "{}", response.body);
    response.status == 200
}

#[tokio::test]
async fn a_refresh_returns_new_tokens_for_the_same_session() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let response = client.refresh(&first.refresh).await;
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
          "message": "Tokens refreshed",
          "status": "success"
        }
    "#]]
    .assert_eq(&response.to_string());
    let second = Tokens::from(response);
    assert_ne!(second.refresh, first.refresh);
    let session = |token: &str| Forged::from(token).claims()["sid"].clone();
    assert_eq!(session(&second.access), session(&first.access));
    assert!(is_accepted(&client, &first.access).await && is_accepted(&client, &second.access).await);
}

#[tokio::test]
async fn a_refresh_repeated_within_the_retry_window_returns_the_same_refresh_token() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(RETRY_WINDOW.saturating_sub(MILLISECOND));
    let again = refresh(&client, &first.refresh).await;
    assert_eq!(again.refresh, second.refresh, "a repeated refresh must not issue another refresh token");
    assert!(is_accepted(&client, &again.access).await);
    refresh(&client, &second.refresh).await;
}

#[tokio::test]
async fn a_refresh_repeated_after_ten_seconds_is_theft_once_its_successor_was_refreshed() {
    for (wait, expected) in [(RACE_WINDOW.saturating_sub(SECOND + MILLISECOND), 200), (RACE_WINDOW, 401)] {
        let service = in_process();
        let (client, first) = sign_up(&service).await;
        let second = refresh(&client, &first.refresh).await;
        service.clock.advance(SECOND);
        let third = refresh(&client, &second.refresh).await;
        service.clock.advance(wait);
        let again = client.refresh(&first.refresh).await;
        assert_eq!(again.status, expected, "after {wait:?}");
        if expected == 200 {
            assert_eq!(
                again.text("refresh_token"),
                second.refresh,
                "every use of a token must return the same successor"
            );
            assert_eq!(refresh(&client, &second.refresh).await.refresh, third.refresh);
        }
        assert_eq!(client.refresh(&third.refresh).await.status, expected);
    }
}

#[tokio::test]
async fn only_a_successor_that_is_refreshed_within_ten_seconds_leaves_its_predecessor_usable() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    service.clock.advance(DAY);
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(RACE_WINDOW);
    let third = refresh(&client, &second.refresh).await;
    assert_eq!(client.refresh(&first.refresh).await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(client.refresh(&third.refresh).await.outcome(), "401 INVALID_TOKEN", "the session must have ended");
}

/// Four refreshes within a second. The first token cannot be told from a stolen one, but may be one of a race.
#[tokio::test]
async fn a_token_that_is_superseded_by_a_burst_is_rejected_and_the_session_continues() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    service.clock.advance(DAY);
    let mut newest = first.clone();
    for _ in 0..4 {
        newest = refresh(&client, &newest.refresh).await;
        service.clock.advance(SECOND / 4);
    }
    assert_eq!(client.refresh(&first.refresh).await.outcome(), "401 INVALID_TOKEN");
    assert!(is_accepted(&client, &newest.access).await, "the session must continue");
    let newest = refresh(&client, &newest.refresh).await;
    service.clock.advance(RACE_WINDOW);
    assert_eq!(client.refresh(&first.refresh).await.outcome(), "401 INVALID_TOKEN");
    assert!(!is_accepted(&client, &newest.access).await, "after the burst, the token is treated as stolen");
}

#[tokio::test]
async fn a_thief_who_refreshes_in_a_loop_is_noticed() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    service.clock.advance(DAY);
    let mut thief = refresh(&client, &first.refresh).await;
    for _ in 0..21 {
        service.clock.advance(SECOND);
        thief = refresh(&client, &thief.refresh).await;
    }
    assert_eq!(client.refresh(&first.refresh).await.outcome(), "401 INVALID_TOKEN");
    assert!(!is_accepted(&client, &thief.access).await);
    assert_eq!(client.refresh(&thief.refresh).await.outcome(), "401 INVALID_TOKEN");
}

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[tokio::test]
async fn a_copied_token_is_noticed_at_the_next_use_by_the_owner_or_the_thief() {
    let service = in_process();
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    let client = service.anonymous();
    for seed in 0..40 {
        let mut numbers = Numbers(seed);
        let mut owner = Tokens::from(client.token_for("ada", password()).await);
        for _ in 0..numbers.below(4) {
            service.clock.advance(3 * MINUTE + SECOND * u32::try_from(numbers.below(9999)).expect("a small number"));
            owner = refresh(&client, &owner.refresh).await;
        }
        let mut holders = [owner.clone(), owner];
        let mut last_user = None;
        for step in 0.. {
            service.clock.advance(3 * MINUTE + SECOND * u32::try_from(numbers.below(9999)).expect("a small number"));
            let user = usize::from(numbers.below(3) == 0);
            let response = client.refresh(&holders[user].refresh).await;
            if last_user.is_none_or(|last| last == user) {
                holders[user] = response.into();
                last_user = Some(user);
                continue;
            }
            assert_eq!(response.outcome(), "401 INVALID_TOKEN", "seed {seed}, step {step}");
            for holder in &holders {
                assert!(!is_accepted(&client, &holder.access).await, "seed {seed}, step {step}");
                assert_eq!(client.refresh(&holder.refresh).await.outcome(), "401 INVALID_TOKEN");
            }
            break;
        }
    }
}

#[tokio::test]
async fn reuse_of_a_refresh_token_after_the_retry_window_ends_its_session() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let other = Tokens::from(client.token_for("ada", password()).await);
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(RETRY_WINDOW);
    let reused = client.refresh(&first.refresh).await;
    expect![[r#"
        401
        www-authenticate: Bearer error="invalid_token"
        {
          "code": "INVALID_TOKEN",
          "message": "The refresh token is invalid, expired, or revoked. Sign in again.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&reused.to_string());
    assert!(!is_accepted(&client, &first.access).await && !is_accepted(&client, &second.access).await);
    assert_eq!(
        client.refresh(&second.refresh).await.outcome(),
        "401 INVALID_TOKEN",
        "the newest refresh token of the session must be revoked too"
    );
    assert!(is_accepted(&client, &other.access).await, "other sessions of the user must continue");
}

#[tokio::test]
async fn concurrent_refreshes_return_the_same_refresh_token() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let outcomes = race(12, |_| {
        let (client, token, seen) = (client.clone(), first.refresh.clone(), Arc::clone(&seen));
        async move {
            let response = client.refresh(&token).await;
            seen.lock().expect("a lock that is not poisoned").insert(response.text("refresh_token"));
            response
        }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 12)].into());
    let seen = seen.lock().expect("a lock that is not poisoned").clone();
    assert_eq!(seen.len(), 1, "{seen:?}");
    service.clock.advance(DAY);
    for token in seen {
        refresh(&client, &token).await;
    }
}

#[tokio::test]
async fn a_refresh_concurrent_with_the_end_of_its_session_does_not_prolong_the_session() {
    let service = in_process();
    let (client, _) = sign_up(&service).await;
    for _ in 0..5 {
        let tokens = Tokens::from(client.token_for("ada", password()).await);
        let outcomes = race(6, |index| {
            let (client, tokens) = (client.clone(), (tokens.access.clone(), tokens.refresh.clone()));
            async move {
                match index {
                    0 => client.with_token(&tokens.0).delete("/api/sessions").await,
                    1 => client.post("/api/token/revoke", &json!({ "refresh_token": tokens.1 }).to_string()).await,
                    _ => client.refresh(&tokens.1).await,
                }
            }
        })
        .await;
        assert!(
            outcomes.keys().all(|outcome| ["200", "401 INVALID_TOKEN"].contains(&outcome.as_str())),
            "{outcomes:?}"
        );
        assert!(!is_accepted(&client, &tokens.access).await);
        assert_eq!(client.refresh(&tokens.refresh).await.outcome(), "401 INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_session_expires_thirty_days_after_its_last_refresh() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    service.clock.advance(29 * DAY);
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(29 * DAY);
    let third = refresh(&client, &second.refresh).await;
    service.clock.advance(30 * DAY);
    assert_eq!(client.refresh(&third.refresh).await.outcome(), "401 INVALID_TOKEN");
}

#[tokio::test]
async fn a_session_ends_180_days_after_the_sign_in_even_if_it_is_refreshed() {
    let service = in_process();
    let (client, mut tokens) = sign_up(&service).await;
    for day in (20..180).step_by(20) {
        service.clock.advance(20 * DAY);
        let response = client.refresh(&tokens.refresh).await;
        let expected_days = (180 - day).min(30);
        assert_eq!(response.json()["data"]["refresh_expires_in"], expected_days * 24 * 60 * 60, "day {day}");
        tokens = response.into();
    }
    service.clock.advance((20 * DAY).saturating_sub(SECOND));
    tokens = refresh(&client, &tokens.refresh).await;
    assert!(is_accepted(&client, &tokens.access).await);
    service.clock.advance(SECOND);
    assert!(!is_accepted(&client, &tokens.access).await);
    assert_eq!(client.refresh(&tokens.refresh).await.outcome(), "401 INVALID_TOKEN");
}

#[tokio::test]
async fn the_lifetimes_and_the_retry_window_are_configurable() {
    let mut settings = settings();
    settings.sessions.max_lifetime = 2 * DAY;
    settings.sessions.idle_lifetime = 3 * DAY;
    settings.sessions.retry_window = 5 * MINUTE;
    let service = in_process().with_settings(settings);
    let client = service.anonymous();
    client.post("/api/register", &registration("ada").body()).await;
    let response = client.token_for("ada", password()).await;
    assert_eq!(response.json()["data"]["refresh_expires_in"], 2 * 24 * 60 * 60);
    let first = Tokens::from(response);
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(4 * MINUTE);
    assert_eq!(refresh(&client, &first.refresh).await.refresh, second.refresh);
    service.clock.advance(MINUTE);
    assert_eq!(client.refresh(&first.refresh).await.outcome(), "401 INVALID_TOKEN");
}

/// The refreshes of a client in a loop, without HTTP and signatures, which would take minutes.
async fn refresh_often(service: &Service, first: &str, count: usize) -> Result<String, Box<dyn std::error::Error>> {
    let config = service.database.config_of("token-refresh");
    let secrets = Secrets::fixed(config, NoKeys, service.clock.clone());
    let app = App::new(settings(), secrets.into(), service.clock.clone(), pool(1));
    let mut newest: RefreshToken = first.parse()?;
    for _ in 0..count {
        service.clock.advance(30 * SECOND);
        let successor = newest.successor()?;
        let policy = &settings().sessions;
        let refreshed = sessions::refresh(app.db(), &newest, &successor, &Device::default(), policy, app.now()).await?;
        assert!(matches!(refreshed, Refreshed::Rotated { .. }), "{refreshed:?}");
        newest = successor;
    }
    Ok(newest.expose().to_string())
}

/// A refresh must not leave anything behind that the end of the session has to remove.
#[tokio::test]
async fn a_session_of_100_000_refreshes_keeps_its_size_and_ends_within_50_ms() -> Outcome {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let other = client.clone().sign_in("ada").await;
    let newest = refresh_often(&service, &first.refresh, 100_000).await?;
    let newest = refresh(&client, &newest).await;
    let database = service.database.connect().await;
    let row = database.query_one("select count(*), max(pg_column_size(sessions.*)) from sessions", &[]).await?;
    let (rows, bytes): (i64, i32) = (row.get(0), row.get(1));
    assert_eq!(rows, 2);
    assert!(bytes <= 400, "{bytes} bytes for one session");
    assert!(!is_accepted(&client, &other.token()).await, "the other session has expired meanwhile");
    let client = client.with_token(&newest.access);
    let started = Instant::now();
    assert!(is_accepted(&client, &newest.access).await);
    // On a busy machine every request takes longer.
    let patience = 50 * MILLISECOND + 10 * started.elapsed();
    let started = Instant::now();
    assert_eq!(client.delete("/api/sessions").await.outcome(), "200");
    let elapsed = started.elapsed();
    assert!(elapsed < patience, "the end took {elapsed:?}, and at most {patience:?} were expected");
    assert_eq!(client.refresh(&newest.refresh).await.outcome(), "401 INVALID_TOKEN");
    Ok(())
}

#[tokio::test]
async fn a_session_is_refreshed_120_times_at_once_and_then_every_30_seconds() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let mut newest = first;
    for _ in 0..120 {
        newest = refresh(&client, &newest.refresh).await;
    }
    for _ in 0..2 {
        let throttled = client.refresh(&newest.refresh).await;
        assert_eq!(throttled.outcome(), "429 TOO_MANY_ATTEMPTS");
        assert_eq!(throttled.header("retry-after"), Some("30"));
    }
    assert!(is_accepted(&client, &newest.access).await, "the session continues");
    service.clock.advance(30 * SECOND);
    newest = refresh(&client, &newest.refresh).await;
    assert_eq!(client.refresh(&newest.refresh).await.outcome(), "429 TOO_MANY_ATTEMPTS");
    service.clock.advance(60 * MINUTE);
    for _ in 0..120 {
        newest = refresh(&client, &newest.refresh).await;
    }
    assert_eq!(client.refresh(&newest.refresh).await.outcome(), "429 TOO_MANY_ATTEMPTS");
}

#[tokio::test]
async fn an_invalid_refresh_token_is_rejected_and_changes_nothing() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let other = Tokens::from(client.token_for("ada", password()).await);
    let (mine, others) = (RefreshTokenParts::from(&first.refresh), RefreshTokenParts::from(&other.refresh));
    let long = format!("{}AAAA", first.refresh);
    let crossed = [
        mine.clone().with_secrets_of(&others).text(),
        mine.clone().with_family_of(&others).text(),
        others.with_secrets_of(&mine).text(),
    ];
    let texts =
        ["", "x", &first.access, &first.refresh[1..], &first.refresh[4..], &first.refresh[..124], &long, "a\0b"];
    let made_up = ["A".repeat(43), "A".repeat(128), format!("{}{}", &first.refresh[..42], "A".repeat(86))];
    for token in texts.into_iter().map(str::to_owned).chain(made_up).chain(crossed) {
        assert_eq!(client.refresh(&token).await.outcome(), "401 INVALID_TOKEN", "{token:?}");
    }
    for body in ["{}", r#"{"refresh_token":null}"#, r#"{"refresh_token":1}"#, "[]", ""] {
        assert_eq!(client.post("/api/token/refresh", body).await.outcome(), "400 INVALID_REQUEST", "{body}");
    }
    refresh(&client, &first.refresh).await;
    refresh(&client, &other.refresh).await;
}

#[tokio::test]
async fn a_token_with_the_right_family_secret_that_was_never_issued_ends_the_session() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let other = Tokens::from(client.token_for("ada", password()).await);
    let mixed = RefreshTokenParts::from(&first.refresh).with_secret_of(&RefreshTokenParts::from(&other.refresh));
    assert_eq!(client.refresh(&mixed.text()).await.outcome(), "401 INVALID_TOKEN");
    assert!(!is_accepted(&client, &first.access).await);
    assert!(is_accepted(&client, &other.access).await);
}
