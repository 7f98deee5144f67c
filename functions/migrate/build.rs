//! Rebuilds the crate if a migration is added. The macro that embeds them notices changes of known files only.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
