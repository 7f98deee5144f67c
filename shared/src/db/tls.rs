//! TLS to the database: the server's certificate and name are always verified (`sslmode=verify-full`).
//!
//! The trusted root certificates are those of Amazon RDS and of AWS's public endpoints. `build.rs` compiles them in,
//! because reading the system's certificate store would take 5 ms at every start. `DATABASE_CA_FILE` replaces them.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{env, report};

include!(concat!(env!("OUT_DIR"), "/database_roots.rs"));

/// Makes a connector that verifies the server.
pub(super) fn verifying_connector() -> MakeRustlsConnect {
    let roots = match env::optional("DATABASE_CA_FILE") {
        Some(path) => read_roots(&path),
        None => RootCertStore { roots: DATABASE_ROOTS.to_vec() },
    };
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // `ring` supports the default versions.
    let builder = versions.unwrap_or_else(|error| unreachable!("{error}"));
    MakeRustlsConnect::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Reads the root certificates of a PEM file. If the file is unreadable, logs the reason and returns none, so that
/// every connection fails.
fn read_roots(path: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    match CertificateDer::pem_file_iter(path) {
        Ok(certificates) => {
            roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        }
        Err(error) => tracing::error!(path, "DATABASE_CA_FILE cannot be read: {}", report::chain(&error)),
    }
    roots
}
