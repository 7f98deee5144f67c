//! AWS: the only home of the SDK and of request signing. The SDK is for rotations and for `mail-send`; requests that each function
//! sends are signed here.

pub mod client;
mod credentials;
mod http;
pub mod iam_token;
mod retry;
pub mod s3;
pub mod secret_texts;
mod signing;

pub use self::credentials::AwsCredentials;
