//! Sends the messages of the outbox. In AWS each new object of the outbox bucket invokes this function, outside of the VPC. As a
//! program it sends all messages of a folder. It has no route and no database.
//!
//! A message is removed after it was sent, so a failure repeats it: Lambda invokes the function twice more, and then puts the
//! event into the dead-letter queue. A message may be sent twice, and none is lost.

mod delivery;
mod message;
mod settings;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shared::clock::{Clock, SystemClock};
use shared::mail::Outbox;
use shared::report::BoxError;
use shared::runtime::Invocation;

use self::delivery::{Delivery, DeliveryError};
use self::settings::Settings;

/// The result of an invocation.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Messages that were sent.
    pub sent: usize,
    /// Entries without a message, messages that were sent before, and codes that had expired.
    pub skipped: usize,
    /// Messages that the mail server does not accept for their address.
    pub undeliverable: usize,
}

/// The members of an event of S3 that are read, as `EventBridge` delivers it:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>.
#[derive(Deserialize)]
struct Event {
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    /// The name of an entry of the outbox.
    key: String,
}

/// Sends the message that the event names, or all messages of a folder.
///
/// # Errors
/// A setting is wrong, the event has another form, or a message could not be sent. Those before it were.
pub async fn handle(invocation: Invocation) -> Result<Report, BoxError> {
    let settings = Settings::from_env()?;
    let delivery = Delivery::from_env().await?;
    let outbox =
        Outbox::from_env()?.ok_or("MAIL_OUTBOX is not set: set it to that of the functions that request mail")?;
    let event: Option<Event> = serde_json::from_str(&invocation.event)
        .map_err(|error| format!("the event is not one of S3 by EventBridge: {error}"))?;
    let names = match event {
        Some(event) => vec![event.detail.object.key],
        None => outbox.list()?,
    };
    let mut report = Report::default();
    for name in names {
        let outcome = send(&outbox, &name, &settings, &delivery, SystemClock.now()).await?;
        match outcome {
            Outcome::Sent => report.sent += 1,
            Outcome::Skipped => report.skipped += 1,
            Outcome::Undeliverable => report.undeliverable += 1,
        }
    }
    Ok(report)
}

enum Outcome {
    Sent,
    Skipped,
    Undeliverable,
}

/// Sends the message of an entry and removes the entry.
async fn send(
    outbox: &Outbox,
    name: &str,
    settings: &Settings,
    delivery: &Delivery,
    now: SystemTime,
) -> Result<Outcome, BoxError> {
    let outcome = match outbox.read(name, now).await? {
        None => Outcome::Skipped,
        Some(message) if message.content.has_expired(now) => {
            tracing::warn!(event = "mail.expired", entry = name, kind = message.content.kind());
            Outcome::Skipped
        }
        Some(message) => {
            let kind = message.content.kind();
            let sent = match message::email(&message, name, settings, now) {
                Ok(email) => delivery.send(&email).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => {
                    tracing::info!(event = "mail.sent", entry = name, kind);
                    Outcome::Sent
                }
                Err(DeliveryError::Undeliverable(cause)) => {
                    tracing::warn!(event = "mail.undeliverable", entry = name, kind, cause = %cause);
                    Outcome::Undeliverable
                }
                Err(DeliveryError::Failed(error)) => return Err(error),
            }
        }
    };
    outbox.remove(name, now).await?;
    Ok(outcome)
}
