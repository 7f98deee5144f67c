//! Generates the list of functions that `it/support/endpoints.rs` and `functions/main.rs` include, with the name of each
//! function, its role, and whether it declares a `ROUTE`.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads its environment; the alternatives in `.clippy.toml` are for functions"
)]

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = fs::read_to_string("Cargo.toml")?;
    println!("cargo::rerun-if-changed=Cargo.toml");
    // A new function changes the lock file.
    println!("cargo::rerun-if-changed=../Cargo.lock");

    let mut functions = Vec::new();
    for entry in fs::read_dir("../functions")? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            functions.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    functions.sort_unstable();

    let (mut errors, mut endpoints, mut tasks) = (String::new(), String::new(), String::new());
    for function in functions {
        let library = Path::new("../functions").join(&function).join("src/lib.rs");
        println!("cargo::rerun-if-changed={}", library.display());
        let source = fs::read_to_string(&library)?;
        let declares = |name: &str| source.lines().any(|line| line.starts_with(&format!("pub const {name}:")));
        let module = function.replace('-', "_");
        let role = if declares("ROLE") { format!("Some({module}::ROLE)") } else { "None".to_owned() };
        if !declares("ROUTE") {
            tasks += &format!("    {function:?} ({role})\n");
        } else if is_dependency(&manifest, &function) {
            endpoints += &format!("    {function:?} {module} ({role})\n");
        } else {
            let message = format!(
                "The tests lack the function {function}. Add this line to [dev-dependencies] in tests/Cargo.toml: \
                 {function} = {{ path = \"../functions/{function}\" }}"
            );
            errors += &format!("compile_error!({message:?});\n");
        }
    }
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let generated = format!("{errors}endpoints! {{\n{endpoints}}}\ntasks! {{\n{tasks}}}\n");
    fs::write(Path::new(&out).join("functions.rs"), generated)
}

fn is_dependency(manifest: &str, function: &str) -> bool {
    let keys = manifest.lines().filter_map(|line| line.split(['=', '.']).next());
    keys.map(str::trim).any(|key| key == function)
}
