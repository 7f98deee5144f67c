use std::fmt;

use aws_sdk_secretsmanager::config::Credentials;
use zeroize::Zeroizing;

use crate::env::{self, EnvError};

/// The credentials and the region for calls to AWS.
pub struct AwsCredentials {
    /// The region, as in `eu-central-1`.
    pub region: String,
    /// The id of the access key.
    pub access_key_id: String,
    /// The secret of the access key.
    pub secret_access_key: Zeroizing<String>,
    /// The session token of temporary credentials, which a function has.
    pub session_token: Option<String>,
    /// The address of Secrets Manager, if it differs from AWS's own.
    pub endpoint_url: Option<String>,
}

impl AwsCredentials {
    /// Reads the variables that Lambda sets.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn from_env() -> Result<Self, EnvError> {
        let variable =
            |name| env::required(name, "Lambda sets it; set it where DATABASE_AUTH or a secret's ARN is set");
        Ok(Self {
            region: variable("AWS_REGION")?,
            access_key_id: variable("AWS_ACCESS_KEY_ID")?,
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?.into(),
            session_token: env::optional("AWS_SESSION_TOKEN"),
            endpoint_url: env::optional("AWS_ENDPOINT_URL_SECRETS_MANAGER")
                .or_else(|| env::optional("AWS_ENDPOINT_URL")),
        })
    }

    /// Returns the identity in the SDK's form.
    pub fn to_sdk(&self) -> Credentials {
        let (id, secret) = (self.access_key_id.as_str(), self.secret_access_key.as_str());
        Credentials::new(id, secret, self.session_token.clone(), None, "environment")
    }
}

/// Hides the secrets.
impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("region", &self.region).finish_non_exhaustive()
    }
}
