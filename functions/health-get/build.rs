//! Passes the commit of the build to the function: `KEYHOLD_COMMIT`, or else the commit of the git checkout.

#![expect(clippy::disallowed_methods, reason = "the variable is a setting of the build, not of the function")]

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=KEYHOLD_COMMIT");
    println!("cargo::rerun-if-changed=../../.git/HEAD");
    println!("cargo::rerun-if-changed=../../.git/logs/HEAD");
    let commit = std::env::var("KEYHOLD_COMMIT").ok().or_else(|| {
        let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
        let commit = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| commit.trim().to_owned())
    });
    println!("cargo::rustc-env=COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}
