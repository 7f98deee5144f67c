//! Signing keys that grow old while Secrets Manager answers, hangs, or denies access.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use shared::secrets::{MAX_AGE, REFRESH_AGE};
use tokio::time::timeout;

use crate::support::deployment::{credentials, ring};
use crate::support::fake_secrets_manager::{DATABASE_SECRET, FakeSecretsManager, JWT_SECRET};
use crate::support::{Client, Forged, KEY_ID, KeyedSecrets, ManualClock, Outcome, SECRET, Service, database, settings};

const NEW_SECRET: &str = "00b4d1c7e9f2a3856471829304a5b6c7";
/// Less than the timeout of a call to Secrets Manager.
const AT_ONCE: Duration = Duration::from_secs(3);
/// The minimum time between two calls.
const INTERVAL: Duration = Duration::from_secs(30);

/// An execution environment with a clock that only the test advances.
struct Environment {
    secrets_manager: FakeSecretsManager,
    secrets: KeyedSecrets,
    clock: Arc<ManualClock>,
    service: Arc<Service>,
}

impl Environment {
    async fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let (database, clock) = (Arc::new(database()), Arc::<ManualClock>::default());
        let secrets_manager =
            FakeSecretsManager::start(credentials(&database, "postgres", "postgres"), ring(&[(KEY_ID, SECRET)]))?;
        let aws = || secrets_manager.aws();
        let secrets = KeyedSecrets::from_secrets_manager(aws, DATABASE_SECRET, [JWT_SECRET; 2], &clock).await?;
        let service = Service::with_secrets(database, settings(), |_| secrets.clone(), clock.clone());
        Ok(Self { secrets_manager, secrets, clock, service })
    }

    /// A client whose token outlives the test, signed by the first key.
    async fn sign_up(&self) -> Client {
        let ada = self.service.anonymous().sign_up("ada").await;
        let token = Forged::from(&ada.token()).with_claim("exp", 2_000_000_000).sign();
        ada.with_token(&token)
    }

    /// The number of calls after the start, which fetches the keys that sign and those that verify.
    fn calls(&self) -> usize {
        self.secrets_manager.calls() - 2
    }

    /// The id of the key that signs.
    async fn signing_key(&self) -> Value {
        Forged::from(&self.service.anonymous().sign_in("ada").await.token()).header()["kid"].clone()
    }
}

/// The outcome of a request that does not wait for a call that hangs.
async fn at_once(client: &Client) -> Result<String, tokio::time::error::Elapsed> {
    Ok(timeout(AT_ONCE, client.get("/api/account")).await?.outcome())
}

#[tokio::test]
async fn an_old_ring_answers_at_once_while_secrets_manager_hangs() -> Outcome {
    let environment = Environment::start().await?;
    let ada = environment.sign_up().await;
    environment.secrets_manager.hang();
    environment.clock.advance(REFRESH_AGE);
    for _ in 0..3 {
        assert_eq!(at_once(&ada).await?, "200");
    }
    environment.secrets.settle().await;
    environment.secrets.settle().await;
    assert_eq!(at_once(&ada).await?, "200");
    assert_eq!(environment.calls(), 1, "one fetch runs at a time");
    Ok(())
}

