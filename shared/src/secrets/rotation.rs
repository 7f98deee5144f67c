//! Rotation of the secret with the signing keys, in the steps that Secrets Manager defines:
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html>.
//!
//! Secrets Manager may repeat a step. A repetition changes nothing.
//!
//! A second secret has the public keys of the ring, for functions that only verify tokens. They are published before a ring can
//! sign: the public keys of the next ring verify the tokens of the current one, too. So an interrupted rotation leaves public keys
//! that are new or old, and both verify all valid tokens.

use std::time::SystemTime;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{SecretsError, secrets_manager};
use crate::auth::key_ring::{InvalidKeyRing, KeyRing, SecretInRing};
use crate::auth::key_rotation::{NextRingError, first_ring, next_ring};
use crate::auth::verifying_keys::{Verifies, VerifyingKeys};
use crate::aws::AwsCredentials;
use crate::domain::uuid_v7;
use crate::env::{self, EnvError};
use crate::report::BoxError;

/// An event of Secrets Manager.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// The step to do.
    pub step: Step,
    /// The secret's ARN.
    pub secret_id: String,
    /// The id of the version that the rotation creates.
    pub client_request_token: String,
}

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Creates the next version.
    CreateSecret,
    /// Publishes the public keys of the next version.
    SetSecret,
    /// Checks the next version.
    TestSecret,
    /// Makes the next version the current one.
    FinishSecret,
}

