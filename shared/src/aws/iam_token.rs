//! Signing in to a database as whoever AWS says the function is: the password is a signed request that is never sent, made
//! here without a call to anything (Signature Version 4 in the query:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::AwsCredentials;
use crate::env::{self, EnvError};

/// The service that checks the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IamService {
    /// RDS, Aurora and RDS Proxy: what `rds-db:connect` allows.
    Rds,
    /// Aurora DSQL: what `dsql:DbConnect` allows, or `dsql:DbConnectAdmin` for the user `admin`.
    Dsql,
}

/// A user of a database, at whose sign-in AWS decides.
pub struct IamAuth {
    /// Who checks it.
    pub service: IamService,
    /// As whom the function runs, and the region where the name of the host has none.
    pub aws: AwsCredentials,
    /// The database's own address: another name for it would not fit the signature.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name of the database.
    pub database: String,
    /// The user.
    pub user: String,
}

/// Seconds from the signature to the sign-in, the most that there may be. A connection that stands is not looked at again.
const LIFETIME: &str = "900";

/// All but what RFC 3986 never wants encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl IamAuth {
    pub(crate) fn from_env(service: IamService) -> Result<Self, EnvError> {
        Ok(Self {
            service,
            host: env::required("DATABASE_HOST", "set it to the database's own address, which DATABASE_AUTH signs")?,
            port: env::integer("DATABASE_PORT", 1, u16::MAX, 5432)?,
            database: env::optional("DATABASE_NAME").unwrap_or_else(|| "postgres".to_owned()),
            user: env::required(
                "DATABASE_USER",
                "set it to the role that DATABASE_AUTH signs in, such as keyhold_reader",
            )?,
            aws: AwsCredentials::from_env()?,
        })
    }

    /// The password, from `now` on for 15 minutes.
    pub fn token(&self, now: SystemTime) -> Zeroizing<String> {
        let now = OffsetDateTime::from(now);
        let date = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
        let instant = format!("{date}T{:02}{:02}{:02}Z", now.hour(), now.minute(), now.second());
        let (service, host, action) = match self.service {
            IamService::Rds => ("rds-db", format!("{}:{}", self.host, self.port), "connect"),
            IamService::Dsql if self.user == "admin" => ("dsql", self.host.clone(), "DbConnectAdmin"),
            IamService::Dsql => ("dsql", self.host.clone(), "DbConnect"),
        };
        let region = region_of(&self.host).unwrap_or(&self.aws.region);
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let credential = format!("{}/{scope}", self.aws.access_key_id);

        let mut parameters = vec![("Action", action)];
        if self.service == IamService::Rds {
            parameters.push(("DBUser", &self.user));
        }
        parameters.extend([
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &instant),
            ("X-Amz-Expires", LIFETIME),
            ("X-Amz-SignedHeaders", "host"),
        ]);
        parameters.extend(self.aws.session_token.as_deref().map(|token| ("X-Amz-Security-Token", token)));
        let query = query(&parameters);
        // What is signed has them in the order of their names.
        parameters.sort_unstable();
        let request = format!("GET\n/\n{}\nhost:{host}\n\nhost\n{}", self::query(&parameters), hash(""));
        let text = format!("AWS4-HMAC-SHA256\n{instant}\n{scope}\n{}", hash(&request));

        let secret = Zeroizing::new(format!("AWS4{}", self.aws.secret_access_key.as_str()));
        let key = [date.as_str(), region, service, "aws4_request"]
            .into_iter()
            .fold(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), |key, part| {
                hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
            });
        let signature = hex(hmac::sign(&key, text.as_bytes()).as_ref());
        Zeroizing::new(format!("{host}/?{query}&X-Amz-Signature={signature}"))
    }
}

fn query(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ENCODED)));
    pairs.collect::<Vec<_>>().join("&")
}

fn hash(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The region that an address of AWS's names, which is where the database is: the function may be elsewhere.
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
    fn an_address_tells_its_region() {
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
