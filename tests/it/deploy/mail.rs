//! The way of a message from a request to a mail server: real functions, a real SMTP server, and the S3 and SES of moto.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use shared::domain::CodePurpose;
use shared::mail::Message;
use tests::emulator::Emulator;
use tests::port;
use tests::process::{Running, spawn};

use crate::support::http_server::HttpServer;
use crate::support::workspace::{events_of, root};
use crate::support::{
    Mailbox, Outcome, SECRET, SecretsManager, Service, authorization, binaries, database, emulate, settings, tools,
};

const FROM: &str = "Keyhold <no-reply@example.com>";

/// The region and the credentials.
const AWS: [(&str, &str); 3] =
    [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

/// An SMTP server, and the folder of the messages that it has accepted.
struct MailServer {
    port: u16,
    received: Mailbox,
    _running: Running,
}

impl MailServer {
    fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let (port, received) = (port::free()?, Mailbox::default());
        let mut command = tools().command("python");
        command.arg(root().join("tests/it/support/smtp_server.py")).arg(port.to_string()).arg(received.folder());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = spawn(command)?;
        assert!(port::opens(port, &mut running, Duration::from_secs(30)), "the mail server did not start");
        Ok(Self { port, received, _running: running })
    }

    fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The messages that the server has accepted.
    fn received(&self) -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let mut texts = Vec::new();
        for entry in fs::read_dir(self.received.folder())? {
            texts.push(fs::read_to_string(entry?.path())?);
        }
        Ok(texts)
    }
}

/// Puts the message with a code that was made at a time into an outbox.
async fn put(outbox: &Mailbox, to: &str, made_at: SystemTime) -> Outcome {
    let code = "01234567".parse()?;
    let message = Message::with_code(to.to_owned(), "ada".to_owned(), CodePurpose::PasswordReset, code, made_at);
    Ok(outbox.outbox().put(uuid::Uuid::now_v7(), Some(&message), made_at).await?)
}

/// `mail-send` as a program.
fn program() -> Command {
    let mut command = Command::new(binaries().path("mail-send"));
    command.env_remove("AWS_LAMBDA_RUNTIME_API").env("MAIL_FROM", FROM);
    command
}

/// Runs `mail-send` with the settings of a mail server. Returns its result, or none if it failed. Its log has no address.
fn send(outbox: &Path, server: &[(&str, &str)]) -> Result<Option<Value>, Box<dyn std::error::Error>> {
    let output = program().env("MAIL_OUTBOX", outbox).envs(server.iter().copied()).output()?;
    let [log, errors] = [output.stdout, output.stderr].map(String::from_utf8);
    let (log, errors) = (log?, errors?);
    assert!(!format!("{log}{errors}").contains("@example.com"), "{log}{errors}");
    // The result is the last line.
    Ok(output.status.success().then(|| serde_json::from_str(log.lines().last().unwrap_or_default())).transpose()?)
}

#[tokio::test]
async fn messages_are_sent_by_smtp() -> Outcome {
    let (server, mailbox, now) = (MailServer::start()?, Mailbox::default(), SystemTime::now());
    put(&mailbox, "ada@example.com", now).await?;
    put(&mailbox, "zoë@exämple.de", now).await?;
    put(&mailbox, "unknown@example.com", now).await?;
    put(&mailbox, "late@example.com", now - Duration::from_mins(15)).await?;
    mailbox.outbox().put(uuid::Uuid::now_v7(), None, now).await?;
    let report = send(mailbox.folder(), &[("SMTP_URL", &server.url())])?;
    assert_eq!(report, Some(json!({ "sent": 2, "skipped": 2, "undeliverable": 1 })));
    assert_eq!(mailbox.entries(), 0);
    let received = server.received()?;
    assert_eq!(received.len(), 2, "{received:?}");
    for to in ["ada@example.com", "zoë@xn--exmple-cua.de"] {
        let header = format!("To: {to}\r\n");
        let message = received.iter().find(|text| text.contains(&header)).ok_or(format!("no message to {to}"))?;
        assert!(message.contains("01234567") && message.contains("From: Keyhold <no-reply@example.com>"), "{message}");
    }
    Ok(())
}