/// The reason why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// A setting is missing.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The event names another secret.
    #[error("{0} is not the secret of JWT_SECRET_ARN")]
    OtherSecret(String),
    /// The client could not be made.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// A call to Secrets Manager failed.
    #[error("Secrets Manager could not {0}")]
    SecretsManager(&'static str, #[source] BoxError),
    /// A version has no text.
    #[error("the version {0} of the secret has no text")]
    NoText(&'static str),
    /// A version is not a key ring.
    #[error(transparent)]
    KeyRing(#[from] InvalidKeyRing),
    /// The next ring cannot be made.
    #[error(transparent)]
    Next(#[from] NextRingError),
    /// A ring would reject valid tokens.
    #[error("the {0} keys do not verify tokens of the {1} keys")]
    Unverifiable(&'static str, &'static str),
    /// The public keys of a ring with a secret cannot be published.
    #[error("functions that only verify tokens need public keys. Replace the secrets in the key ring by private keys")]
    Secret(#[from] SecretInRing),
}

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// Performs a step for the secret of `JWT_SECRET_ARN`, with the credentials of the environment.
///
/// # Errors
/// The step failed. Secrets Manager repeats it.
pub async fn rotate(request: &Request, now: SystemTime) -> Result<(), RotationError> {
    let secrets = KeySecrets::from_env()?;
    rotate_as(AwsCredentials::from_env()?, &secrets, request, now).await
}

/// The secrets with the keys, by their ARNs.
#[derive(Clone, Debug)]
pub struct KeySecrets {
    /// The secret with the ring.
    pub ring: String,
    /// The secret with its public keys, if there is one.
    pub public_keys: Option<String>,
}

impl KeySecrets {
    /// Reads `JWT_SECRET_ARN` and `JWT_PUBLIC_KEYS_ARN`.
    fn from_env() -> Result<Self, EnvError> {
        let advice = "set it to the ARN of the secret with the signing keys";
        let ring = env::required("JWT_SECRET_ARN", advice)?;
        Ok(Self { ring, public_keys: env::optional("JWT_PUBLIC_KEYS_ARN") })
    }
}

/// Makes the first key pair if `JWT_KEYS` is `create`, and returns whether it changed a secret.
///
/// # Errors
/// A setting is missing or wrong, or a call to Secrets Manager failed.
pub async fn create_keys(now: SystemTime) -> Result<bool, RotationError> {
    if !env::choice("JWT_KEYS", &[("keep", false), ("create", true)])? {
        return Ok(false);
    }
    create_keys_as(AwsCredentials::from_env()?, &KeySecrets::from_env()?, now).await
}

/// Replaces a ring that signs with a shared secret by a key pair, and publishes the public keys of the ring unless they are
/// published. Returns whether it changed a secret. CloudFormation can create a secret with a random text and none with a key pair.
///
/// # Errors
/// A call to Secrets Manager failed, or the system has no randomness.
pub async fn create_keys_as(aws: AwsCredentials, secrets: &KeySecrets, now: SystemTime) -> Result<bool, RotationError> {
    let versions = Versions { client: secrets_manager(aws)?, secrets, next: "" };
    let mut ring = KeyRing::parse(&text(versions.current().await?, CURRENT)?)?;
    if ring.signs_with_secret() {
        let pair = first_ring(now)?;
        ring = KeyRing::parse(&pair)?;
        // First the public keys: after an interruption, the next run makes another pair.
        versions.publish(&ring, &uuid_v7(now).to_string()).await?;
        let put = versions.client.put_secret_value().secret_id(&secrets.ring).secret_string(pair.as_str());
        let put = put.client_request_token(uuid_v7(now).to_string());
        put.send().await.map_err(|error| failed("store the first keys", error))?;
        return Ok(true);
    }
    let published = versions.published().await?;
    if published.is_none_or(|keys| keys.verify_tokens_of(&ring)) {
        return Ok(false);
    }
    versions.publish(&ring, &uuid_v7(now).to_string()).await?;
    Ok(true)
}

/// Performs a step for the given secrets, with the given credentials.
///
/// # Errors
/// As for [`rotate`].
pub async fn rotate_as(
    aws: AwsCredentials,
    secrets: &KeySecrets,
    request: &Request,
    now: SystemTime,
) -> Result<(), RotationError> {
    if request.secret_id != secrets.ring {
        return Err(RotationError::OtherSecret(request.secret_id.clone()));
    }
    let versions = Versions { client: secrets_manager(aws)?, secrets, next: &request.client_request_token };
    match request.step {
        Step::CreateSecret => versions.create_next(now).await,
        Step::SetSecret => versions.publish_next().await,
        Step::TestSecret => versions.test_next().await,
        Step::FinishSecret => versions.finish().await,
    }
}

/// The current and the next version of the secret.
struct Versions<'a> {
    client: Client,
    secrets: &'a KeySecrets,
    next: &'a str,
}

impl Versions<'_> {
    async fn create_next(&self, now: SystemTime) -> Result<(), RotationError> {
        if self.next().await?.is_some() {
            return Ok(());
        }
        let current = self.current().await?;
        let changed = current.created_date().and_then(|date| SystemTime::try_from(*date).ok());
        let age = changed.and_then(|changed| now.duration_since(changed).ok()).unwrap_or_default();
        let ring = next_ring(&text(current, CURRENT)?, age, self.next)?;
        let put = self.client.put_secret_value().secret_id(&self.secrets.ring).client_request_token(self.next);
        let put = put.version_stages(PENDING).secret_string(ring.as_str());
        put.send().await.map_err(|error| failed("store the next keys", error))?;
        Ok(())
    }

    async fn publish_next(&self) -> Result<(), RotationError> {
        let next = self.next().await?.ok_or(RotationError::NoText(PENDING))?;
        self.publish(&KeyRing::parse(&text(next, PENDING)?)?, self.next).await
    }

    /// Stores the public keys of a ring. With the same id it stores them once.
    async fn publish(&self, ring: &KeyRing, id: &str) -> Result<(), RotationError> {
        let Some(secret) = &self.secrets.public_keys else { return Ok(()) };
        let put = self.client.put_secret_value().secret_id(secret).secret_string(ring.public_text()?);
        put.client_request_token(id).send().await.map_err(|error| failed("store the public keys", error))?;
        Ok(())
    }

    /// Returns the public keys; none without a secret for them.
    async fn published(&self) -> Result<Option<VerifyingKeys>, RotationError> {
        let Some(secret) = &self.secrets.public_keys else { return Ok(None) };
        let get = self.client.get_secret_value().secret_id(secret).version_stage(CURRENT).send().await;
        let keys = get.map_err(|error| failed("return the public keys", error))?;
        Ok(Some(VerifyingKeys::parse(&text(keys, CURRENT)?)?))
    }

    async fn test_next(&self) -> Result<(), RotationError> {
        let next = self.next().await?.ok_or(RotationError::NoText(PENDING))?;
        let (current, next) =
            (KeyRing::parse(&text(self.current().await?, CURRENT)?)?, KeyRing::parse(&text(next, PENDING)?)?);
        if !next.verifying().verify_tokens_of(&current) {
            return Err(RotationError::Unverifiable("next", "current"));
        }
        if let Some(published) = self.published().await? {
            for (ring, name) in [(&current, "current"), (&next, "next")] {
                if !published.verify_tokens_of(ring) {
                    return Err(RotationError::Unverifiable("public", name));
                }
            }
        }
        Ok(())
    }

    async fn finish(&self) -> Result<(), RotationError> {
        let current = self.current().await?;
        let current = current.version_id().unwrap_or_default();
        if current == self.next {
            return Ok(());
        }
        let update = self.client.update_secret_version_stage().secret_id(&self.secrets.ring).version_stage(CURRENT);
        let update = update.move_to_version_id(self.next).remove_from_version_id(current);
        update.send().await.map_err(|error| failed("make the next keys the current ones", error))?;
        Ok(())
    }

    async fn current(&self) -> Result<GetSecretValueOutput, RotationError> {
        let get = self.client.get_secret_value().secret_id(&self.secrets.ring).version_stage(CURRENT);
        get.send().await.map_err(|error| failed("return the current keys", error))
    }

    /// Returns the next version if it exists.
    async fn next(&self) -> Result<Option<GetSecretValueOutput>, RotationError> {
        let get = self.client.get_secret_value().secret_id(&self.secrets.ring).version_id(self.next);
        match get.send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                Ok(None)
            }
            Err(error) => Err(failed("return the next keys", error)),
        }
    }
}

fn text(version: GetSecretValueOutput, name: &'static str) -> Result<Zeroizing<String>, RotationError> {
    version.secret_string.map(Zeroizing::new).ok_or(RotationError::NoText(name))
}

fn failed<E, R>(action: &'static str, error: SdkError<E, R>) -> RotationError
where
    SdkError<E, R>: std::error::Error + Send + Sync + 'static,
{
    RotationError::SecretsManager(action, Box::new(error))
}
