//! Rebuilds the crate if a migration is added. The macro that embeds them notices changes of known files only.

#[path = "../build.rs"]
mod fixed_address;

fn main() {
    fixed_address::main();
    println!("cargo::rerun-if-changed=../../migrations");
}
