//! Invalid settings: the function does not start, and its log states what to set.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::mpsc;

use expect_test::expect;
use tests::process::spawn;
use tiny_http::Response;

use crate::support::deployment::ring;
use crate::support::fake_secrets_manager::{FakeSecretsManager, JWT_SECRET};
use crate::support::http_server::HttpServer;
use crate::support::workspace::{events_of, root};
use crate::support::{self, KEY_ID, Outcome, binaries, emulate, guard, silence};

const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://user:password@127.0.0.1:1/name");
const SECRET: (&str, &str) = ("JWT_SECRET", support::SECRET);

fn start(function: &str, variables: &[(&str, &str)]) -> std::io::Result<Output> {
    Command::new(binaries().path(function)).env_clear().envs(variables.iter().copied()).output()
}

/// The message with which the function stops, without time and level.
fn failure_message(function: &str, variables: &[(&str, &str)]) -> Result<String, Box<dyn std::error::Error>> {
    let output = start(function, variables)?;
    let text = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(1), "{text}");
    let (_, message) =
        text.split_once("the function failed to start: ").ok_or_else(|| format!("no start failure in {text:?}"))?;
    Ok(message.to_owned())
}

#[test]
fn missing_settings_are_named_with_advice() -> Outcome {
    expect![[r#"
        DATABASE_URL is not set: set it to postgres://user:password@host:5432/name, or DATABASE_SECRET_ARN to the ARN of a secret, or DATABASE_AUTH to iam
    "#]].assert_eq(&failure_message("register", &[])?);
    expect![[r#"
        JWT_SECRET is not set: set it to at least 32 random bytes, such as the output of `openssl rand -hex 32`, or JWT_SECRET_ARN to the ARN of a secret
    "#]].assert_eq(&failure_message("data-get", &[DATABASE])?);
    expect![[r#"
        DATABASE_URL is not a database address such as postgres://user:password@host:5432/name. Percent-encode special characters of the password, such as %3F for ?. sslmode may be disable, prefer, require, verify-ca, or verify-full. Remove the options of other clients
    "#]].assert_eq(&failure_message("data-get", &[("DATABASE_URL", "nonsense"), SECRET])?);
    expect![[r#"
        BCRYPT_COST must be a whole number from 10 to 16, not "4"
    "#]]
    .assert_eq(&failure_message("register", &[DATABASE, ("BCRYPT_COST", "4")])?);
    Ok(())
}

#[test]
fn every_setting_is_checked_at_the_start() -> Outcome {
    let not_pem = root().join("Cargo.toml").display().to_string();
    for (name, value, expected) in [
        ("DATABASE_CA_FILE", "/none.pem", "a PEM file with certificates, not \"/none.pem\""),
        ("DATABASE_CA_FILE", &not_pem, "it has none"),
        ("DATABASE_PREPARE", "yes", "auto or on or off"),
        ("AWS_LAMBDA_LOG_FORMAT", "xml", "Text or JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "LOUD", "INFO or TRACE"),
        ("LOG_LEVEL", "info", "INFO or TRACE"),
        ("METRICS_NAMESPACE", "Keyhold!", "1 to 255 of A-Z"),
        ("METRICS_NAMESPACE", "AWS/Lambda", "AWS/"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "0", "from 1 to 1000"),
        ("TRUSTED_PROXIES", "everybody", "ranges of addresses"),
        ("SESSION_IDLE_DAYS", "0", "from 1 to 365"),
        ("SESSION_MAX_DAYS", "1.5", "from 1 to 3650"),
        ("REFRESH_RETRY_SECONDS", "-1", "from 10 to 600"),
        ("FAILED_SIGN_INS_PER_HOUR", "many", "from 0 to 3600000"),
        ("REGISTRATION", "yes", "open or closed"),
        ("REGISTRATIONS_PER_HOUR", "1e3", "from 0 to 3600000"),
        ("PASSWORD_MIN_LENGTH", "7", "from 8 to 64"),
        ("DATA_MAX_KEYS", "0", "from 1 to"),
        ("DATA_MAX_BYTES", "1 GiB", "from 1 to"),
    ] {
        let message = failure_message("register", &[DATABASE, (name, value)])?;
        assert!(message.contains(name) && message.contains(expected), "{name}={value}: {message}");
    }
    let host = [("DATABASE_AUTH", "iam"), ("DATABASE_HOST", "https://example.com:5432")];
    assert!(failure_message("register", &host)?.contains("without scheme and port"));
    let option = ("DATABASE_URL", "postgres://user:password@127.0.0.1/name?sslmode=verify-full&pgbouncer=true");
    assert!(failure_message("register", &[option])?.contains("DATABASE_URL has the option pgbouncer"));
    Ok(())
}

#[test]
fn missing_settings_of_iam_sign_in_are_named() -> Outcome {
    let mut variables = vec![("DATABASE_AUTH", "IAM")];
    let mut messages = String::new();
    for (name, value) in [
        ("DATABASE_AUTH", "iam"),
        ("DATABASE_HOST", "keyhold.abcdefghijkl.eu-central-1.rds.amazonaws.com"),
        ("DATABASE_USER", "keyhold_register"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ] {
        messages += &failure_message("register", &variables)?;
        variables.retain(|(given, _)| *given != name);
        variables.push((name, value));
    }
    messages += &failure_message("register", &variables)?;
    // DATABASE_URL takes precedence over DATABASE_AUTH.
    variables.push(("DATABASE_URL", "nonsense"));
    messages += &failure_message("register", &variables)?;
    expect![[r#"
        DATABASE_AUTH must be password or iam or dsql, not "IAM"
        DATABASE_HOST is not set: set it to the database's own address, which DATABASE_AUTH signs
        DATABASE_USER is not set: set it to the role that DATABASE_AUTH signs in, such as keyhold_reader
        AWS_REGION is not set: Lambda sets it; set it where DATABASE_AUTH or a secret's ARN is set
        AWS_ACCESS_KEY_ID is not set: Lambda sets it; set it where DATABASE_AUTH or a secret's ARN is set
        AWS_SECRET_ACCESS_KEY is not set: Lambda sets it; set it where DATABASE_AUTH or a secret's ARN is set
        DATABASE_URL is not a database address such as postgres://user:password@host:5432/name. Percent-encode special characters of the password, such as %3F for ?. sslmode may be disable, prefer, require, verify-ca, or verify-full. Remove the options of other clients
    "#]]
    .assert_eq(&messages);
    Ok(())
}

#[test]
fn no_part_of_a_password_is_in_the_message_about_a_wrong_address() -> Outcome {
    for password in ["a@hunter2?secret", "a@hunter2?secret=1", "a@hunter2/secret?x=y"] {
        let url = format!("postgres://user:{password}@127.0.0.1:1/name?sslmode=verify-full");
        let message = failure_message("data-get", &[("DATABASE_URL", &url), SECRET])?;
        assert!(message.contains("Percent-encode"), "{message}");
        assert!(!message.contains("hunter2") && !message.contains("secret"), "{message}");
    }
    Ok(())
}

#[test]
fn a_guessable_signing_secret_is_rejected() -> Outcome {
    for secret in ["hunter2", "your-256-bit-secret", "a-string-secret-at-least-256-bits-long", &"x".repeat(64)] {
        let message = failure_message("token", &[DATABASE, ("JWT_SECRET", secret)])?;
        assert!(message.contains("openssl rand -hex 32") && !message.contains(secret), "{message}");
    }
    Ok(())
}

#[test]
fn a_function_starts_without_the_settings_that_it_does_not_use() -> Outcome {
    for (function, variables) in
        [("health-get", [].as_slice()), ("openapi-get", &[]), ("docs-get", &[]), ("jwks-get", &[SECRET])]
    {
        let (name, event) = events_of(function)?.pop().ok_or("no event")?;
        let response = emulate(&binaries().path(function), variables)?.invoke(&event.to_string())?;
        let response: serde_json::Value = serde_json::from_str(&response)?;
        assert_eq!(response["statusCode"], 200, "{name}: {response}");
    }
    Ok(())
}

/// The variables of a function whose database needs no secret and whose signing keys are in Secrets Manager.
fn variables_with_remote_keys(database_url: &str, endpoint: &str) -> [(&'static str, String); 7] {
    [
        ("DATABASE_URL", database_url.to_owned()),
        ("JWT_SECRET_ARN", JWT_SECRET.to_owned()),
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        // Nothing listens there. The start does not use it.
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1".to_owned()),
    ]
}

#[test]
fn the_database_is_connected_while_the_signing_keys_are_fetched() -> Outcome {
    let database = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("postgres://user:password@{}/name", database.local_addr()?);
    let secrets_manager = FakeSecretsManager::start(String::new(), ring(&[(KEY_ID, support::SECRET)]))?;
    secrets_manager.hang();
    let variables = variables_with_remote_keys(&url, &secrets_manager.url());
    let mut command = guard().command(binaries().path("data-get"));
    command.env_clear().envs(variables).stdout(silence());
    let _running = spawn(command)?;
    // The database does not answer the connection either. So each of the two has started without the other.
    let (_connection, _) = database.accept()?;
    secrets_manager.wait_for_calls(1);
    Ok(())
}

#[test]
fn a_function_without_its_signing_keys_stops_although_the_database_does_not_answer() -> Outcome {
    let database = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("postgres://user:password@{}/name", database.local_addr()?);
    let secrets_manager = FakeSecretsManager::start(String::new(), ring(&[(KEY_ID, support::SECRET)]))?;
    secrets_manager.deny();
    let variables = variables_with_remote_keys(&url, &secrets_manager.url());
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let message = failure_message("data-get", &variables)?;
    assert!(message.contains("the secrets could not be fetched from Secrets Manager"), "{message}");
    assert!(message.contains("denied by the test"), "{message}");
    // The connection that was not answered would have failed after four seconds, with a line of its own.
    assert!(!message.contains("the database could not be reached"), "{message}");
    Ok(())
}

/// The Runtime API shows the reason to the invoker.
#[test]
fn a_failed_start_is_reported_to_lambda() -> Outcome {
    for function in ["data-get", "data-sweep"] {
        let (sender, received) = mpsc::channel();
        let runtime_api = HttpServer::start(1, move |mut request| {
            let mut body = String::new();
            let _ = request.as_reader().read_to_string(&mut body);
            let kind = request.headers().iter().find(|header| header.field.equiv("lambda-runtime-function-error-type"));
            let kind = kind.map(|header| header.value.to_string());
            let _ = sender.send((request.method().to_string(), request.url().to_owned(), kind, body));
            let _ = request.respond(Response::empty(202));
        })?;
        let address = format!("127.0.0.1:{}", runtime_api.port());
        let variables = [("AWS_LAMBDA_RUNTIME_API", address.as_str()), ("DATABASE_URL", "nonsense"), SECRET];
        let message = failure_message(function, &variables)?;
        let (method, path, kind, body) = received.try_recv()?;
        assert_eq!((method.as_str(), path.as_str()), ("POST", "/2018-06-01/runtime/init/error"));
        assert_eq!(kind.as_deref(), Some("Runtime.StartFailed"));
        let body: serde_json::Value = serde_json::from_str(&body)?;
        assert_eq!(body["errorMessage"], message.trim_end(), "{body}");
    }
    Ok(())
}

#[test]
fn an_unknown_log_level_is_rejected() -> Outcome {
    for name in ["LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL"] {
        let message = failure_message("health-get", &[(name, "verbose")])?;
        let expected = format!("{name} must be INFO or TRACE or DEBUG or WARN or ERROR or FATAL, not \"verbose\"\n");
        assert_eq!(message, expected);
    }
    Ok(())
}
