//! Inserts Swagger UI and the files of `page/` into one HTML page, compresses it, and passes the digests of its script
//! and style to the function, which needs them for the Content-Security-Policy.

#![expect(clippy::disallowed_methods, reason = "Cargo passes settings to build scripts by environment variables")]

use std::error::Error;
use std::fs::{self, File};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

const TEMPLATE: &str = "page/page.html";
const STYLES: [&str; 2] = ["vendor/swagger-ui/swagger-ui.css", "page/page.css"];
const SCRIPTS: [&str; 2] = ["vendor/swagger-ui/swagger-ui-bundle.js", "page/page.js"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in [TEMPLATE].iter().chain(&STYLES).chain(&SCRIPTS) {
        println!("cargo::rerun-if-changed={file}");
    }
    let style = concatenate(&STYLES)?;
    // In a page these would end the script or hide its end (HTML, 13.2.5.20). JavaScript has them only in strings and
    // regular expressions, where `\x3C` is the same character.
    let script = concatenate(&SCRIPTS)?
        .replace("<!--", r"\x3C!--")
        .replace("<script", r"\x3Cscript")
        .replace("</script", r"\x3C/script");
    let page = fs::read_to_string(TEMPLATE)?.replace("/* STYLE */", &style).replace("/* SCRIPT */", &script);

    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("page.html.gz");
    let mut file = GzBuilder::new().write(File::create(out)?, Compression::best());
    std::io::copy(&mut page.as_bytes(), &mut file)?;
    file.finish()?;

    println!("cargo::rustc-env=STYLE_DIGEST={}", STANDARD.encode(Sha256::digest(style)));
    println!("cargo::rustc-env=SCRIPT_DIGEST={}", STANDARD.encode(Sha256::digest(script)));
    println!("cargo::rustc-env=PAGE_TAG={}", URL_SAFE_NO_PAD.encode(&Sha256::digest(page)[..12]));
    Ok(())
}

/// Returns the contents of the files, one after another.
fn concatenate(files: &[&str]) -> Result<String, std::io::Error> {
    let texts: Result<Vec<String>, _> = files.iter().map(fs::read_to_string).collect();
    Ok(texts?.join("\n"))
}