#[tokio::test]
async fn a_message_that_was_not_sent_stays_in_the_outbox() -> Outcome {
    let (server, mailbox, now) = (MailServer::start()?, Mailbox::default(), SystemTime::now());
    put(&mailbox, "later@example.com", now).await?;
    assert_eq!(
        send(mailbox.folder(), &[("SMTP_URL", &server.url())])?,
        None,
        "the server accepts no message for this address now"
    );
    assert_eq!(mailbox.entries(), 1);
    let closed = format!("smtp://127.0.0.1:{}", port::free()?);
    assert_eq!(send(mailbox.folder(), &[("SMTP_URL", &closed)])?, None, "the server is gone");
    assert_eq!(mailbox.entries(), 1);
    mailbox.take();
    put(&mailbox, "ada@example.com", now).await?;
    assert_eq!(
        send(mailbox.folder(), &[("SMTP_URL", &server.url())])?,
        Some(json!({ "sent": 1, "skipped": 0, "undeliverable": 0 }))
    );
    Ok(())
}

#[test]
fn wrong_settings_are_named() -> Outcome {
    let mailbox = Mailbox::default();
    let folder = mailbox.folder().to_string_lossy().into_owned();
    let good = ["MAIL_OUTBOX", "MAIL_FOLDER"].map(|name| (name, folder.as_str()));
    for (name, value) in [
        ("MAIL_FROM", ""),
        ("MAIL_FROM", "Keyhold"),
        ("MAIL_BRAND", "two\nlines"),
        ("MAIL_LANGUAGE", "xx"),
        ("MAIL_LANGUAGE", "../en"),
        ("MAIL_OUTBOX", ""),
        ("MAIL_OUTBOX", "relative/path"),
        ("MAIL_OUTBOX", "s3://Not_A_Bucket"),
        ("SMTP_URL", "http://user:a-password@host"),
    ] {
        let output = program().envs(good).env(name, value).output()?;
        let log = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && log.contains(name), "{name}={value:?}: {log}");
        assert!(!log.contains("a-password"), "{log}");
    }
    Ok(())
}

/// The role of `mail-send` may get this one secret, and not a batch of secrets.
#[tokio::test]
async fn the_address_of_the_mail_server_is_read_from_its_secret() -> Outcome {
    let (server, mailbox) = (MailServer::start()?, Mailbox::default());
    put(&mailbox, "ada@example.com", SystemTime::now()).await?;
    let (secret, actions) = (json!({ "SecretString": server.url() }).to_string(), Arc::<Mutex<Vec<String>>>::default());
    let secrets_manager = HttpServer::start(1, {
        let actions = Arc::clone(&actions);
        move |request| {
            let target = request.headers().iter().find(|header| header.field.equiv("x-amz-target"));
            actions.lock().expect("no panic").extend(target.map(|target| target.value.to_string()));
            let _ = request.respond(tiny_http::Response::from_string(&secret));
        }
    })?;
    let endpoint = format!("http://127.0.0.1:{}", secrets_manager.port());
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:smtp";
    let server_settings = [&AWS[..], &[("SMTP_URL_ARN", arn), ("AWS_ENDPOINT_URL", &endpoint)]].concat();
    let report = send(mailbox.folder(), &server_settings)?;
    assert_eq!(report, Some(json!({ "sent": 1, "skipped": 0, "undeliverable": 0 })));
    assert_eq!(server.received()?.len(), 1);
    assert_eq!(*actions.lock().map_err(|_| "a panic")?, ["secretsmanager.GetSecretValue"]);
    Ok(())
}

/// The outbox bucket and SES of moto.
struct Aws {
    moto: SecretsManager,
}

