//! HTTP clients for AWS: the SDK's client of Secrets Manager, and [`put`] for presigned URLs. Both use the same TLS
//! stack.

#![expect(clippy::disallowed_methods, reason = "the home of the AWS SDK")]

use std::fs;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Region, timeout::TimeoutConfig};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use tokio::time::{sleep, timeout};

use super::AwsCredentials;
use crate::env;
use crate::report::BoxError;

/// The roots of AWS's endpoints. Scanning the system's store would take 5 ms at every start.
const AMAZON_ROOTS: &str = include_str!("../../roots/amazon.pem");
const TLS_PROVIDER: tls::Provider = tls::Provider::Rustls(CryptoMode::Ring);

/// Time for a call to Secrets Manager, including retries. It is well below the functions' timeout.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts of [`put`], and the time for each.
const PUT_ATTEMPTS: u32 = 4;
const PUT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after the first attempt; each further one is twice as long.
const PUT_PAUSE: Duration = Duration::from_millis(250);

/// Makes a client of Secrets Manager without a chain of credential providers, which would take 50 ms, and without a
/// second TLS library.
///
/// # Errors
/// The roots cannot be read.
pub(crate) fn secrets_manager(aws: AwsCredentials) -> Result<Client, BoxError> {
    // No idle connections: calls are minutes apart, and after a freeze a connection hangs that the peer has closed.
    let http = Builder::new().pool_max_idle_per_host(0).tls_provider(TLS_PROVIDER).tls_context(tls_context()?);
    let mut settings = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(aws.to_sdk())
        .region(Region::new(aws.region))
        .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build())
        .http_client(http.build_https());
    settings.set_endpoint_url(aws.endpoint_url);
    Ok(Client::from_conf(settings.build()))
}

/// Puts a body to a presigned URL, and retries.
///
/// The content type is empty, as CloudFormation's signatures require. Tests may use a URL without TLS.
///
/// # Errors
/// The last attempt failed. The error does not contain the URL, which is a secret.
pub async fn put(url: &str, body: &str) -> Result<(), BoxError> {
    let client = Connector::builder().tls_provider(TLS_PROVIDER).tls_context(tls_context()?).build();
    let mut attempt = 1;
    loop {
        let error = match timeout(PUT_TIMEOUT, put_once(&client, url, body)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(elapsed) => elapsed.into(),
        };
        if attempt == PUT_ATTEMPTS {
            return Err(error);
        }
        sleep(PUT_PAUSE * 2_u32.pow(attempt - 1)).await;
        attempt += 1;
    }
}

async fn put_once(client: &Connector, url: &str, body: &str) -> Result<(), BoxError> {
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

fn tls_context() -> Result<tls::TlsContext, BoxError> {
    let roots = match env::optional("AWS_CA_BUNDLE") {
        Some(path) => fs::read(&path).map_err(|error| format!("AWS_CA_BUNDLE {path} cannot be read: {error}"))?,
        None => AMAZON_ROOTS.into(),
    };
    let trust = tls::TrustStore::empty().with_pem_certificate(roots);
    Ok(tls::TlsContext::builder().with_trust_store(trust).build()?)
}
