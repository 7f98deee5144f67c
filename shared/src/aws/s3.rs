//! Objects of S3: put, get, and delete, by signed requests (Signature Version 4):
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>. The SDK's client of S3 makes a function 1.4 MB
//! larger, which is 30 %.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{PayloadChecksumKind, PercentEncodingMode, SigningSettings, UriPathNormalizationMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::AwsCredentials;
use super::http::Client;
use super::retry::{Attempts, Failure};
use super::signing::{Scope, Unsigned};
use crate::env::{self, EnvError};
use crate::report::BoxError;

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    /// The address of the bucket, without a slash at the end.
    url: String,
    aws: AwsCredentials,
}

/// Together they are well below the functions' timeout.
const ATTEMPTS: Attempts = Attempts { max: 3, timeout: Duration::from_secs(2), pause: Duration::from_millis(100) };

/// A request for an object, whose URL is added.
const GET: Unsigned<'static> = Unsigned { method: "GET", url: "", headers: &[], body: "" };

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
        Ok(Self { url, aws })
    }

    /// Stores an object, and replaces one with this key.
    ///
    /// # Errors
    /// The last attempt failed.
    pub async fn put(&self, key: &str, body: &str, now: SystemTime) -> Result<(), BoxError> {
        self.request(key, Unsigned { method: "PUT", body, ..GET }, now)
            .await?
            .ok_or_else(|| "the bucket does not exist".into())
            .map(|_| ())
    }

    /// Returns the text of an object; none if it does not exist.
    ///
    /// # Errors
    /// The last attempt failed, or the object is not text.
    pub async fn get(&self, key: &str, now: SystemTime) -> Result<Option<String>, BoxError> {
        let object = self.request(key, GET, now).await?;
        Ok(object.map(|object| String::from_utf8(object.bytes)).transpose()?)
    }

    /// Returns up to `length` bytes of an object from the position `from` on; none if it does not exist. Fewer bytes are its end.
    /// With the `version` of an earlier part, the object must not have been replaced since.
    ///
    /// # Errors
    /// The last attempt failed, or the object was replaced.
    pub async fn part(
        &self,
        key: &str,
        from: u64,
        length: u64,
        version: Option<&str>,
        now: SystemTime,
    ) -> Result<Option<Part>, BoxError> {
        let range = format!("bytes={from}-{}", from + length - 1);
        let mut headers = vec![("range", range.as_str())];
        headers.extend(version.map(|version| ("if-match", version)));
        self.request(key, Unsigned { headers: &headers, ..GET }, now).await
    }

    /// Deletes an object. One that does not exist is not an error.
    ///
    /// # Errors
    /// The last attempt failed.
    pub async fn delete(&self, key: &str, now: SystemTime) -> Result<(), BoxError> {
        self.request(key, Unsigned { method: "DELETE", ..GET }, now).await.map(|_| ())
    }

    /// Sends a request for an object, repeats it after a failure that may pass, and returns the body of the response; none for 404.
    async fn request(&self, key: &str, request: Unsigned<'_>, now: SystemTime) -> Result<Option<Part>, BoxError> {
        let client = Client::new()?;
        let (url, headers) =
            (format!("{}/{key}", self.url), [&[("content-type", CONTENT_TYPE)], request.headers].concat());
        let request = Unsigned { url: &url, headers: &headers, ..request };
        ATTEMPTS.run(|| self.attempt(&client, request, now)).await
    }

    async fn attempt(&self, client: &Client, request: Unsigned<'_>, now: SystemTime) -> Result<Option<Part>, Failure> {
        let request = self.sign(request, now).map_err(Failure::Permanent)?;
        let response = client.call(request).await.map_err(|error| Failure::Temporary(error.into()))?;
        let status = response.status();
        let bytes = response.body().bytes().unwrap_or_default();
        if status.is_success() {
            let version = response.headers().get("etag").unwrap_or_default().to_owned();
            return Ok(Some(Part { bytes: bytes.to_vec(), version }));
        }
        // The response of S3 names the cause: <Error><Code>AccessDenied</Code>…
        let text = String::from_utf8_lossy(bytes);
        let code = text.split("<Code>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or("no code");
        match status.as_u16() {
            404 if code != "NoSuchBucket" => Ok(None),
            // The position is the end of the object.
            416 => Ok(Some(Part::default())),
            status @ (408 | 429 | 500..) => Err(Failure::Temporary(failed(status, code))),
            status => Err(Failure::Permanent(failed(status, code))),
        }
    }

    fn sign(&self, request: Unsigned<'_>, now: SystemTime) -> Result<HttpRequest, BoxError> {
        let mut settings = SigningSettings::default();
        // As S3 demands: the digest of the body as a header, and the path as it is.
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        request.sign(&self.aws, Scope { service: "s3", region: &self.aws.region }, settings, now)
    }
}

/// A part of an object, or all of it.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The entity tag of the object.
    pub version: String,
}

/// Returns the bucket and the key of `s3://<bucket>/<key>`.
///
/// # Errors
/// The address has another form, or a variable that Lambda sets is missing.
pub fn object(address: &str) -> Result<(Bucket, String), BoxError> {
    let (bucket, key) = address.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).unwrap_or_default();
    let is_valid = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    if !is_bucket_name(bucket) || key.is_empty() || !key.chars().all(is_valid) {
        return Err(
            format!("{address:?} must be s3:// with a bucket, a slash, and a key of A-Z a-z 0-9 / . _ -").into()
        );
    }
    Ok((Bucket::from_env(bucket)?, key.to_owned()))
}

/// Whether a text is the name of a bucket. A name with dots would not match the certificate of S3.
pub(crate) fn is_bucket_name(name: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&name.len()) && name.bytes().all(is_valid)
}

fn failed(status: u16, code: &str) -> BoxError {
    format!("S3 answered with status {status}, {code}").into()
}
