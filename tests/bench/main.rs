//! Measures functions under a Runtime API on this machine: `cargo run --release -p tests --bin bench`.
//!
//! | module | contents |
//! |---|---|
//! | `options` | the command line |
//! | `builds` | binaries of the functions, of the floor, and the Node peer |
//! | `database` | PostgreSQL, filled |
//! | `cases`, `events` | the requests |
//! | `tls` | PostgreSQL and Secrets Manager over TLS |
//! | `runtime_api` | the Runtime API and the stopwatch |
//! | `environment`, `processes` | a function's process, and its figures |
//! | `measure` | rounds in which candidates take turns |
//! | `report` | the table |
//!
//! Nothing outlives this process: its guards stop PostgreSQL and remove its data, and a function ends when its Runtime API is
//! gone. So a signal may end it at any time.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time and reads its own environment; `.clippy.toml` names modules for functions"
)]
#![expect(unreachable_pub, reason = "a program has no users; `pub` items are for its other modules")]

mod builds;
mod cases;
mod database;
mod environment;
mod events;
mod flood;
mod measure;
mod options;
mod processes;
mod report;
mod runtime_api;
mod tls;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use ::tests::{
    Error,
    process::{Guard, guard},
    tools::{self, Tools},
};

use builds::{Build, Node, find_on_path};
use cases::{CASES, Case, Kind};
use database::{Cluster, Database, SIGN_IN_ROLE, Setup, key, use_key};
use environment::Candidate;
use measure::{BareBcrypt, Lane, Scale, WARM_UP, measure};
use options::{HELP, Options};
use report::{BASELINE, CURRENT, FLOOR, HELLO, NODE, Row, table};
use tls::Remote;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == guard::SUBCOMMAND).is_some() {
        return guard::run(arguments);
    }
    match options::parse(arguments).and_then(start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: Option<Options>) -> Result<(), Error> {
    if let Some(options) = options {
        return run(&options);
    }
    print!("{HELP}");
    Ok(())
}

fn run(options: &Options) -> Result<(), Error> {
    let cases = if options.flood.is_some() { Vec::new() } else { chosen(&options.cases)? };
    let guard = Guard::this_binary().map_err(|error| Error::start("the benchmark", error))?;
    let tools = tools::prepare(&guard)?;
    let folder = guard.target().join("bench");
    fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, error))?;

    let setup = builds::build_setup(&tools)?;
    let current = if let Some(folder) = &options.current {
        Build::new(folder)
    } else {
        let mut functions: Vec<&str> = cases.iter().map(|case| case.function).collect();
        functions.extend(options.flood.map(|_| "token"));
        functions.sort_unstable();
        functions.dedup();
        builds::build_current(&tools, &options.profile, &functions)?
    };
    if let Some(file) = &options.key {
        use_key(fs::read_to_string(file).map_err(|error| Error::file(file, error))?);
    }
    let node = if options.skip_node || options.key.is_some() || !cases.iter().any(|case| case.node) {
        None
    } else {
        builds::bundle_node(&tools, &folder.join("node"))?
    };
    let mut bench = Bench::new(&tools, folder, setup, current, options.baseline.as_deref(), node)?;
    if let Some(duration) = options.flood {
        return flood(&bench, duration);
    }
    let scale = Scale { rounds: options.rounds, invocations: options.invocations };
    for rows in &options.rows {
        bench.fill(*rows)?;
        println!("\n{rows} stored values, {} rounds of {} invocations\n", scale.rounds, scale.invocations);
        let mut results = Vec::new();
        for case in &cases {
            eprintln!("Measuring {}", case.name);
            results.extend(bench.measure(case, scale)?);
        }
        println!("{}", table(&results));
    }
    Ok(())
}

