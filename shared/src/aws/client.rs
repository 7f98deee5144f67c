//! Clients for AWS: of Secrets Manager and of presigned URLs, and the HTTP client for other clients of the SDK. All use the same
//! TLS stack.

#![expect(clippy::disallowed_methods, reason = "the home of the AWS SDK")]

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Region, timeout::TimeoutConfig};
use aws_smithy_runtime_api::client::http::{HttpClient as SdkHttpClient, HttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::AwsCredentials;
use super::http::Client as HttpClient;
use super::retry::{Attempts, Failure};
use super::secret_texts::CALL_TIMEOUT;
use crate::report::BoxError;

/// The attempts of [`put`].
const PUT_ATTEMPTS: Attempts = Attempts { max: 4, timeout: Duration::from_secs(5), pause: Duration::from_millis(250) };

/// Makes a client of Secrets Manager without a chain of credential providers, which would take 50 ms, and without a
/// second TLS library.
///
/// # Errors
/// `AWS_CA_BUNDLE` cannot be read.
pub(crate) fn secrets_manager(aws: AwsCredentials) -> Result<Client, BoxError> {
    let mut settings = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(aws.to_sdk())
        .region(Region::new(aws.region))
        .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build())
        .http_client(HttpClient::new()?);
    settings.set_endpoint_url(aws.endpoint_url);
    Ok(Client::from_conf(settings.build()))
}

/// Makes the HTTP client for a client of the SDK in a function.
///
/// # Errors
/// `AWS_CA_BUNDLE` cannot be read.
pub fn http() -> Result<impl SdkHttpClient + 'static, BoxError> {
    HttpClient::new()
}

/// Puts a body to a presigned URL, and retries.
///
/// The content type is empty, as CloudFormation's signatures require. Tests may use a URL without TLS.
///
/// # Errors
/// The last attempt failed. The error does not contain the URL, which is a secret.
pub async fn put(url: &str, body: &str) -> Result<(), BoxError> {
    let client = HttpClient::new()?;
    PUT_ATTEMPTS.run(async || put_once(&client, url, body).await.map_err(Failure::Temporary)).await
}

async fn put_once(client: &HttpClient, url: &str, body: &str) -> Result<(), BoxError> {
    let mut request = HttpRequest::new(body.into());
    request.set_method("PUT")?;
    request.set_uri(url).map_err(|_| "the URL is malformed")?;
    request.headers_mut().insert("content-type", "");
    let status = client.call(request).await?.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("the server answered with status {}", status.as_u16()).into())
    }
}
