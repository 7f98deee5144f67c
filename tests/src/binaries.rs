//! The functions, as cargo builds them for development.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{
    Error, WORKSPACE,
    process::{self, Guard},
    tools::Tools,
};

/// The folder of built functions.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

/// The functions that no request reaches.
pub const TASKS: [&str; 3] = ["data-sweep", "jwt-rotate", "migrate"];

/// The endpoints, by their folders.
pub fn endpoints() -> Result<Vec<String>, Error> {
    let folder = Path::new(WORKSPACE).join("functions");
    let entries = fs::read_dir(&folder).map_err(|error| Error::file(&folder, error))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| !TASKS.contains(&name.as_str())).collect())
}

impl Binaries {
    /// The binary of the function in `functions/<function>`.
    pub fn path(&self, function: &str) -> PathBuf {
        self.folder.join(function)
    }

    /// Brings a database's schema up to date, with the function that does it in AWS too. `settings` are variables for it.
    pub fn migrate(&self, tools: &Tools, url: &str, settings: &[(&str, &str)]) -> Result<(), Error> {
        let mut command = tools.guard().command(self.path("migrate"));
        command
            .env("DATABASE_URL", url)
            .envs(settings.iter().copied())
            // Its absence tells the function that it is not in Lambda.
            .env_remove("AWS_LAMBDA_RUNTIME_API");
        let status = process::run(command).map_err(|error| Error::start("migrate", error))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::new(
            "The schema could not be brought up to date.",
            "The reason is above. Without DATABASE_URL, `cargo dev --fresh` begins again with an empty database.",
        ))
    }
}

/// Builds the functions, once in a process; cargo's own messages go to standard error.
///
/// `cargo lambda watch` runs the same binaries: after this its first requests need not wait for a compiler.
pub fn build(guard: &Guard) -> Result<Binaries, Error> {
    static BUILT: OnceLock<Result<Binaries, Error>> = OnceLock::new();
    BUILT.get_or_init(|| build_now(guard)).clone()
}

/// Builds some of the functions with the traces' feature, and puts them into a folder of their own: under `target/debug/` the
/// next build has the ordinary ones again.
pub fn build_with_otlp(guard: &Guard, functions: &[&str], folder: &Path) -> Result<Binaries, Error> {
    let mut cargo = guard.command("cargo");
    cargo.args(["build", "--features", "shared/otlp"]).current_dir(WORKSPACE);
    cargo.args(functions.iter().flat_map(|function| ["--package", *function]));
    run(cargo)?;
    fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    for function in functions {
        let built = guard.target().join("debug").join(function);
        fs::copy(&built, folder.join(function)).map_err(|error| Error::file(&built, error))?;
    }
    Ok(Binaries { folder: folder.to_owned() })
}

fn build_now(guard: &Guard) -> Result<Binaries, Error> {
    let mut cargo = guard.command("cargo");
    // The default members are the functions; the same selection as cargo-lambda's makes for the same features.
    cargo.arg("build").current_dir(WORKSPACE);
    run(cargo)?;
    Ok(Binaries { folder: guard.target().join("debug") })
}

fn run(cargo: Command) -> Result<(), Error> {
    let status = process::run(cargo).map_err(|error| Error::start("cargo", error))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(
        "The functions could not be built.",
        "The compiler's messages are above; `cargo build` repeats them.",
    ))
}
