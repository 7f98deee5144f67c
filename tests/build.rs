//! Writes the list of endpoints that `it/support/endpoints.rs` includes: each function whose `lib.rs` declares a `ROUTE`.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = fs::read_to_string("Cargo.toml")?;
    // A new function changes the lock file.
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-changed=../Cargo.lock");

    let mut functions = Vec::new();
    for entry in fs::read_dir("../functions")? {
        functions.push(entry?.file_name().to_string_lossy().into_owned());
    }
    functions.sort_unstable();

    let (mut errors, mut endpoints) = (String::new(), String::new());
    for function in functions {
        let library = Path::new("../functions").join(&function).join("src/lib.rs");
        println!("cargo::rerun-if-changed={}", library.display());
        if !fs::read_to_string(&library)?.lines().any(|line| line.starts_with("pub const ROUTE:")) {
            continue;
        }
        if is_dependency(&manifest, &function) {
            endpoints += &format!("    {function:?} {}\n", function.replace('-', "_"));
        } else {
            let message = format!(
                "The tests do not know the function {function}. Add this line to [dev-dependencies] in tests/Cargo.toml: \
                 {function} = {{ path = \"../functions/{function}\" }}"
            );
            errors += &format!("compile_error!({message:?});\n");
        }
    }
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("endpoints.rs"), format!("{errors}endpoints! {{\n{endpoints}}}\n"))
}

fn is_dependency(manifest: &str, function: &str) -> bool {
    let keys = manifest.lines().filter_map(|line| line.split(['=', '.']).next());
    keys.map(str::trim).any(|key| key == function)
}
