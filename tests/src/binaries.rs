//! The functions, built by cargo for development.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{
    Error, WORKSPACE,
    process::{Guard, spawn_into},
    tools::Tools,
};

/// The folder of built functions.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

/// The functions without a route.
pub const TASKS: [&str; 5] = ["data-sweep", "jwt-rotate", "mail-send", "migrate", "users-import"];

/// The functions with a route, named as their folders and sorted.
pub fn endpoints() -> Result<Vec<String>, Error> {
    let folder = Path::new(WORKSPACE).join("functions");
    let entries = fs::read_dir(&folder).map_err(|error| Error::file(&folder, error))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    let mut endpoints: Vec<_> = names.filter(|name| !TASKS.contains(&name.as_str())).collect();
    endpoints.sort();
    Ok(endpoints)
}

impl Binaries {
    /// The binary of the function in `functions/<function>`.
    pub fn path(&self, function: &str) -> PathBuf {
        self.folder.join(function)
    }

    /// Migrates a database with the function `migrate`, as in AWS. `settings` are further variables for it.
    pub fn migrate(&self, tools: &Tools, url: &str, settings: &[(&str, &str)]) -> Result<(), Error> {
        self.migrate_into(tools, url, settings, None)
    }

    /// Like [`Self::migrate`]. The output goes to a file if one is given.
    pub fn migrate_into(
        &self,
        tools: &Tools,
        url: &str,
        settings: &[(&str, &str)],
        output: Option<&File>,
    ) -> Result<(), Error> {
        let mut command = tools.guard().command(self.path("migrate"));
        command
            .env("DATABASE_URL", url)
            .envs(settings.iter().copied())
            // Its absence tells the function that it does not run in Lambda.
            .env_remove("AWS_LAMBDA_RUNTIME_API");
        let status = spawn_into(command, output)
            .and_then(|mut migrate| migrate.wait())
            .map_err(|error| Error::start("migrate", error))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::new("The database could not be migrated.", "Correct the cause that `migrate` printed."))
    }
}

/// Builds the functions, once in a process. The output of cargo goes to standard error.
///
/// `cargo lambda watch` runs the same binaries, so its first requests do not wait for the compiler after this.
pub fn build(guard: &Guard) -> Result<Binaries, Error> {
    build_into(guard, None)
}

/// Like [`build`]. The output of cargo, with its progress bar, goes to a file if one is given.
pub fn build_into(guard: &Guard, output: Option<&File>) -> Result<Binaries, Error> {
    static BUILT: OnceLock<Result<Binaries, Error>> = OnceLock::new();
    BUILT.get_or_init(|| build_now(guard, output)).clone()
}

/// Builds some of the functions with traces and copies them into a folder, because the next build without traces replaces
/// those in `target/debug/`.
pub fn build_with_otlp(guard: &Guard, functions: &[&str], folder: &Path) -> Result<Binaries, Error> {
    let mut cargo = guard.command("cargo");
    cargo.args(["build", "--features", "shared/otlp"]).current_dir(WORKSPACE);
    cargo.args(functions.iter().flat_map(|function| ["--package", *function]));
    run(cargo, None)?;
    fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    for function in functions {
        let built = guard.target().join("debug").join(function);
        fs::copy(&built, folder.join(function)).map_err(|error| Error::file(&built, error))?;
    }
    Ok(Binaries { folder: folder.to_owned() })
}

fn build_now(guard: &Guard, output: Option<&File>) -> Result<Binaries, Error> {
    let mut cargo = guard.command("cargo");
    // Builds the default members, which are the functions: cargo-lambda selects the same packages, and so the same features.
    cargo.arg("build").current_dir(WORKSPACE);
    if output.is_some() {
        cargo.envs([("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "100")]);
    }
    run(cargo, output)?;
    Ok(Binaries { folder: guard.target().join("debug") })
}

fn run(cargo: Command, output: Option<&File>) -> Result<(), Error> {
    let status =
        spawn_into(cargo, output).and_then(|mut cargo| cargo.wait()).map_err(|error| Error::start("cargo", error))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(
        "The functions could not be built.",
        "Correct what the compiler reports. `cargo build` prints its messages again.",
    ))
}
