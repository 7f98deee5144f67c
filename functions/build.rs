//! Links a function at a fixed address.
//!
//! The linker then resolves the addresses in tables of pointers. Otherwise the loader writes thousands of them at every
//! cold start, for which the kernel copies a hundred pages. The stack, the heap, and the libraries stay at random addresses.

#![expect(clippy::disallowed_methods, reason = "Cargo passes settings to build scripts by environment variables")]

pub(crate) fn main() {
    println!("cargo::rerun-if-changed=../build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
