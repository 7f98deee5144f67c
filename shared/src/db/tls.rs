//! TLS to the database: the server's certificate and name are always verified (`sslmode=verify-full`).
//!
//! Trusted are the roots of Amazon RDS and of AWS's public endpoints, compiled in as trust anchors by `build.rs`. Scanning
//! the system's store would cost 5 ms at every start. `DATABASE_CA_FILE` names other roots in their place.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config;
use crate::telemetry;

include!(concat!(env!("OUT_DIR"), "/database_roots.rs"));

pub(super) fn verifying_connector() -> MakeRustlsConnect {
    let roots = match config::optional("DATABASE_CA_FILE") {
        Some(path) => read_roots(&path),
        None => RootCertStore { roots: DATABASE_ROOTS.to_vec() },
    };
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // `ring` supports the default versions, so this cannot fail.
    let builder = versions.unwrap_or_else(|error| unreachable!("{error}"));
    MakeRustlsConnect::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An unreadable file leaves no roots, so that no connection is trusted; the log says why.
fn read_roots(path: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    match CertificateDer::pem_file_iter(path) {
        Ok(certificates) => {
            roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        }
        Err(error) => tracing::error!(path, "DATABASE_CA_FILE cannot be read: {}", telemetry::chain(&error)),
    }
    roots
}
