//! TLS to the database, required for other hosts, and to AWS: with verification of the certificate and the host name.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::support::tls::{accept, issue_certificate};
use crate::support::{Outcome, SecretsManager, binaries, database, tools};

/// A host name that does not exist. The address comes from `hostaddr`, so that no DNS query is sent.
const NAME: &str = "db.keyhold.invalid";

#[derive(Clone, Copy)]
enum Protocol {
    Https,
    Postgres,
}

/// Listens for TLS connections and forwards them to a server. Returns the port and the file of the authority.
async fn tls_in_front_of(
    protocol: Protocol,
    server: u16,
    name: &str,
) -> Result<(u16, PathBuf), Box<dyn std::error::Error>> {
    let (acceptor, file) = issue_certificate(server, name)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = match protocol {
                    Protocol::Https => acceptor.accept(client).await?,
                    Protocol::Postgres => accept(client, &acceptor).await?,
                };
                let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                copy_bidirectional(&mut client, &mut server).await.map(|_| ())
            });
        }
    });
    Ok((port, file))
}

/// Runs `migrate` on a database. Returns whether it succeeded, and its log.
async fn migrate(url: &str, authorities: Option<&PathBuf>) -> Result<(bool, String), Box<dyn std::error::Error>> {
    let mut command = Command::new(binaries().path("migrate"));
    command.env_clear().env("DATABASE_URL", url);
    if let Some(file) = authorities {
        command.env("DATABASE_CA_FILE", file);
    }
    run(command).await
}

async fn run(mut command: Command) -> Result<(bool, String), Box<dyn std::error::Error>> {
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok((output.status.success(), String::from_utf8(output.stdout)?))
}

#[tokio::test]
async fn only_a_server_with_a_valid_certificate_is_trusted() -> Outcome {
    let database = database();
    let name = database.config().get_dbname().map(str::to_owned).ok_or("no name")?;
    let url = |host: &str, port: u16| format!("postgres://postgres:postgres@{host}:{port}/{name}?hostaddr=127.0.0.1");
    let (port, authority) = tls_in_front_of(Protocol::Postgres, database.port(), NAME).await?;
    let (other_port, other_authority) =
        tls_in_front_of(Protocol::Postgres, database.port(), "other.keyhold.invalid").await?;

    let (succeeded, log) = migrate(&url(NAME, port), Some(&authority)).await?;
    assert!(succeeded, "{log}");
    for (what, url, authorities, reason) in [
        ("an unknown authority", url(NAME, port), None, "invalid peer certificate"),
        ("another authority", url(NAME, port), Some(&other_authority), "invalid peer certificate"),
        ("another name", url(NAME, other_port), Some(&other_authority), "not valid for name"),
        ("no TLS", url(NAME, database.port()), Some(&authority), "TLS"),
    ] {
        let (succeeded, log) = migrate(&url, authorities).await?;
        assert!(!succeeded && log.contains(reason), "{what}: {log}");
    }
    for file in [authority, other_authority] {
        fs::remove_file(file)?;
    }
    let (succeeded, log) = migrate(&format!("{}&sslmode=disable", url(NAME, database.port())), None).await?;
    assert!(succeeded, "sslmode=disable allows a plaintext connection: {log}");
    Ok(())
}

#[tokio::test]
async fn secrets_are_fetched_only_from_a_server_with_a_valid_certificate() -> Outcome {
    let database = database();
    let secrets = SecretsManager::start(tools())?;
    let secret = serde_json::json!({
        "username": "postgres", "password": "postgres", "host": "127.0.0.1", "port": database.port(),
        "dbname": database.config().get_dbname(),
    });
    let arn = secrets.create("database", &secret.to_string())?;
    let server = secrets.url().rsplit(':').next().ok_or("no port")?.parse()?;
    let (port, authority) = tls_in_front_of(Protocol::Https, server, "localhost").await?;
    let (other_port, other_authority) = tls_in_front_of(Protocol::Https, server, "other.keyhold.invalid").await?;

    let missing = authority.with_extension("missing");
    for (what, port, authorities, reason) in [
        ("its authority", port, Some(&authority), None),
        ("an unknown authority", port, None, Some("invalid peer certificate")),
        ("another authority", port, Some(&other_authority), Some("invalid peer certificate")),
        ("another name", other_port, Some(&other_authority), Some("not valid for name")),
        ("no file", port, Some(&missing), Some("AWS_CA_BUNDLE")),
    ] {
        let mut command = Command::new(binaries().path("migrate"));
        command.env_clear().envs([
            ("DATABASE_SECRET_ARN", arn.as_str()),
            ("AWS_ENDPOINT_URL", &format!("https://localhost:{port}")),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]);
        if let Some(file) = authorities {
            command.env("AWS_CA_BUNDLE", file);
        }
        let (succeeded, log) = run(command).await?;
        assert_eq!(succeeded, reason.is_none(), "{what}: {log}");
        assert!(log.contains(reason.unwrap_or_default()), "{what}: {log}");
    }
    for file in [authority, other_authority] {
        fs::remove_file(file)?;
    }
    Ok(())
}
