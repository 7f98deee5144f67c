//! Rotation of signing keys while functions run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use shared::auth::key_ring::KeyRing;
use shared::auth::key_rotation::NextRingError;
use shared::aws::AwsCredentials;
use shared::secrets::rotation::{KeySecrets, Request, RotationError, Step, create_keys_as, rotate_as};

use crate::support::deployment::Deployment;
use crate::support::{
    Client, Forged, KEY_ID, KeyedSecrets, ManualClock, Outcome, SECRET, Service, private_key, settings,
};

/// Execution environments that read the secrets independently and share a clock.
struct Fleet {
    deployment: Deployment,
    keys: KeySecrets,
    clock: Arc<ManualClock>,
}

impl Fleet {
    /// All functions read the ring.
    fn with_ring() -> Result<Self, Box<dyn std::error::Error>> {
        let deployment = Deployment::new()?;
        let keys = KeySecrets { ring: deployment.jwt_secret.clone(), public_keys: None };
        Ok(Self { deployment, keys, clock: Arc::default() })
    }

    /// Functions that only verify read the public keys, which are none at first.
    fn with_public_keys() -> Result<Self, Box<dyn std::error::Error>> {
        let mut fleet = Self::with_ring()?;
        fleet.keys.public_keys = Some(fleet.deployment.secrets.create("public", r#"{"keys":[]}"#)?);
        Ok(fleet)
    }

    fn aws(&self) -> AwsCredentials {
        AwsCredentials {
            region: "eu-central-1".to_owned(),
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned().into(),
            session_token: None,
            endpoint_url: Some(self.deployment.secrets.url().to_owned()),
        }
    }

    async fn environment(&self) -> Result<Environment, Box<dyn std::error::Error>> {
        let Deployment { database, database_secret, .. } = &self.deployment;
        let KeySecrets { ring, public_keys } = &self.keys;
        let keys = [ring, public_keys.as_ref().unwrap_or(ring)].map(String::as_str);
        let secrets = KeyedSecrets::from_secrets_manager(|| self.aws(), database_secret, keys, &self.clock).await?;
        let database = Arc::clone(database);
        let service = Service::with_secrets(database, settings(), |_| secrets.clone(), Arc::clone(&self.clock));
        Ok(Environment { service, secrets })
    }

    fn put(&self, keys: &[Value]) -> Outcome {
        self.deployment.secrets.put(&self.deployment.jwt_secret, &json!({ "keys": keys }).to_string())
    }
}

/// An execution environment.
struct Environment {
    service: Arc<Service>,
    secrets: KeyedSecrets,
}

impl Environment {
    fn anonymous(&self) -> Client {
        self.service.anonymous()
    }

    /// Uses the keys that verify and those that sign, beside which old ones are fetched again.
    async fn refresh(&self) {
        self.anonymous().get("/.well-known/jwks.json").await;
        // The functions that sign have keys of their own.
        self.secrets.signing.keys().await;
        self.secrets.settle().await;
    }
}

/// The id of the key that a client's token is signed with.
fn signed_with(client: &Client) -> Value {
    Forged::from(&client.token()).header()["kid"].clone()
}

/// Replaces a shared secret by a key pair. Valid tokens are accepted throughout.
#[tokio::test]
async fn a_new_key_is_published_then_signs_and_then_the_old_key_is_retired() -> Outcome {
    let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
    let old = json!({ "kid": KEY_ID, "secret": SECRET });
    let new = json!({ "kid": "new", "private_key": private_key() });
    let fleet = Fleet::with_ring()?;
    let (signing, verifying) = (fleet.environment().await?, fleet.environment().await?);
    let published = async || {
        let keys = verifying.anonymous().get("/.well-known/jwks.json").await.json();
        keys["keys"].as_array().map(Vec::len)
    };
    let accepted = async |client: &Client| {
        let client = verifying.anonymous().with_token(&client.token());
        client.get("/api/account").await.outcome()
    };
    let by_old = signing.anonymous().sign_up("ada").await;
    assert_eq!((signed_with(&by_old), published().await), (json!(KEY_ID), Some(0)));

    fleet.put(&[old.clone(), new.clone()])?;
    fleet.clock.advance(5 * minute);
    for environment in [&signing, &verifying] {
        environment.refresh().await;
    }
    assert_eq!(published().await, Some(1), "the key is published before it signs");
    assert_eq!(signed_with(&signing.anonymous().sign_in("ada").await), KEY_ID);

    fleet.put(&[new.clone(), old.clone()])?;
    let meanwhile = signing.anonymous().sign_in("ada").await;
    assert_eq!(signed_with(&meanwhile), KEY_ID, "this environment has not read the new keys yet");
    fleet.clock.advance(5 * minute);
    signing.refresh().await;
    let by_new = signing.anonymous().sign_in("ada").await;
    assert_eq!(signed_with(&by_new), "new");
    for client in [&by_old, &meanwhile, &by_new] {
        assert_eq!(accepted(client).await, "200");
    }

    fleet.clock.advance(hour);
    let by_new = signing.anonymous().sign_in("ada").await;
    fleet.put(&[new])?;
    fleet.clock.advance(15 * minute);
    assert_eq!(accepted(&by_new).await, "200");
    let unexpired = Forged::from(&meanwhile.token()).with_claim("exp", 2_000_000_000).sign();
    assert_eq!(
        accepted(&meanwhile.with_token(&unexpired)).await,
        "401 INVALID_TOKEN",
        "tokens of a retired key are rejected"
    );
    Ok(())
}

impl Fleet {
    /// Makes batch requests return the current versions.
    fn settle(&self) -> Outcome {
        [Some(&self.keys.ring), self.keys.public_keys.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|secret| self.deployment.secrets.settle(secret))
    }

    /// Runs the steps of a rotation as Secrets Manager does, each of them twice.
    async fn rotate(&self, now: SystemTime) -> Result<(), RotationError> {
        let client_request_token = uuid::Uuid::now_v7().to_string();
        for step in [Step::CreateSecret, Step::SetSecret, Step::TestSecret, Step::FinishSecret] {
            let secret_id = self.keys.ring.clone();
            let request = Request { step, secret_id, client_request_token: client_request_token.clone() };
            for _ in 0..2 {
                rotate_as(self.aws(), &self.keys, &request, now).await?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn tokens_stay_valid_while_a_shared_secret_is_rotated_on_a_schedule() -> Outcome {
    let fleet = Fleet::with_ring()?;
    fleet.deployment.secrets.put(&fleet.keys.ring, SECRET)?;
    rotate_for_days(&fleet).await
}

#[tokio::test]
async fn tokens_stay_valid_while_key_pairs_are_rotated_on_a_schedule() -> Outcome {
    let fleet = Fleet::with_public_keys()?;
    assert!(create_keys_as(fleet.aws(), &fleet.keys, SystemTime::now()).await?);
    fleet.settle()?;
    assert!(!create_keys_as(fleet.aws(), &fleet.keys, SystemTime::now()).await?, "a second run changes nothing");
    rotate_for_days(&fleet).await
}

/// The public keys of the next ring are published first, so that they verify the tokens of both rings.
#[tokio::test]
async fn an_interrupted_rotation_leaves_public_keys_that_verify_all_tokens() -> Outcome {
    let fleet = Fleet::with_public_keys()?;
    create_keys_as(fleet.aws(), &fleet.keys, SystemTime::now()).await?;
    fleet.rotate(SystemTime::now()).await?;
    fleet.settle()?;
    fleet.environment().await?.anonymous().sign_up("ada").await;
    let steps = [Step::CreateSecret, Step::SetSecret, Step::TestSecret, Step::FinishSecret];
    for (day, done) in (1..).zip([1, 2, 3, 4]) {
        let client_request_token = uuid::Uuid::now_v7().to_string();
        let now = SystemTime::now() + DAY * day;
        for count in [done, 4] {
            for step in &steps[..count] {
                let secret_id = fleet.keys.ring.clone();
                let request = Request { step: *step, secret_id, client_request_token: client_request_token.clone() };
                rotate_as(fleet.aws(), &fleet.keys, &request, now).await?;
            }
            fleet.settle()?;
            let environment = fleet.environment().await?;
            let ada = environment.anonymous().sign_in("ada").await;
            assert_eq!(ada.get("/api/account").await.outcome(), "200", "after {count} steps of day {day}");
        }
    }
    Ok(())
}

/// A first deployment that failed after the public keys were stored, and one whose public keys were lost.
#[tokio::test]
async fn the_first_keys_are_created_again_after_an_interruption() -> Outcome {
    let fleet = Fleet::with_public_keys()?;
    let public = fleet.keys.public_keys.clone().ok_or("a secret")?;
    fleet.deployment.secrets.put(&fleet.keys.ring, &"9f8a1c0d5be24f7a8e3b6c1d2f405968".repeat(2))?;
    fleet.deployment.secrets.put(&public, &KeyRing::parse(&private_key())?.public_text()?)?;
    for expected in [true, false] {
        assert_eq!(create_keys_as(fleet.aws(), &fleet.keys, SystemTime::now()).await?, expected);
        fleet.settle()?;
        let ada = fleet.environment().await?.anonymous();
        let ada = if expected { ada.sign_up("ada").await } else { ada.sign_in("ada").await };
        assert_eq!(ada.get("/api/account").await.outcome(), "200");
    }
    fleet.deployment.secrets.put(&public, r#"{"keys":[]}"#)?;
    assert!(create_keys_as(fleet.aws(), &fleet.keys, SystemTime::now()).await?);
    fleet.settle()?;
    let ada = fleet.environment().await?.anonymous().sign_in("ada").await;
    assert_eq!(ada.get("/api/account").await.outcome(), "200");
    Ok(())
}

/// A function that only verifies cannot sign: its keys are public.
#[tokio::test]
async fn a_removed_public_key_ends_tokens_that_were_verified_before() -> Outcome {
    let fleet = Fleet::with_public_keys()?;
    create_keys_as(fleet.aws(), &fleet.keys, SystemTime::now()).await?;
    fleet.settle()?;
    let environment = fleet.environment().await?;
    let ada = environment.anonymous().sign_up("ada").await;
    assert_eq!(ada.get("/api/account").await.outcome(), "200");
    let public = fleet.keys.public_keys.clone().ok_or("a secret")?;
    fleet.deployment.secrets.put(&public, r#"{"keys":[]}"#)?;
    fleet.clock.advance(Duration::from_mins(15));
    assert_eq!(ada.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
    Ok(())
}

const DAY: Duration = Duration::from_hours(24);

/// Rotates the keys of a ring once a day. Old and new environments accept the tokens of each other.
async fn rotate_for_days(fleet: &Fleet) -> Outcome {
    let old_environment = fleet.environment().await?;
    old_environment.anonymous().sign_up("ada").await;
    let mut signed = BTreeSet::new();
    for day in 0..5 {
        let before = old_environment.anonymous().sign_in("ada").await;
        // moto dates the versions by the machine's clock.
        fleet.rotate(SystemTime::now() + DAY * day).await?;
        fleet.settle()?;
        let new_environment = fleet.environment().await?;
        let (by_old, by_new) =
            (old_environment.anonymous().sign_in("ada").await, new_environment.anonymous().sign_in("ada").await);
        for environment in [&old_environment, &new_environment] {
            for client in [&before, &by_old, &by_new] {
                let client = environment.anonymous().with_token(&client.token());
                assert_eq!(client.get("/api/account").await.outcome(), "200", "day {day}");
            }
        }
        signed.insert(signed_with(&by_new).to_string());
        fleet.clock.advance(DAY);
    }
    assert_eq!(signed.len(), 5, "each day has its own signing key: {signed:?}");
    Ok(())
}

#[tokio::test]
async fn keys_are_not_rotated_before_all_environments_have_read_them() -> Outcome {
    let fleet = Fleet::with_ring()?;
    let now = SystemTime::now();
    fleet.rotate(now).await?;
    let rejected = fleet.rotate(now + Duration::from_hours(1)).await;
    assert!(matches!(rejected, Err(RotationError::Next(NextRingError::TooSoon))), "{rejected:?}");
    fleet.rotate(now + Duration::from_hours(2)).await?;
    let other = Request {
        step: Step::CreateSecret,
        secret_id: fleet.deployment.database_secret.clone(),
        client_request_token: "0".repeat(36),
    };
    let rejected = rotate_as(fleet.aws(), &fleet.keys, &other, now).await;
    assert!(matches!(rejected, Err(RotationError::OtherSecret(_))), "{rejected:?}");
    Ok(())
}
