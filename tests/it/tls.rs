//! Beyond this machine there is TLS, and the server's certificate and name are verified.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::{Outcome, binaries, database, guard};

/// A server name that is nobody's, so that no look-up leaves the machine: the address comes from `hostaddr`.
const NAME: &str = "db.keyhold.invalid";

/// A certificate for `name`, and the file with the authority that signed it. `server` makes the file's name the test's own.
pub fn certified(server: u16, name: &str) -> Result<(TlsAcceptor, PathBuf), Box<dyn std::error::Error>> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &authority)?;
    let folder = guard().target().join("tls");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}-{server}-{name}.pem", std::process::id()));
    fs::write(&file, authority.pem())?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
    Ok((TlsAcceptor::from(Arc::new(config)), file))
}

/// Takes a client that asks for TLS as PostgreSQL's protocol has it: SSLRequest, eight bytes, answered by S.
pub async fn accept(mut client: TcpStream, acceptor: &TlsAcceptor) -> std::io::Result<TlsStream<TcpStream>> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "the client asks for TLS first");
    client.write_all(b"S").await?;
    acceptor.accept(client).await
}

/// PostgreSQL behind TLS.
async fn tls_in_front_of(server: u16, name: &str) -> Result<(u16, PathBuf), Box<dyn std::error::Error>> {
    let (acceptor, file) = certified(server, name)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = accept(client, &acceptor).await?;
                let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                copy_bidirectional(&mut client, &mut server).await.map(|_| ())
            });
        }
    });
    Ok((port, file))
}

/// Runs `migrate` against an address: whether it got through, and what it said.
async fn migrate(url: &str, authorities: Option<&PathBuf>) -> Result<(bool, String), Box<dyn std::error::Error>> {
    let mut command = Command::new(binaries().path("migrate"));
    command.env_clear().env("DATABASE_URL", url);
    if let Some(file) = authorities {
        command.env("DATABASE_CA_FILE", file);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok((output.status.success(), String::from_utf8(output.stdout)?))
}

#[tokio::test]
async fn a_server_with_the_right_certificate_is_trusted_and_no_other() -> Outcome {
    let database = database();
    let name = database.config().get_dbname().map(str::to_owned).ok_or("no name")?;
    let url = |host: &str, port: u16| format!("postgres://postgres:postgres@{host}:{port}/{name}?hostaddr=127.0.0.1");
    let (port, authority) = tls_in_front_of(database.port(), NAME).await?;
    let (other_port, other_authority) = tls_in_front_of(database.port(), "other.keyhold.invalid").await?;

    let (done, said) = migrate(&url(NAME, port), Some(&authority)).await?;
    assert!(done, "{said}");
    for (what, url, authorities, reason) in [
        ("an unknown authority", url(NAME, port), None, "invalid peer certificate"),
        ("another authority", url(NAME, port), Some(&other_authority), "invalid peer certificate"),
        ("another name", url(NAME, other_port), Some(&other_authority), "not valid for name"),
        ("no TLS at all", url(NAME, database.port()), Some(&authority), "TLS"),
    ] {
        let (done, said) = migrate(&url, authorities).await?;
        assert!(!done && said.contains(reason), "{what}: {said}");
    }
    for file in [authority, other_authority] {
        fs::remove_file(file)?;
    }
    let (done, said) = migrate(&format!("{}&sslmode=disable", url(NAME, database.port())), None).await?;
    assert!(done, "who says so goes without: {said}");
    Ok(())
}
