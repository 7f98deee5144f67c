//! Tests that every event in `events/` succeeds. Each one is sent to the binary of its function, which runs under the
//! Runtime Interface Emulator.

use std::fs;

use serde_json::{Value, json};
use tests::emulator::Emulator;

use crate::support::workspace::{events_of, functions, root};
use crate::support::{
    Forged, Mailbox, Outcome, ResponseUrl, SECRET, SecretsManager, binaries, database, emulate, tools,
};

/// The functions in the order in which their events are sent: for example, `register` creates the account for `token`.
const ORDER: [&str; 41] = [
    "migrate",
    "users-import",
    "health-get",
    "health-ready",
    "openapi-get",
    "docs-get",
    "jwks-get",
    "register",
    "token",
    "token-refresh",
    "token-revoke",
    "data-create",
    "data-list",
    "data-batch",
    "data-get",
    "data-update",
    "data-delete",
    "data-sweep",
    "jwt-rotate",
    "account-get",
    "account-update",
    "account-export",
    "account-event-list",
    "session-list",
    "session-delete",
    "session-delete-all",
    "email-verification-request",
    "email-verification-confirm",
    "account-email-request",
    "account-email-confirm",
    "password-reset-request",
    "mail-send",
    "password-reset-confirm",
    "password-update",
    "admin-user-list",
    "admin-user-get",
    "admin-user-update",
    "admin-session-delete-all",
    "admin-password-reset",
    "admin-user-delete",
    "account-delete",
];

/// The tokens of a sign-in, which replace the placeholders in the events.
#[derive(Default)]
struct SignedIn {
    access_token: String,
    refresh_token: String,
}

/// The handle and the code of the last request for one, and the entry of its message in the outbox. They replace the placeholders
/// in the events.
#[derive(Default)]
struct Requested {
    handle: String,
    entry: String,
    code: String,
}

impl Requested {
    /// Reads the handle from the response and the code from the outbox, if the function has mailed one.
    fn update(&mut self, response: &Value, mailbox: &Mailbox) -> Outcome {
        if response["statusCode"] != 202 {
            return Ok(());
        }
        let body: Value = serde_json::from_str(response["body"].as_str().ok_or("no body")?)?;
        self.handle = body["data"]["handle"].as_str().ok_or("no handle")?.to_owned();
        let (entry, message) = mailbox.newest().ok_or("no message")?;
        self.entry = entry;
        self.code = message.ok_or("no message")?.content.code().ok_or("no code")?.as_str().to_owned();
        Ok(())
    }

    fn fill(&self, event: &str) -> String {
        event.replace("HANDLE", &self.handle).replace("ENTRY.json", &self.entry).replace("CODE", &self.code)
    }
}

impl SignedIn {
    /// Signs in with `events/token.json`. `password_changed` says that the event of `password-update` was sent before.
    fn new(token: &Emulator, password_changed: bool) -> Result<Self, Box<dyn std::error::Error>> {
        let mut events = events_of("token")?.into_iter();
        let (_, event) = events.find(|(name, _)| name == "token").ok_or("no event for a sign-in")?;
        let mut event = event.to_string();
        if password_changed {
            event = event.replace("battery", "battery staple");
        }
        let response: Value = serde_json::from_str(&token.invoke(&event)?)?;
        let body: Value = serde_json::from_str(response["body"].as_str().ok_or("no body")?)?;
        let text = |name: &str| body["data"][name].as_str().map(str::to_owned).ok_or(format!("no {name} in {body}"));
        Ok(Self { access_token: text("access_token")?, refresh_token: text("refresh_token")? })
    }

    fn fill(&self, event: &str, response_url: &ResponseUrl) -> String {
        let claim = |name: &str| match self.access_token.as_str() {
            "" => String::new(),
            token => Forged::from(token).claims()[name].as_str().unwrap_or_default().to_owned(),
        };
        let event = event.replace("ACCESS_TOKEN", &self.access_token);
        let event = event.replace("REFRESH_TOKEN", &self.refresh_token).replace("SESSION_ID", &claim("sid"));
        event.replace("USER_ID", &claim("sub")).replace("RESPONSE_URL", &response_url.url())
    }
}

