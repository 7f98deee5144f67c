//! Reads texts of Secrets Manager by signed requests:
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html>. Each function does that at its
//! start, and the SDK's client would make it 1 MB larger, which is a fifth. Rotations use the SDK.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::SigningSettings;
use aws_smithy_runtime_api::client::http::HttpConnector;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::AwsCredentials;
use super::http::Client;
use super::retry::{Attempts, Failure};
use super::signing::{Scope, Unsigned};
use crate::report::BoxError;

/// Time for a call, including its repetitions. It is well below the functions' timeout.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The limit of the call also limits each attempt.
const ATTEMPTS: Attempts = Attempts { max: 3, timeout: CALL_TIMEOUT, pause: Duration::from_millis(100) };

/// The way to texts of Secrets Manager.
#[derive(Clone)]
pub(crate) struct SecretReader {
    aws: Arc<AwsCredentials>,
    client: Client,
}

/// The members of a response to `BatchGetSecretValue` that are read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValues {
    #[serde(default)]
    secret_values: Vec<SecretValue>,
}

/// The members of a response to `GetSecretValue` that are read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    #[serde(rename = "ARN")]
    arn: Option<String>,
    name: Option<String>,
    secret_string: Option<Zeroizing<String>>,
}

/// The members of an error that are read. Services write the second one in both ways.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorResponse {
    __type: String,
    #[serde(alias = "Message")]
    message: String,
}

impl SecretReader {
    /// Prepares the access with these credentials.
    ///
    /// # Errors
    /// `AWS_CA_BUNDLE` cannot be read.
    pub(crate) fn new(aws: AwsCredentials) -> Result<Self, BoxError> {
        Ok(Self { aws: aws.into(), client: Client::new()? })
    }

    /// Fetches the texts of secrets in one call, each with the ARN or the name by which it is requested. A secret that does not
    /// exist, or that the function may not read, is left out.
    ///
    /// # Errors
    /// The last attempt failed.
    pub(crate) async fn fetch(
        &self,
        ids: Vec<String>,
        now: SystemTime,
    ) -> Result<Vec<(String, Zeroizing<String>)>, BoxError> {
        let response = self.call("BatchGetSecretValue", &json!({ "SecretIdList": ids }), now).await?;
        let SecretValues { secret_values: mut values } = response;
        let texts = ids.into_iter().filter_map(|id| {
            let is_requested = |name: &Option<String>| name.as_ref() == Some(&id);
            let found = values.iter_mut().find(|value| is_requested(&value.arn) || is_requested(&value.name))?;
            Some((id, found.secret_string.take()?))
        });
        Ok(texts.collect())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        action: &'static str,
        input: &Value,
        now: SystemTime,
    ) -> Result<T, BoxError> {
        let (target, body) = (format!("secretsmanager.{action}"), input.to_string());
        timeout(CALL_TIMEOUT, ATTEMPTS.run(|| self.attempt(&target, &body, now))).await?
    }

    async fn attempt<T: DeserializeOwned>(&self, target: &str, body: &str, now: SystemTime) -> Result<T, Failure> {
        let AwsCredentials { region, endpoint_url, .. } = self.aws.as_ref();
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let url = endpoint_url.clone().unwrap_or_else(|| format!("https://secretsmanager.{region}.{domain}"));
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let request = Unsigned { method: "POST", url: &url, headers: &headers, body };
        let scope = Scope { service: "secretsmanager", region };
        let signed = request.sign(&self.aws, scope, SigningSettings::default(), now);
        let response = self.client.call(signed.map_err(Failure::Permanent)?).await;
        let response = response.map_err(|error| Failure::Temporary(error.into()))?;
        let (status, bytes) = (response.status(), response.body().bytes().unwrap_or_default());
        if status.is_success() {
            return serde_json::from_slice(bytes).map_err(|error| Failure::Permanent(error.into()));
        }
        let ErrorResponse { __type, message } = serde_json::from_slice(bytes).unwrap_or_default();
        let error = format!("Secrets Manager answered with status {}, {__type}: {message}", status.as_u16());
        match status.as_u16() {
            400 if __type.contains("Throttling") => Err(Failure::Temporary(error.into())),
            429 | 500.. => Err(Failure::Temporary(error.into())),
            _ => Err(Failure::Permanent(error.into())),
        }
    }
}

/// Fetches the text of one secret, with the credentials of the environment, which only need the permission `GetSecretValue`.
///
/// # Errors
/// The secret does not exist, has no text, or may not be read.
pub async fn secret_text(arn: &str, now: SystemTime) -> Result<Zeroizing<String>, BoxError> {
    let reader = SecretReader::new(AwsCredentials::from_env()?)?;
    let secret: SecretValue = reader.call("GetSecretValue", &json!({ "SecretId": arn }), now).await?;
    Ok(secret.secret_string.ok_or_else(|| format!("the secret {arn} has no text"))?)
}