#[tokio::test]
async fn a_ring_that_is_fetched_beside_a_request_is_used_by_the_next_one() -> Outcome {
    let environment = Environment::start().await?;
    let ada = environment.sign_up().await;
    environment.secrets_manager.put(&ring(&[("new", NEW_SECRET)]));
    environment.clock.advance(REFRESH_AGE.saturating_sub(Duration::from_secs(1)));
    assert_eq!(ada.get("/api/account").await.outcome(), "200");
    environment.secrets.settle().await;
    assert_eq!(environment.calls(), 0, "the ring is young");

    environment.clock.advance(Duration::from_secs(1));
    assert_eq!(ada.get("/api/account").await.outcome(), "200", "this request does not wait for the new ring");
    environment.secrets.settle().await;
    assert_eq!(ada.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
    environment.signing_key().await;
    environment.secrets.settle().await;
    assert_eq!(environment.signing_key().await, "new");
    assert_eq!(environment.calls(), 2, "one for the keys that verify, and one for those that sign");
    Ok(())
}

#[tokio::test]
async fn at_the_maximum_age_a_request_waits_for_the_new_ring() -> Outcome {
    let environment = Environment::start().await?;
    let ada = environment.sign_up().await;
    environment.secrets_manager.put(&ring(&[("new", NEW_SECRET)]));
    environment.clock.advance(MAX_AGE);
    assert_eq!(ada.get("/api/account").await.outcome(), "401 INVALID_TOKEN", "the key was removed");
    environment.secrets_manager.put(&ring(&[("newer", SECRET)]));
    environment.clock.advance(MAX_AGE);
    assert_eq!(environment.signing_key().await, "newer", "no token is signed with a removed key");
    Ok(())
}

#[tokio::test]
async fn a_fetch_that_a_freeze_cuts_delays_no_request_and_does_not_restore_old_keys() -> Outcome {
    for answered_late in [false, true] {
        let environment = Environment::start().await?;
        let ada = environment.sign_up().await;
        environment.secrets_manager.hang();
        environment.clock.advance(REFRESH_AGE);
        assert_eq!(at_once(&ada).await?, "200");
        environment.secrets.settle().await;
        assert_eq!(environment.calls(), 1);

        // A short freeze: the ring is merely old, so the next fetch keeps its distance.
        environment.clock.advance(Duration::from_secs(10));
        assert_eq!(at_once(&ada).await?, "200");
        environment.secrets.settle().await;
        assert_eq!(environment.calls(), 1);

        // A freeze of a day. The response to the call may arrive, but it is a day old.
        environment.secrets_manager.answer();
        environment.secrets_manager.put(&ring(&[("new", NEW_SECRET)]));
        environment.clock.advance(Duration::from_hours(24));
        if answered_late {
            environment.secrets_manager.release();
        }
        assert_eq!(at_once(&ada).await?, "401 INVALID_TOKEN", "answered late: {answered_late}");
        environment.secrets_manager.release();
        environment.secrets.settle().await;
        assert_eq!(at_once(&ada).await?, "401 INVALID_TOKEN", "answered late: {answered_late}");
        assert_eq!(environment.calls(), 2);
    }
    Ok(())
}

#[tokio::test]
async fn a_fetch_that_a_freeze_cuts_does_not_delay_one_that_a_request_needs() -> Outcome {
    let environment = Environment::start().await?;
    let ada = environment.sign_up().await;
    environment.secrets_manager.hang();
    environment.clock.advance(MAX_AGE.saturating_sub(Duration::from_secs(5)));
    assert_eq!(at_once(&ada).await?, "200");
    environment.secrets.settle().await;
    environment.secrets_manager.answer();
    environment.secrets_manager.put(&ring(&[("new", NEW_SECRET)]));
    environment.clock.advance(Duration::from_secs(10));
    assert_eq!(at_once(&ada).await?, "401 INVALID_TOKEN", "the ring is too old to be used");
    Ok(())
}

#[tokio::test]
async fn a_token_with_an_unknown_key_waits_at_most_once_in_30_seconds() -> Outcome {
    let environment = Environment::start().await?;
    let ada = environment.sign_up().await;
    let by_new = Forged::from(&ada.token()).with_header("kid", "new").with_secret(NEW_SECRET.as_bytes()).sign();
    let by_new = ada.with_token(&by_new);
    for _ in 0..3 {
        assert_eq!(by_new.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
    }
    assert_eq!(environment.calls(), 1);
    environment.secrets_manager.put(&ring(&[(KEY_ID, SECRET), ("new", NEW_SECRET)]));
    environment.clock.advance(INTERVAL);
    assert_eq!(by_new.get("/api/account").await.outcome(), "200");
    assert_eq!(environment.calls(), 2);
    Ok(())
}

#[tokio::test]
async fn while_secrets_manager_denies_access_the_last_ring_stays_in_use() -> Outcome {
    let environment = Environment::start().await?;
    let ada = environment.sign_up().await;
    environment.secrets_manager.deny();
    for (age, calls) in [(REFRESH_AGE, 1), (INTERVAL, 2), (MAX_AGE, 3)] {
        environment.clock.advance(age);
        for _ in 0..3 {
            assert_eq!(ada.get("/api/account").await.outcome(), "200");
            environment.secrets.settle().await;
        }
        assert_eq!(environment.calls(), calls, "{age:?}");
    }
    environment.secrets_manager.answer();
    environment.secrets_manager.put(&ring(&[("new", NEW_SECRET)]));
    assert_eq!(ada.get("/api/account").await.outcome(), "200", "an attempt has just failed");
    environment.clock.advance(INTERVAL);
    assert_eq!(ada.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
    Ok(())
}

#[tokio::test]
async fn the_age_of_a_ring_counts_from_the_start_of_its_fetch() -> Outcome {
    const FETCH: Duration = Duration::from_secs(4);
    let environment = Environment::start().await?;
    let ada = environment.sign_up().await;
    environment.secrets_manager.hang();
    environment.clock.advance(REFRESH_AGE);
    assert_eq!(at_once(&ada).await?, "200");
    while environment.calls() == 0 {
        tokio::task::yield_now().await;
    }
    environment.clock.advance(FETCH);
    environment.secrets_manager.release();
    environment.secrets.settle().await;
    environment.clock.advance(REFRESH_AGE.saturating_sub(FETCH));
    assert_eq!(at_once(&ada).await?, "200");
    environment.secrets.settle().await;
    assert_eq!(environment.calls(), 2);
    Ok(())
}
