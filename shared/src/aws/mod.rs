//! AWS: the only home of the SDK and of request signing. The SDK is for rotations and for SES. Requests that many functions send
//! are signed here.

pub mod client;
mod credentials;
mod http;
pub mod iam_token;
mod retry;
pub mod s3;
pub mod secret_texts;
mod signing;

pub use self::credentials::AwsCredentials;
