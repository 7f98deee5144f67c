//! Certificates of a temporary authority, and the server's side of PostgreSQL's TLS negotiation.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::guard;

/// Creates a certificate for `name` and a file with its authority. `server` makes the name of the file unique.
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

/// Accepts a TLS connection of PostgreSQL's protocol: an SSLRequest of eight bytes, answered by `S`.
pub async fn accept(mut client: TcpStream, acceptor: &TlsAcceptor) -> std::io::Result<TlsStream<TcpStream>> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "the client asks for TLS first");
    client.write_all(b"S").await?;
    acceptor.accept(client).await
}
