//! TLS to the database: the server's certificate and name are always verified (`sslmode=verify-full`).
//!
//! The trusted root certificates are those of Amazon RDS and of AWS's public endpoints. `build.rs` compiles them in,
//! because reading the system's certificate store would take 5 ms at every start. `DATABASE_CA_FILE` replaces them.

use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::TrustAnchor;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::env::{self, EnvError};

include!(concat!(env!("OUT_DIR"), "/database_roots.rs"));

/// The TLS configuration. It is made for the first connection that uses TLS.
#[derive(Default)]
pub struct Tls {
    /// The trusted roots, unless they are those of AWS.
    roots: Option<RootCertStore>,
    connector: OnceLock<MakeRustlsConnect>,
}

impl Tls {
    /// Reads `DATABASE_CA_FILE`.
    ///
    /// # Errors
    /// The file has no certificates, or one that is not a root certificate.
    pub fn from_env() -> Result<Self, EnvError> {
        const NAME: &str = "DATABASE_CA_FILE";
        let Some(certificates) = env::certificates(NAME)? else {
            return Ok(Self::default());
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).map_err(|error| EnvError::Certificates {
                name: NAME,
                path: env::optional(NAME).unwrap_or_default(),
                reason: error.to_string(),
            })?;
        }
        Ok(Self { roots: Some(roots), connector: OnceLock::new() })
    }

    /// Returns a connector that verifies the server.
    pub(super) fn connector(&self) -> MakeRustlsConnect {
        let make = || {
            let roots = self.roots.clone().unwrap_or_else(|| RootCertStore { roots: DATABASE_ROOTS.to_vec() });
            let provider = Arc::new(ring::default_provider());
            let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            // `ring` supports the default versions.
            let builder = versions.unwrap_or_else(|error| unreachable!("{error}"));
            MakeRustlsConnect::new(builder.with_root_certificates(roots).with_no_client_auth())
        };
        self.connector.get_or_init(make).clone()
    }

    /// Returns the connector if a connection has used it.
    pub(super) fn used_connector(&self) -> Option<MakeRustlsConnect> {
        self.connector.get().cloned()
    }
}