impl Aws {
    fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let moto = SecretsManager::start(tools())?;
        moto.create_bucket("outbox")?;
        Ok(Self { moto })
    }

    fn verify_sender(&self) -> Outcome {
        ureq::post(self.moto.url())
            .header("authorization", authorization("ses"))
            .send_form([("Action", "VerifyEmailIdentity"), ("EmailAddress", "no-reply@example.com")])?;
        Ok(())
    }

    /// The names of the objects in the bucket.
    fn objects(&self) -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let url = format!("{}/outbox", self.moto.url());
        let list = ureq::get(url).header("authorization", authorization("s3")).call()?.body_mut().read_to_string()?;
        let names = list.split("<Key>").skip(1).filter_map(|rest| rest.split('<').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// The messages that SES has accepted, as text.
    fn sent(&self) -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let url = format!("{}/moto-api/data.json", self.moto.url());
        let data: Value = serde_json::from_str(&ureq::get(url).call()?.body_mut().read_to_string()?)?;
        let messages = data["ses"]["RawMessage"].as_array().cloned().unwrap_or_default();
        Ok(messages.iter().map(|message| message["raw_data"].as_str().unwrap_or_default().to_owned()).collect())
    }

    fn emulate(&self, function: &str, database_url: &str) -> Result<Emulator, tests::Error> {
        let settings = [
            ("DATABASE_URL", database_url),
            ("JWT_SECRET", SECRET),
            ("MAIL_OUTBOX", "s3://outbox"),
            ("MAIL_FROM", FROM),
            ("AWS_ENDPOINT_URL", self.moto.url()),
        ];
        emulate(&binaries().path(function), &[&AWS[..], &settings].concat())
    }
}

fn event_of(function: &str, replaced: &str, by: &str) -> Result<String, Box<dyn std::error::Error>> {
    let (_, event) = events_of(function)?.into_iter().next().ok_or("no event")?;
    Ok(event.to_string().replace(replaced, by))
}

#[tokio::test]
async fn messages_are_sent_by_ses_from_the_outbox_bucket() -> Outcome {
    let (aws, database) = (Aws::start()?, database());
    let service = Service::new(database, settings());
    service.anonymous().sign_up("ada").await;
    let request = aws.emulate("password-reset-request", &service.database.url_of("password-reset-request"))?;
    let sender = aws.emulate("mail-send", "")?;
    let requested = event_of("password-reset-request", "ada.lovelace@example.com", "ada@example.com")?;
    let response: Value = serde_json::from_str(&request.invoke(&requested)?)?;
    assert_eq!(response["statusCode"], 202, "{response}");
    let objects = aws.objects()?;
    let [name] = objects.as_slice() else { panic!("one object, not {objects:?}") };
    let event = event_of("mail-send", "ENTRY.json", name)?;
    let error: Value = serde_json::from_str(&sender.invoke(&event)?)?;
    assert_eq!(error["errorType"], "TaskFailed", "SES rejects a sender that is not verified: {error}");
    assert_eq!(aws.objects()?.len(), 1, "the message stays");

    aws.verify_sender()?;
    let report = |sent: usize| json!({ "sent": sent, "skipped": 1 - sent, "undeliverable": 0 });
    assert_eq!(serde_json::from_str::<Value>(&sender.invoke(&event)?)?, report(1));
    assert_eq!(aws.objects()?, [""; 0]);
    assert_eq!(serde_json::from_str::<Value>(&sender.invoke(&event)?)?, report(0), "an event may come twice");
    let sent = aws.sent()?;
    let [message] = sent.as_slice() else { panic!("one message, not {sent:?}") };
    assert!(message.contains("To: ada@example.com\r\n") && message.contains("Subject: Keyhold: reset"), "{message}");

    let unknown = event_of("password-reset-request", "ada.lovelace@example.com", "unknown@example.com")?;
    let response: Value = serde_json::from_str(&request.invoke(&unknown)?)?;
    assert_eq!(response["statusCode"], 202, "{response}");
    let objects = aws.objects()?;
    let [name] = objects.as_slice() else { panic!("an entry without a message, not {objects:?}") };
    assert_eq!(serde_json::from_str::<Value>(&sender.invoke(&event_of("mail-send", "ENTRY.json", name)?)?)?, report(0));
    assert_eq!((aws.objects()?, aws.sent()?.len()), (Vec::new(), 1));
    Ok(())
}

#[tokio::test]
async fn a_request_whose_bucket_is_unreachable_says_so() -> Outcome {
    let (aws, database) = (Aws::start()?, database());
    let url = database.url_of("password-reset-request");
    let request = aws.emulate("password-reset-request", &url)?;
    drop(aws);
    for name in ["ada.lovelace@example.com", "unknown@example.com"] {
        let event = event_of("password-reset-request", "ada.lovelace@example.com", name)?;
        let response: Value = serde_json::from_str(&request.invoke(&event)?)?;
        assert_eq!(response["statusCode"], 503, "{response}");
    }
    Ok(())
}