/// Floods the sign-in from one address, without and with the limit of failed sign-ins.
fn flood(bench: &Bench, duration: Duration) -> Result<(), Error> {
    let subject = &bench.subjects[0];
    let program = subject.build.function("token")?;
    println!("{}", flood::HEAD);
    for (name, limit) in [("none", "0"), ("100 an hour", "")] {
        let mut candidate = bench.candidate("flood", program.clone(), &subject.database, SIGN_IN_ROLE);
        candidate.variables.push(("FAILED_SIGN_INS_PER_HOUR", limit.to_owned()));
        print!("{}", flood::run(&candidate, name, duration)?);
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>, Error> {
    if names.is_empty() {
        return Ok(CASES.iter().collect());
    }
    let find = |name: &String| {
        let advice = "`--help` lists the cases.";
        CASES
            .iter()
            .find(|case| case.name == name)
            .ok_or_else(|| Error::new(format!("`{name}` is not a case."), advice))
    };
    names.iter().map(find).collect()
}

/// A build with its database.
struct Subject {
    name: &'static str,
    build: Build,
    setup: Setup,
    database: Database,
}

/// All candidates, and the server with their databases.
struct Bench {
    tools: Tools,
    folder: PathBuf,
    subjects: Vec<Subject>,
    node: Option<(Node, Database)>,
    bcrypt: Option<BareBcrypt>,
    // The last field: the functions' connections are closed before the server stops.
    cluster: Cluster,
}

impl Bench {
    fn new(
        tools: &Tools,
        folder: PathBuf,
        setup: Build,
        current: Build,
        baseline: Option<&Path>,
        node: Option<Node>,
    ) -> Result<Self, Error> {
        eprintln!("Starting PostgreSQL");
        let cluster = Cluster::start(tools)?;
        let mut subjects = Vec::new();
        let baseline = baseline.map(|folder| (BASELINE, Build::new(folder), Build::new(folder)));
        for (name, build, preparing) in [Some((CURRENT, current, setup.clone())), baseline].into_iter().flatten() {
            let mut database = cluster.create(name)?;
            let setup = Setup { build: preparing, fallback: setup.clone(), log: folder.join("setup.log") };
            cluster.prepare(&mut database, &setup)?;
            subjects.push(Subject { name, build, setup, database });
        }
        let node = match node {
            Some(node) => {
                let mut database = cluster.create("node")?;
                let subject = &subjects[0];
                cluster.prepare_node(&mut database, &cluster.sign_in(&subject.database, &subject.setup)?)?;
                Some((node, database))
            }
            None => None,
        };
        let bcrypt = BareBcrypt::find(find_on_path(tools, "perl"));
        Ok(Self { tools: tools.clone(), folder, subjects, node, bcrypt, cluster })
    }

    fn fill(&mut self, rows: usize) -> Result<(), Error> {
        eprintln!("Storing {rows} values");
        for subject in &mut self.subjects {
            self.cluster.fill(&mut subject.database, rows)?;
        }
        if let Some((_, database)) = &mut self.node {
            self.cluster.fill_node(database, rows)?;
        }
        Ok(())
    }

    fn measure(&self, case: &Case, scale: Scale) -> Result<Vec<Row>, Error> {
        if case.kind == Kind::ColdRemote {
            return self.measure_remote(case, scale);
        }
        let mut lanes = Vec::new();
        for subject in &self.subjects {
            let program = subject.build.function(case.function)?;
            let refreshes = if case.name == "refresh" { WARM_UP + scale.rounds * scale.invocations } else { 0 };
            let account = self.cluster.sign_in_for(refreshes, &subject.database, &subject.setup)?;
            let candidate = self.candidate(subject.name, program, &subject.database, case.role);
            lanes.push(Lane { candidate, account, database: subject.database.name.clone(), variant: None });
        }
        let account = lanes[0].account.clone();
        let current = &self.subjects[0];
        if case.floor {
            for (name, binary) in [(FLOOR, "bench-floor"), (HELLO, "bench-hello")] {
                let program = current.build.function(binary)?;
                let candidate = self.candidate(name, program, &current.database, case.role);
                lanes.push(Lane {
                    candidate,
                    account: account.clone(),
                    database: current.database.name.clone(),
                    variant: None,
                });
            }
        }
        if let (true, Some((node, database))) = (case.node, &self.node) {
            self.cluster.admit(database, &account)?;
            let mut candidate = self.candidate(NODE, node.program.clone(), database, case.role);
            candidate.arguments.push(node.bundle.clone());
            candidate.artifact.clone_from(&node.bundle);
            lanes.push(Lane { candidate, account, database: database.name.clone(), variant: None });
        }
        let bcrypt = self.bcrypt.as_ref().filter(|_| case.kind == Kind::Password);
        measure(case, &lanes, scale, bcrypt)
    }

    /// Measures each build with the database, the signing key, both, or neither behind TLS.
    fn measure_remote(&self, case: &Case, scale: Scale) -> Result<Vec<Row>, Error> {
        let remote = Remote::start(&self.tools, &self.folder, self.cluster.port())?;
        let mut lanes = Vec::new();
        for subject in &self.subjects {
            let program = subject.build.function(case.function)?;
            let account = self.cluster.sign_in(&subject.database, &subject.setup)?;
            for (variant, database_over_tls, remote_key) in [
                ("cold, no TLS", false, false),
                ("cold, database over TLS", true, false),
                ("cold, key over TLS", false, true),
                ("cold, both over TLS", true, true),
            ] {
                let mut candidate = self.candidate(subject.name, program.clone(), &subject.database, case.role);
                if database_over_tls {
                    remote.use_database(&mut candidate.variables);
                }
                if remote_key {
                    remote.use_key(&mut candidate.variables);
                }
                let (account, database) = (account.clone(), subject.database.name.clone());
                lanes.push(Lane { candidate, account, database, variant: Some(variant) });
            }
        }
        measure(case, &lanes, scale, None)
    }

    fn candidate(&self, name: &str, program: PathBuf, database: &Database, role: &str) -> Candidate {
        let log = self.folder.join(format!("{name}.log"));
        // The log of an earlier case has been read by now, if an error asked for it.
        let _ = fs::remove_file(&log);
        Candidate {
            name: name.to_owned(),
            artifact: program.clone(),
            program,
            arguments: Vec::new(),
            variables: vec![
                ("DATABASE_URL", self.cluster.url(database, role)),
                ("JWT_SECRET", key()),
                ("BENCH_USER_ID", self.subjects[0].database.user_id.clone()),
            ],
            log,
        }
    }
}
