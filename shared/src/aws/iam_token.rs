//! Database passwords for sign-in by IAM. The password is a presigned request (Signature Version 4 in the query string)
//! that is not sent. It is made here without a network call:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::AwsCredentials;
use super::signing::{Scope, sign};
use crate::env::{self, EnvError};
use crate::report::BoxError;

/// The service that checks the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IamService {
    /// RDS, Aurora, and RDS Proxy. Needs the permission `rds-db:connect`.
    Rds,
    /// Aurora DSQL. Needs the permission `dsql:DbConnect`, or `dsql:DbConnectAdmin` for the user `admin`.
    Dsql,
}

/// A database user that signs in by IAM.
pub struct IamAuth {
    /// The service that checks the token.
    pub service: IamService,
    /// The credentials to sign with, and the region if `host` does not contain one.
    pub aws: AwsCredentials,
    /// The address of the database as AWS assigned it. The signature covers it, so an alias fails.
    pub host: String,
    /// The port of the database.
    pub port: u16,
    /// The name of the database.
    pub database: String,
    /// The user.
    pub user: String,
}

/// Time for which a token is accepted, the maximum that AWS allows. An open connection is not checked again.
const LIFETIME: Duration = Duration::from_mins(15);

/// All characters except the unreserved ones of RFC 3986 §2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl IamAuth {
    pub(crate) fn from_env(service: IamService) -> Result<Self, EnvError> {
        Ok(Self {
            service,
            host: env::host("DATABASE_HOST")?.ok_or(EnvError::Missing {
                name: "DATABASE_HOST",
                advice: "set it to the database's own address, which DATABASE_AUTH signs",
            })?,
            port: env::integer("DATABASE_PORT", 1, u16::MAX, 5432)?,
            database: env::optional("DATABASE_NAME").unwrap_or_else(|| "postgres".to_owned()),
            user: env::required(
                "DATABASE_USER",
                "set it to the role that DATABASE_AUTH signs in, such as keyhold_reader",
            )?,
            aws: AwsCredentials::from_env()?,
        })
    }

    /// Signs a password that is valid for 15 minutes from `now`.
    ///
    /// # Errors
    /// The host contains characters that no host name can contain.
    pub fn token(&self, now: SystemTime) -> Result<Zeroizing<String>, BoxError> {
        let (service, host, action) = match self.service {
            IamService::Rds => ("rds-db", format!("{}:{}", self.host, self.port), "connect"),
            IamService::Dsql if self.user == "admin" => ("dsql", self.host.clone(), "DbConnectAdmin"),
            IamService::Dsql => ("dsql", self.host.clone(), "DbConnect"),
        };
        let mut path = format!("/?Action={action}");
        if self.service == IamService::Rds {
            append(&mut path, "DBUser", &self.user);
        }

        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(LIFETIME);
        let scope = Scope { service, region: region_of(&self.host).unwrap_or(&self.aws.region) };
        let headers = [("host", host.as_str())].into_iter();
        let request = SignableRequest::new("GET", path.as_str(), headers, SignableBody::empty())?;
        let (_, mut added) = sign(&self.aws, scope, settings, request, now)?.into_parts();
        // The other SDKs write the signature last.
        added.sort_by_key(|(name, _)| *name == "X-Amz-Signature");

        let mut token = Zeroizing::new(host + &path);
        for (name, value) in &added {
            append(&mut token, name, value);
        }
        Ok(token)
    }
}

fn append(query: &mut String, name: &str, value: &str) {
    query.extend(["&", name, "="]);
    query.extend(utf8_percent_encode(value, ENCODED));
}

/// Returns the region in an address of AWS. The function may run in another region than the database.
fn region_of(host: &str) -> Option<&str> {
    let host = host.trim_end_matches('.');
    let is_aws = [".amazonaws.com", ".amazonaws.com.cn", ".on.aws"].iter().any(|end| host.ends_with(end));
    host.rsplit('.').filter(|_| is_aws).find(|label| {
        let parts: Vec<&str> = label.split('-').collect();
        match parts.as_slice() {
            [partition, places @ .., number] if !places.is_empty() && partition.len() == 2 => {
                let are_words = |parts: &[&str]| {
                    parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()))
                };
                are_words(&[partition]) && are_words(places) && number.parse::<u8>().is_ok()
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::region_of;

    #[test]
    fn the_region_of_an_address_is_found() {
        for (host, region) in [
            ("keyhold.abcdefghijkl.eu-central-1.rds.amazonaws.com", Some("eu-central-1")),
            ("keyhold.proxy-abcdefghijkl.us-gov-west-1.rds.amazonaws.com", Some("us-gov-west-1")),
            ("keyhold.cluster-ro-abcdefghijkl.rds.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("us-west-2.abcdefghijkl.eu-central-1.rds.amazonaws.com", Some("eu-central-1")),
            ("abcdefghijklmnopqrstuvwxyz.dsql.ap-southeast-12.on.aws", Some("ap-southeast-12")),
            ("eu-central-1.example.com", None),
            ("localhost", None),
            ("10.0.0.1", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }
}
