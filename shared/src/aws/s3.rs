//! Objects of S3: put, get, and delete, by signed requests (Signature Version 4):
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>. The SDK's client of S3 makes a function 1.4 MB
//! larger, which is 30 %.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::AwsCredentials;
use super::http::Client;
use super::retry::{Attempts, Failure};
use super::signing::{Scope, sign};
use crate::env::{self, EnvError};
use crate::report::BoxError;

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    /// The address of the bucket, without a slash at the end.
    url: String,
    host: String,
    aws: AwsCredentials,
}

/// Together they are well below the functions' timeout.
const ATTEMPTS: Attempts = Attempts { max: 3, timeout: Duration::from_secs(2), pause: Duration::from_millis(100) };

/// The type of all objects.
const CONTENT_TYPE: &str = "application/json";

impl Bucket {
    /// Makes a bucket by its name. `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` replaces the address of S3.
    ///
    /// # Errors
    /// A variable that Lambda sets is missing.
    pub fn from_env(name: &str) -> Result<Self, EnvError> {
        let aws = AwsCredentials::from_env()?;
        let endpoint = env::optional("AWS_ENDPOINT_URL_S3").or_else(|| env::optional("AWS_ENDPOINT_URL"));
        let url = match endpoint {
            Some(endpoint) => format!("{}/{name}", endpoint.trim_end_matches('/')),
            None if aws.region.starts_with("cn-") => format!("https://{name}.s3.{}.amazonaws.com.cn", aws.region),
            None => format!("https://{name}.s3.{}.amazonaws.com", aws.region),
        };
        let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default().to_owned();
        Ok(Self { url, host, aws })
    }

    /// Stores an object, and replaces one with this key.
    ///
    /// # Errors
    /// The last attempt failed.
    pub async fn put(&self, key: &str, body: &str, now: SystemTime) -> Result<(), BoxError> {
        self.request("PUT", key, body, now).await?.ok_or_else(|| "the bucket does not exist".into()).map(|_| ())
    }

    /// Returns the text of an object; none if it does not exist.
    ///
    /// # Errors
    /// The last attempt failed, or the object is not text.
    pub async fn get(&self, key: &str, now: SystemTime) -> Result<Option<String>, BoxError> {
        self.request("GET", key, "", now).await
    }

    /// Deletes an object. One that does not exist is not an error.
    ///
    /// # Errors
    /// The last attempt failed.
    pub async fn delete(&self, key: &str, now: SystemTime) -> Result<(), BoxError> {
        self.request("DELETE", key, "", now).await.map(|_| ())
    }

    /// Sends a request, repeats it after a failure that may pass, and returns the body of the response; none for 404.
    async fn request(&self, method: &str, key: &str, body: &str, now: SystemTime) -> Result<Option<String>, BoxError> {
        let client = Client::new()?;
        ATTEMPTS.run(|| self.attempt(&client, method, key, body, now)).await
    }

    async fn attempt(
        &self,
        client: &Client,
        method: &str,
        key: &str,
        body: &str,
        now: SystemTime,
    ) -> Result<Option<String>, Failure> {
        let request = self.sign(method, key, body, now).map_err(Failure::Permanent)?;
        let response = client.call(request).await.map_err(|error| Failure::Temporary(error.into()))?;
        let status = response.status();
        let text = response.body().bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        if status.is_success() {
            return Ok(Some(text.unwrap_or_default()));
        }
        // The response of S3 names the cause: <Error><Code>AccessDenied</Code>…
        let code = text.as_deref().and_then(|text| text.split("<Code>").nth(1)).and_then(|rest| rest.split('<').next());
        let code = code.unwrap_or("no code").to_owned();
        match status.as_u16() {
            404 if code != "NoSuchBucket" => Ok(None),
            status @ (408 | 429 | 500..) => Err(Failure::Temporary(failed(status, &code))),
            status => Err(Failure::Permanent(failed(status, &code))),
        }
    }

    fn sign(&self, method: &str, key: &str, body: &str, now: SystemTime) -> Result<HttpRequest, BoxError> {
        let url = format!("{}/{key}", self.url);
        let mut settings = SigningSettings::default();
        // As S3 demands: the digest of the body as a header, and the path as it is.
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let headers = [("host", self.host.as_str()), ("content-type", CONTENT_TYPE)].into_iter();
        let signable = SignableRequest::new(method, url.as_str(), headers, SignableBody::Bytes(body.as_bytes()))?;
        let scope = Scope { service: "s3", region: &self.aws.region };
        let instructions = sign(&self.aws, scope, settings, signable, now)?;
        let mut request = HttpRequest::new(body.to_owned().into());
        request.set_method(method)?;
        request.set_uri(url).map_err(|_| "the address of the bucket is malformed")?;
        request.headers_mut().insert("content-type", CONTENT_TYPE);
        for (name, value) in instructions.headers() {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }
}

fn failed(status: u16, code: &str) -> BoxError {
    format!("S3 answered with status {status}, {code}").into()
}
