//! Mail to users: the messages and the outbox.
//!
//! A function does not wait for a mail server. It puts a message into the outbox, and the function `mail-send` sends it. In AWS
//! the outbox is a bucket, which a function in the VPC reaches by the free gateway endpoint of S3, and each new object starts
//! `mail-send` outside of the VPC. Locally it is a folder.

mod message;
mod outbox;

pub use self::message::{Content, Message};
pub use self::outbox::{Outbox, OutboxError};
