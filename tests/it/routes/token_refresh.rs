use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::expect;
use serde_json::json;

use crate::support::{Answer, Client, Forged, Service, in_process, password, race, registration};

const GRACE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_hours(24);

/// Both tokens of a client.
struct Tokens {
    access: String,
    refresh: String,
}

impl From<Answer> for Tokens {
    fn from(answer: Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self { access: answer.text("access_token"), refresh: answer.text("refresh_token") }
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

async fn works(client: &Client, access_token: &str) -> bool {
    let answer = client.clone().with_token(access_token).get("/api/account").await;
    assert!(["200", "401 INVALID_TOKEN"].contains(&answer.outcome().as_str()), "{}", answer.body);
    answer.status == 200
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_for_the_same_session() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let answer = client.refresh(&first.refresh).await;
    expect![[r#"
        200
        {
          "data": {
            "access_token": "[JWT]",
            "expires_in": 3600,
            "refresh_expires_in": 2592000,
            "refresh_token": "[256 bits]",
            "token_type": "Bearer"
          },
          "message": "Tokens refreshed",
          "status": "success"
        }
    "#]]
    .assert_eq(&answer.to_string());
    let second = Tokens::from(answer);
    assert_ne!(second.refresh, first.refresh);
    let session = |token: &str| Forged::from(token).claims()["sid"].clone();
    assert_eq!(session(&second.access), session(&first.access));
    assert!(works(&client, &first.access).await && works(&client, &second.access).await);
}

#[tokio::test]
async fn a_token_whose_answer_was_lost_gets_the_same_answer_again() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(GRACE.saturating_sub(Duration::from_millis(1)));
    let again = refresh(&client, &first.refresh).await;
    assert_eq!(again.refresh, second.refresh, "the session has not forked");
    assert!(works(&client, &again.access).await);
    refresh(&client, &second.refresh).await;
}

#[tokio::test]
async fn a_repeated_token_is_followed_to_the_newest() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let second = refresh(&client, &first.refresh).await;
    let third = refresh(&client, &second.refresh).await;
    let again = refresh(&client, &first.refresh).await;
    assert_eq!(again.refresh, third.refresh);
    service.clock.advance(DAY);
    refresh(&client, &again.refresh).await;
}

#[tokio::test]
async fn a_token_that_is_used_again_later_ends_its_session() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let other = Tokens::from(client.token_for("ada", password()).await);
    let second = refresh(&client, &first.refresh).await;
    service.clock.advance(GRACE);
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
    assert!(!works(&client, &first.access).await && !works(&client, &second.access).await);
    assert_eq!(
        client.refresh(&second.refresh).await.outcome(),
        "401 INVALID_TOKEN",
        "the thief's token is no good either"
    );
    assert!(works(&client, &other.access).await, "another session is not touched");
}

#[tokio::test]
async fn racing_refreshes_get_one_token() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let outcomes = race(12, |_| {
        let (client, token, seen) = (client.clone(), first.refresh.clone(), Arc::clone(&seen));
        async move {
            let answer = client.refresh(&token).await;
            seen.lock().expect("no racer panics").insert(answer.text("refresh_token"));
            answer
        }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 12)].into());
    let seen = seen.lock().expect("no racer panics").clone();
    assert_eq!(seen.len(), 1, "{seen:?}");
    service.clock.advance(DAY);
    for token in seen {
        refresh(&client, &token).await;
    }
}

#[tokio::test]
async fn a_refresh_that_races_the_end_of_its_session_is_let_through_or_refused() {
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
        assert!(!works(&client, &tokens.access).await);
        assert_eq!(client.refresh(&tokens.refresh).await.outcome(), "401 INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_session_lasts_for_thirty_days_after_its_last_refresh() {
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
async fn a_used_token_is_remembered_for_as_long_as_it_could_have_been_valid() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    let database = service.database.connect().await;
    let mut newest = refresh(&client, &first.refresh).await;
    let second = newest.refresh.clone();
    for _ in 0..4 {
        service.clock.advance(20 * DAY);
        newest = refresh(&client, &newest.refresh).await;
    }
    let row = database.query_one("select count(*) from refresh_tokens", &[]).await.expect("the tokens");
    assert_eq!(row.get::<_, i64>(0), 2, "the newest and those that were issued in the thirty days before");
    assert_eq!(client.refresh(&first.refresh).await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(client.refresh(&second).await.outcome(), "401 INVALID_TOKEN");
    assert!(works(&client, &newest.access).await, "a token from before that is not known, and ends nothing");
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let service = in_process();
    let (client, first) = sign_up(&service).await;
    for token in ["", "x", &first.access, &first.refresh[1..], &"A".repeat(43), "a\0b"] {
        assert_eq!(client.refresh(token).await.outcome(), "401 INVALID_TOKEN", "{token:?}");
    }
    for body in ["{}", r#"{"refresh_token":null}"#, r#"{"refresh_token":1}"#, "[]", ""] {
        assert_eq!(client.post("/api/token/refresh", body).await.outcome(), "400 INVALID_REQUEST", "{body}");
    }
    refresh(&client, &first.refresh).await;
}
