//! Sending something to AWS where the SDK has no call for it: by the SDK's own client, so that there is one TLS stack.

use std::time::Duration;

use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use tokio::time::{sleep, timeout};

use crate::error::BoxError;
use crate::secrets;

/// How often something is sent, and how long it takes at most each time.
const ATTEMPTS: u32 = 4;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between the first and the second attempt; twice as long each time.
const PAUSE: Duration = Duration::from_millis(250);

/// Puts a text where a URL that is signed by somebody else says, and tries again where that may help.
///
/// The content type is empty, as the signatures of CloudFormation have it. An address without TLS is for tests.
///
/// # Errors
/// What came of the last attempt. The URL, which is a secret, is not in it.
pub async fn put(url: &str, body: &str) -> Result<(), BoxError> {
    let client = Connector::builder()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .tls_context(secrets::tls_context()?)
        .build();
    let mut attempt = 1;
    loop {
        let error = match timeout(ATTEMPT_TIMEOUT, put_once(&client, url, body)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(elapsed) => elapsed.into(),
        };
        if attempt == ATTEMPTS {
            return Err(error);
        }
        sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
        attempt += 1;
    }
}

async fn put_once(client: &Connector, url: &str, body: &str) -> Result<(), BoxError> {
    let mut request = HttpRequest::new(body.into());
    request.set_method("PUT")?;
    request.set_uri(url).map_err(|_| "the URL is none")?;
    request.headers_mut().insert("content-type", "");
    let status = client.call(request).await?.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("the answer was refused with status {}", status.as_u16()).into())
    }
}
