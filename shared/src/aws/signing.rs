//! Request signing (Signature Version 4): <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>.

#![expect(clippy::disallowed_methods, reason = "the home of request signing")]

use std::time::SystemTime;

use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningInstructions, SigningSettings};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::AwsCredentials;
use crate::report::BoxError;

/// The service and the region that a signature is for.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) service: &'static str,
    pub(super) region: &'a str,
}

/// Signs a request and returns the headers, or the parameters of the query, to add to it.
///
/// # Errors
/// The host or the path contains characters that it cannot contain.
pub(super) fn sign(
    aws: &AwsCredentials,
    scope: Scope<'_>,
    settings: SigningSettings,
    request: SignableRequest<'_>,
    now: SystemTime,
) -> Result<SigningInstructions, BoxError> {
    let identity = Identity::from(aws.to_sdk());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let (instructions, _) = http_request::sign(request, &parameters)?.into_parts();
    Ok(instructions)
}

/// A request to AWS without its signature.
#[derive(Clone, Copy)]
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a str,
}

impl Unsigned<'_> {
    /// Signs the request by headers.
    ///
    /// # Errors
    /// The URL is malformed.
    pub(super) fn sign(
        self,
        aws: &AwsCredentials,
        scope: Scope<'_>,
        settings: SigningSettings,
        now: SystemTime,
    ) -> Result<HttpRequest, BoxError> {
        let Self { method, url, headers, body } = self;
        let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let signed = headers.iter().copied().chain([("host", host)]);
        let signable = SignableRequest::new(method, url, signed, SignableBody::Bytes(body.as_bytes()))?;
        let instructions = sign(aws, scope, settings, signable, now)?;
        let mut request = HttpRequest::new(body.to_owned().into());
        request.set_method(method)?;
        request.set_uri(url.to_owned()).map_err(|_| "the URL is malformed")?;
        for (name, value) in headers.iter().copied().chain(instructions.headers()) {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }
}
