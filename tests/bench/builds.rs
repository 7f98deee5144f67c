//! The binaries that are measured, and those that prepare a database for them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use ::tests::{Error, process, tools::Tools};

/// A folder with binaries of the functions.
#[derive(Clone)]
pub struct Build {
    folder: PathBuf,
}

/// The functions that prepare a database.
const SETUP: [&str; 4] = ["migrate", "register", "token", "data-batch"];

/// The workspace's package of the floor.
const FLOOR: &str = "bench-floor";

impl Build {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The binary of a function.
    pub fn function(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.folder.join(name);
        if path.exists() {
            return Ok(path);
        }
        Err(Error::new(format!("{} does not exist.", path.display()), "Build that function in the same folder."))
    }

    /// A function that prepares the database: the binary of this build or of the same checkout's build for development. Its
    /// speed does not matter.
    pub fn setup(&self, name: &str, fallback: &Self) -> Result<PathBuf, Error> {
        let debug = self.folder.parent().map(|target| target.join("debug").join(name));
        match [Some(self.folder.join(name)), debug].into_iter().flatten().find(|path| path.exists()) {
            Some(path) => Ok(path),
            None => fallback.function(name),
        }
    }
}

/// Builds the functions that prepare databases, with the profile for development.
pub fn build_setup(tools: &Tools) -> Result<Build, Error> {
    build(tools, "dev", &SETUP)?;
    Ok(Build::new(&tools.guard().target().join("debug")))
}

/// Builds the floor and the functions under test, in one run of cargo, so that they have their dependencies in common.
pub fn build_current(tools: &Tools, profile: &str, functions: &[&str]) -> Result<Build, Error> {
    let started = Instant::now();
    build(tools, profile, &[functions, &[FLOOR]].concat())?;
    eprintln!("Built {} with the profile {profile} in {} s", functions.join(", "), started.elapsed().as_secs());
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(Build::new(&tools.guard().target().join(folder)))
}

fn build(tools: &Tools, profile: &str, packages: &[&str]) -> Result<(), Error> {
    let mut cargo = tools.guard().command("cargo");
    cargo.args(["build", "--profile", profile, "--target-dir"]).arg(tools.guard().target());
    cargo.args(packages.iter().flat_map(|package| ["--package", *package]));
    cargo.current_dir(WORKSPACE);
    run(cargo, "cargo")
}

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The Node peer, bundled, and the Node that runs it.
#[derive(Clone)]
pub struct Node {
    pub program: PathBuf,
    pub bundle: PathBuf,
}

/// The files from which the Node peer is made.
pub const NODE_SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/node");

/// Installs and bundles the Node peer under `target/`; `None` if Node is missing.
pub fn bundle_node(tools: &Tools, folder: &Path) -> Result<Option<Node>, Error> {
    let Some(program) = find_on_path(tools, "node") else {
        eprintln!("Node is not on PATH: its peer is left out");
        return Ok(None);
    };
    fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    for name in ["index.js", "package.json", "package-lock.json", ".npmrc"] {
        let target = folder.join(name);
        fs::copy(Path::new(NODE_SOURCES).join(name), &target).map_err(|error| Error::file(&target, error))?;
    }
    let (lock, installed) = (folder.join("package-lock.json"), folder.join("node_modules/installed-lock.json"));
    let is_installed = fs::read(&lock).ok().is_some_and(|lock| fs::read(&installed).is_ok_and(|found| found == lock));
    if !is_installed {
        let mut npm = tools.command("npm");
        npm.args(["ci", "--silent"]).current_dir(folder);
        run(npm, "npm")?;
        fs::copy(&lock, &installed).map_err(|error| Error::file(&installed, error))?;
    }
    let mut esbuild = tools.command(folder.join("node_modules/.bin/esbuild"));
    esbuild.args(["index.js", "--bundle", "--minify", "--platform=node", "--target=node20", "--external:pg-native"]);
    esbuild.args(["--log-level=error", "--outfile=bundle.js"]).current_dir(folder);
    run(esbuild, "esbuild")?;
    Ok(Some(Node { program, bundle: folder.join("bundle.js") }))
}

pub fn find_on_path(tools: &Tools, program: &str) -> Option<PathBuf> {
    std::env::split_paths(&tools.search_path()).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn run(command: std::process::Command, name: &str) -> Result<(), Error> {
    let status = process::run(command).map_err(|error| Error::start(name, error))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(format!("{name} failed."), "Its messages are above."))
}
