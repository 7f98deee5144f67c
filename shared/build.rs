//! Converts the certificates in `roots/` into trust anchors at build time, which saves parsing them at each start.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

#[expect(clippy::disallowed_methods, reason = "cargo passes its settings in the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    for (name, files) in [("amazon", &["amazon"][..]), ("database", &["amazon", "rds"])] {
        let mut source = format!("static {}_ROOTS: &[TrustAnchor<'static>] = &[\n", name.to_uppercase());
        for file in files {
            let path = format!("roots/{file}.pem");
            println!("cargo::rerun-if-changed={path}");
            for certificate in CertificateDer::pem_file_iter(Path::new(&path))? {
                write_anchor(&mut source, &certificate?)?;
            }
        }
        source.push_str("];\n");
        fs::write(directory.join(format!("{name}_roots.rs")), source)?;
    }
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
