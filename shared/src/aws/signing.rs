//! Request signing (Signature Version 4): <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>.

#![expect(clippy::disallowed_methods, reason = "the home of request signing")]

use std::time::SystemTime;

use aws_sigv4::http_request::{self, SignableRequest, SigningInstructions, SigningSettings};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;

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
