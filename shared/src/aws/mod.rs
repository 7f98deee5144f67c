//! AWS: the only home of the SDK and of request signing.

pub mod client;
mod credentials;
mod http;
pub mod iam_token;
pub mod s3;

pub use self::credentials::AwsCredentials;
