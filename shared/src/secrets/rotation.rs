//! Rotation of the signing keys, as Secrets Manager has it done, step by step:
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html>.
//!
//! Each step may be asked for again, and is done once.

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

/// What Secrets Manager asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// What is to be done.
    pub step: Step,
    /// The secret's ARN.
    pub secret_id: String,
    /// The id of the version that is to become the current one.
    pub client_request_token: String,
}

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Makes the next version.
    CreateSecret,
    /// Tells whoever it is for: here, functions fetch it by themselves.
    SetSecret,
    /// Looks at whether it will do.
    TestSecret,
    /// Makes it the current one.
    FinishSecret,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// A setting is missing.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// Another secret than that of the signing keys.
    #[error("{0} is not the secret of JWT_SECRET_ARN")]
    OtherSecret(String),
    /// Secrets Manager could not be reached.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// Secrets Manager refused something.
    #[error("Secrets Manager refused to {0}")]
    SecretsManager(&'static str, #[source] BoxError),
    /// A version has no text.
    #[error("the version {0} of the secret has no text")]
    NoText(&'static str),
    /// What is there is no ring.
    #[error(transparent)]
    KeyRing(#[from] InvalidKeyRing),
    /// There is no next ring.
    #[error(transparent)]
    Next(#[from] NextRingError),
    /// The next ring would refuse tokens that stand.
    #[error("the next keys do not verify what the current ones sign")]
    Unverifiable,
}

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// Does a step for the secret of `JWT_SECRET_ARN`, with the environment's credentials.
///
/// # Errors
/// It is not done; Secrets Manager asks again.
pub async fn rotate(request: &Request, now: SystemTime) -> Result<(), RotationError> {
    let advice = "set it to the ARN of the secret with the signing keys";
    let arn = env::required("JWT_SECRET_ARN", advice)?;
    rotate_as(AwsCredentials::from_env()?, &arn, request, now).await
}

/// The same for the secret `arn`, whatever the environment says.
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
        Step::CreateSecret => versions.make_next(now).await,
        Step::SetSecret => Ok(()),
        Step::TestSecret => versions.test_next().await,
        Step::FinishSecret => versions.finish().await,
    }
}

/// The versions of the secret: the current one, and the one that is to be.
struct Versions<'a> {
    client: Client,
    arn: &'a str,
    next: &'a str,
}

impl Versions<'_> {
    async fn make_next(&self, now: SystemTime) -> Result<(), RotationError> {
        if self.next().await?.is_some() {
            return Ok(());
        }
        let current = self.current().await?;
        let changed = current.created_date().and_then(|date| SystemTime::try_from(*date).ok());
        let age = changed.and_then(|changed| now.duration_since(changed).ok()).unwrap_or_default();
        let ring = next_ring(&text(current, CURRENT)?, age, self.next)?;
        let put = self.client.put_secret_value().secret_id(self.arn).client_request_token(self.next);
        let put = put.version_stages(PENDING).secret_string(ring.as_str());
        put.send().await.map_err(|error| refused("store the next keys", error))?;
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
        update.send().await.map_err(|error| refused("make the next keys the current ones", error))?;
        Ok(())
    }

    async fn current(&self) -> Result<GetSecretValueOutput, RotationError> {
        let get = self.client.get_secret_value().secret_id(self.arn).version_stage(CURRENT);
        get.send().await.map_err(|error| refused("hand out the current keys", error))
    }

    /// Nothing, where it has not been made yet.
    async fn next(&self) -> Result<Option<GetSecretValueOutput>, RotationError> {
        let get = self.client.get_secret_value().secret_id(self.arn).version_id(self.next);
        match get.send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                Ok(None)
            }
            Err(error) => Err(refused("hand out the next keys", error)),
        }
    }
}

fn text(version: GetSecretValueOutput, name: &'static str) -> Result<Zeroizing<String>, RotationError> {
    version.secret_string.map(Zeroizing::new).ok_or(RotationError::NoText(name))
}

fn refused<E, R>(what: &'static str, error: SdkError<E, R>) -> RotationError
where
    SdkError<E, R>: std::error::Error + Send + Sync + 'static,
{
    RotationError::SecretsManager(what, Box::new(error))
}