/// Registers another account with `events/register.json` and returns its id.
fn register_other(register: &Emulator) -> Result<String, Box<dyn std::error::Error>> {
    let (_, event) = events_of("register")?.into_iter().next().ok_or("no event")?;
    let response: Value = serde_json::from_str(&register.invoke(&event.to_string().replace("ada", "other"))?)?;
    let body: Value = serde_json::from_str(response["body"].as_str().ok_or("no body")?)?;
    Ok(body["data"]["user_id"].as_str().ok_or(format!("no user_id in {body}"))?.to_owned())
}

#[test]
fn every_event_in_the_events_folder_succeeds() -> Outcome {
    let (database, mailbox, sent_mail) = (database(), Mailbox::default(), Mailbox::default());
    let secrets = SecretsManager::start(tools())?;
    let jwt_secret = secrets.create("jwt", SECRET)?;
    secrets.create_bucket("keyhold-imports")?;
    secrets.put_object("keyhold-imports/users.jsonl", r#"{"email":"imported@example.com"}"#)?;
    let start = |function: &str| {
        let environment = [
            ("DATABASE_URL", &*database.url_of(function)),
            ("JWT_SECRET", SECRET),
            ("ADMIN_ACCOUNT_ID", "123456789012"),
            ("BCRYPT_COST", "10"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            // `jwt-rotate` changes a secret.
            ("JWT_SECRET_ARN", &jwt_secret),
            ("AWS_ENDPOINT_URL", secrets.url()),
            ("AWS_REGION", "eu-central-1"),
            ("MAIL_OUTBOX", &mailbox.folder().to_string_lossy()),
            ("MAIL_FROM", "Keyhold <no-reply@example.com>"),
            ("MAIL_FOLDER", &sent_mail.folder().to_string_lossy()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        emulate(&binaries().path(function), &environment)
    };
    let token = start("token")?;
    let response_url = ResponseUrl::start(&[])?;
    let (mut signed_in, mut requested) = (SignedIn::default(), Requested::default());
    let mut sent = 0;
    assert_eq!(functions()?.len(), ORDER.len(), "add the new function to ORDER");
    for (index, function) in ORDER.into_iter().enumerate() {
        if ORDER[..index].contains(&"token") {
            signed_in = SignedIn::new(&token, ORDER[..index].contains(&"password-update"))?;
        }
        let emulator = start(function)?;
        let events = events_of(function)?;
        assert!(!events.is_empty(), "events/ has no event for {function}");
        for (name, event) in events {
            let mut event = event.to_string();
            if function == "admin-user-delete" {
                event = event.replace("USER_ID", &register_other(&start("register")?)?);
            }
            let event = signed_in.fill(&event, &response_url).replace("JWT_SECRET_ARN", &jwt_secret);
            let response: Value = serde_json::from_str(&emulator.invoke(&requested.fill(&event))?)?;
            requested.update(&response, &mailbox)?;
            match function {
                "migrate" if name == "migrate" => assert_eq!(response["applied"], json!([]), "{name}"),
                "migrate" => assert_eq!(response["Status"], "SUCCESS", "{name}: {response}"),
                "jwt-rotate" => assert_eq!(response, Value::Null, "{name}"),
                "data-sweep" => assert_eq!(response, json!({ "removed": 0, "finished": true }), "{name}"),
                "mail-send" => assert_eq!(response, json!({ "sent": 1, "skipped": 0, "undeliverable": 0 }), "{name}"),
                "users-import" => assert_eq!(response["imported"], 1, "{name}: {response}"),
                _ => assert!(matches!(response["statusCode"].as_i64(), Some(200..=202)), "{name}: {response}"),
            }
            sent += 1;
        }
    }
    let files = fs::read_dir(root().join("events"))?.count();
    assert_eq!(sent, files, "the name of a file in events/ does not start with the name of a function");
    Ok(())
}
