//! Converts the certificates in `roots/` into trust anchors at build time, which saves parsing them at each start.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

#[expect(clippy::disallowed_methods, reason = "cargo passes its settings in the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut source = String::from("static DATABASE_ROOTS: &[TrustAnchor<'static>] = &[\n");
    for file in ["roots/amazon.pem", "roots/rds.pem"] {
        println!("cargo::rerun-if-changed={file}");
        for certificate in CertificateDer::pem_file_iter(Path::new(file))? {
            write_anchor(&mut source, &certificate?)?;
        }
    }
    source.push_str("];\n");
    let directory = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(directory.join("database_roots.rs"), source)?;
    Ok(())
}

fn write_anchor(source: &mut String, certificate: &CertificateDer<'_>) -> Result<(), Box<dyn Error>> {
    let anchor = webpki::anchor_from_trusted_cert(certificate)?;
    let der = |bytes: &[u8]| format!("rustls_pki_types::Der::from_slice(&{bytes:?})");
    let constraints =
        anchor.name_constraints.as_ref().map_or("None".to_owned(), |bytes| format!("Some({})", der(bytes)));
    writeln!(
        source,
        "    TrustAnchor {{ subject: {}, subject_public_key_info: {}, name_constraints: {constraints} }},",
        der(&anchor.subject),
        der(&anchor.subject_public_key_info),
    )?;
    Ok(())
}
