//! The ways of an email to a mail server: SES, SMTP, or a folder.

#![expect(clippy::disallowed_methods, reason = "the home of the client of SES")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_sesv2::config::timeout::TimeoutConfig;
use aws_sdk_sesv2::config::{BehaviorVersion, Region};
use aws_sdk_sesv2::error::ProvideErrorMetadata;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{Destination, EmailContent, RawMessage};
use aws_sdk_sesv2::{Client, Config};
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport, Message, Tokio1Executor};
use shared::aws::secret_texts::secret_text;
use shared::aws::{AwsCredentials, client};
use shared::clock::{Clock, SystemClock};
use shared::env::{self, EnvError};
use shared::report::BoxError;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::time::timeout;

/// Time for a mail server to accept an email.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The way to a mail server.
pub(crate) enum Delivery {
    /// Amazon SES, by the API: <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>.
    Ses(Box<Client>, Option<String>),
    /// A mail server with SMTP.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// A folder, into which each email is written as a file.
    Folder(PathBuf),
}

/// Why an email was not sent.
#[derive(Debug)]
pub(crate) enum DeliveryError {
    /// No attempt can succeed, because of the address.
    Undeliverable(String),
    /// The next attempt may succeed, perhaps after a change of the settings.
    Failed(BoxError),
}

impl Delivery {
    /// Reads `SMTP_URL`, `SMTP_URL_ARN`, or `MAIL_FOLDER`. Without them, SES sends, with the configuration set in
    /// `SES_CONFIGURATION_SET`.
    pub(crate) async fn from_env() -> Result<Self, BoxError> {
        if let Some(url) = env::optional("SMTP_URL") {
            return Ok(Self::Smtp(smtp(&url)?));
        }
        if let Some(arn) = env::optional("SMTP_URL_ARN") {
            return Ok(Self::Smtp(smtp(&secret_text(&arn, SystemClock.now()).await?)?));
        }
        if let Some(folder) = env::optional("MAIL_FOLDER") {
            return Ok(Self::Folder(folder.into()));
        }
        let endpoint = env::optional("AWS_ENDPOINT_URL_SESV2").or_else(|| env::optional("AWS_ENDPOINT_URL"));
        let aws = AwsCredentials::from_env()?;
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(aws.to_sdk())
            .region(Region::new(aws.region))
            .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
            .http_client(client::http()?);
        config.set_endpoint_url(endpoint);
        let client = Client::from_conf(config.build());
        Ok(Self::Ses(Box::new(client), env::optional("SES_CONFIGURATION_SET")))
    }

    pub(crate) async fn send(&self, email: &Message) -> Result<(), DeliveryError> {
        match self {
            Self::Ses(client, configuration_set) => send_by_ses(client, configuration_set.clone(), email).await,
            Self::Smtp(server) => match timeout(TIMEOUT, server.send(email.clone())).await {
                Ok(sent) => sent.map(|_| ()).map_err(smtp_failure),
                Err(elapsed) => Err(DeliveryError::Failed(elapsed.into())),
            },
            Self::Folder(folder) => write(folder, email).map_err(DeliveryError::Failed),
        }
    }
}

fn smtp(url: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, EnvError> {
    let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.trim());
    // Neither the URL nor the error of the library is shown, because both contain the password.
    let server = server.map_err(|_| EnvError::Invalid {
        name: "SMTP_URL",
        expected:
            "smtps://user:password@host, or smtp://user:password@host?tls=required for STARTTLS, with percent-encoded \
                   special characters"
                .to_owned(),
        given: "…".to_owned(),
    })?;
    // The library limits only the connection, so `Delivery::send` limits all.
    Ok(server.timeout(None).build())
}

/// Sends an email by SES, which accepts only ASCII before the `@` of an address:
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html>.
async fn send_by_ses(client: &Client, configuration_set: Option<String>, email: &Message) -> Result<(), DeliveryError> {
    let failed = |error: BoxError| DeliveryError::Failed(error);
    let addresses = email.envelope().to();
    if !addresses.iter().all(|address| address.user().is_ascii()) {
        return Err(DeliveryError::Undeliverable("SES sends only to ASCII addresses".to_owned()));
    }
    let to = addresses.iter().map(|address| AsRef::<str>::as_ref(address).to_owned()).collect();
    let raw = RawMessage::builder().data(Blob::new(email.formatted())).build().map_err(|error| failed(error.into()))?;
    client
        .send_email()
        .destination(Destination::builder().set_to_addresses(Some(to)).build())
        .content(EmailContent::builder().raw(raw).build())
        .set_configuration_set_name(configuration_set)
        .send()
        .await
        .map_err(|error| match error.as_service_error().map(ProvideErrorMetadata::meta) {
            Some(meta) => {
                let (code, message) = (meta.code().unwrap_or("no code"), meta.message().unwrap_or_default());
                failed(format!("SES rejected the message: {code}: {}", without_addresses(message)).into())
            }
            None => failed(error.into()),
        })?;
    Ok(())
}

/// Tells a rejected address from other failures by its reply code (RFC 5321 §4.2.3): 550 to 553 are about a mailbox. Others, such
/// as 535 for a wrong password, are about the settings.
fn smtp_failure(error: SmtpError) -> DeliveryError {
    let Some(code) = error.status().map(u16::from) else {
        return DeliveryError::Failed(error.into());
    };
    let reason = format!("the mail server answered: {}", without_addresses(&error.to_string()));
    match code {
        550..=553 => DeliveryError::Undeliverable(reason),
        _ => DeliveryError::Failed(reason.into()),
    }
}

/// Masks the email addresses in the text of a mail server, because the log has none.
fn without_addresses(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "…@…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Writes an email to a file with the time and the address in its name.
fn write(folder: &Path, email: &Message) -> Result<(), BoxError> {
    let format = format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");
    let time = OffsetDateTime::from(SystemClock.now()).format(format)?;
    let address = email.envelope().to().first().map(ToString::to_string).unwrap_or_default();
    let is_plain = |character: &char| character.is_alphanumeric() || "@.+-_".contains(*character);
    let address: String = address.chars().filter(is_plain).collect();
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{time}-{address}.eml")), email.formatted())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tokio::net::TcpListener;
    use tokio::time::error::Elapsed;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_mail_server_that_does_not_answer_is_given_up() -> Result<(), Box<dyn Error>> {
        let server = TcpListener::bind("127.0.0.1:0").await?;
        let delivery = Delivery::Smtp(smtp(&format!("smtp://{}", server.local_addr()?))?);
        let email = Message::builder().from("a@example.com".parse()?).to("b@example.com".parse()?);
        let sent = delivery.send(&email.body(String::new())?).await;
        assert!(matches!(&sent, Err(DeliveryError::Failed(error)) if error.is::<Elapsed>()), "{sent:?}");
        Ok(())
    }
}
