//! Rotation of the secret with the signing keys, in the steps that Secrets Manager defines:
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html>.
//!
//! Secrets Manager may repeat a step. A repetition changes nothing.

use std::time::SystemTime;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{SecretsError, secrets_manager};
use crate::auth::key_ring::{InvalidKeyRing, KeyRing};
use crate::auth::key_rotation::{NextRingError, next_ring};
use crate::aws::AwsCredentials;
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
    /// Passes the next version to its users. Does nothing: functions fetch it themselves.
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
    /// The next ring would reject valid tokens.
    #[error("the next keys do not verify tokens of the current keys")]
    Unverifiable,
}

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// Performs a step for the secret of `JWT_SECRET_ARN`, with the credentials of the environment.
///
/// # Errors
/// The step failed. Secrets Manager repeats it.
pub async fn rotate(request: &Request, now: SystemTime) -> Result<(), RotationError> {
    let advice = "set it to the ARN of the secret with the signing keys";
    let arn = env::required("JWT_SECRET_ARN", advice)?;
    rotate_as(AwsCredentials::from_env()?, &arn, request, now).await
}

/// Performs a step for the secret `arn`, with the given credentials.
///
/// # Errors
/// As for [`rotate`].
pub async fn rotate_as(
    aws: AwsCredentials,
    arn: &str,
    request: &Request,
    now: SystemTime,
) -> Result<(), RotationError> {
    if request.secret_id != arn {
        return Err(RotationError::OtherSecret(request.secret_id.clone()));
    }
    let versions = Versions { client: secrets_manager(aws)?, arn, next: &request.client_request_token };
    match request.step {
        Step::CreateSecret => versions.create_next(now).await,
        Step::SetSecret => Ok(()),
        Step::TestSecret => versions.test_next().await,
        Step::FinishSecret => versions.finish().await,
    }
}

/// The current and the next version of the secret.
struct Versions<'a> {
    client: Client,
    arn: &'a str,
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
        let put = self.client.put_secret_value().secret_id(self.arn).client_request_token(self.next);
        let put = put.version_stages(PENDING).secret_string(ring.as_str());
        put.send().await.map_err(|error| failed("store the next keys", error))?;
        Ok(())
    }

    async fn test_next(&self) -> Result<(), RotationError> {
        let next = self.next().await?.ok_or(RotationError::NoText(PENDING))?;
        let (current, next) =
            (KeyRing::parse(&text(self.current().await?, CURRENT)?)?, KeyRing::parse(&text(next, PENDING)?)?);
        if next.verifies_tokens_of(&current) { Ok(()) } else { Err(RotationError::Unverifiable) }
    }

    async fn finish(&self) -> Result<(), RotationError> {
        let current = self.current().await?;
        let current = current.version_id().unwrap_or_default();
        if current == self.next {
            return Ok(());
        }
        let update = self.client.update_secret_version_stage().secret_id(self.arn).version_stage(CURRENT);
        let update = update.move_to_version_id(self.next).remove_from_version_id(current);
        update.send().await.map_err(|error| failed("make the next keys the current ones", error))?;
        Ok(())
    }

    async fn current(&self) -> Result<GetSecretValueOutput, RotationError> {
        let get = self.client.get_secret_value().secret_id(self.arn).version_stage(CURRENT);
        get.send().await.map_err(|error| failed("return the current keys", error))
    }

    /// Returns the next version if it exists.
    async fn next(&self) -> Result<Option<GetSecretValueOutput>, RotationError> {
        let get = self.client.get_secret_value().secret_id(self.arn).version_id(self.next);
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
