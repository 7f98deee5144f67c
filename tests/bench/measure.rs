//! Rounds in which candidates take turns.

use std::{fs, process::Command, time::Duration};

use ::tests::Error;

use crate::{
    cases::{Case, Kind},
    environment::{Candidate, Environment},
    events::{Account, PASSWORD},
    processes,
    report::{BCRYPT, Row, quantile},
    runtime_api::Events,
};

/// Invocations of each process before the first that counts: PostgreSQL decides about a generic plan after five, and Node
/// compiles hot code after hundreds.
pub const WARM_UP: usize = 500;

/// A candidate with the user and the database that it works for.
pub struct Lane {
    pub candidate: Candidate,
    pub account: Account,
    pub database: String,
    /// The name of the case in the table, if a case has several kinds of lanes.
    pub variant: Option<&'static str>,
}

/// The size of a run.
#[derive(Clone, Copy)]
pub struct Scale {
    pub rounds: usize,
    pub invocations: usize,
}

/// The figures of one lane so far.
#[derive(Default)]
struct Sample {
    latencies: Vec<Duration>,
    cpu: Option<Duration>,
    database_cpu: Option<Duration>,
    memory: Option<u64>,
}

/// Measures a case. `bcrypt` is a program that runs bcrypt in C, for a case of passwords.
pub fn measure(case: &Case, lanes: &[Lane], scale: Scale, bcrypt: Option<&BareBcrypt>) -> Result<Vec<Row>, Error> {
    let count = (scale.invocations / case.kind.divisor()).max(1);
    match case.kind {
        Kind::Cold | Kind::ColdRemote => cold(case, lanes, scale.rounds, count),
        Kind::Warm => warm(case, lanes, scale.rounds, count, None),
        Kind::Password => warm(case, lanes, scale.rounds, count, bcrypt),
    }
}

/// A function that runs, and its connections to the database.
struct Running {
    environment: Environment,
    /// Its place between events, given back after each series.
    events: Option<Box<dyn Events>>,
    backends: Vec<u32>,
}

impl Running {
    fn start(lane: &Lane, case: &Case) -> Result<Self, Error> {
        let before = processes::backends(&lane.database);
        let mut environment = Environment::start(&lane.candidate, None)?;
        let series = environment.invoke((case.events)(&lane.account), WARM_UP / case.kind.divisor())?;
        let mut backends = processes::backends(&lane.database);
        backends.retain(|id| !before.contains(id));
        Ok(Self { environment, events: Some(series.events), backends })
    }

    fn database_cpu(&self) -> Option<Duration> {
        (!self.backends.is_empty()).then(|| self.backends.iter().filter_map(|id| processes::cpu(*id)).sum())
    }

    fn run(&mut self, count: usize, sample: &mut Sample) -> Result<(), Error> {
        let events = self.events.take().expect("each series gives its events back");
        let (cpu, database_cpu) = (self.environment.cpu(), self.database_cpu());
        let series = self.environment.invoke(events, count)?;
        add(&mut sample.cpu, cpu, self.environment.cpu());
        add(&mut sample.database_cpu, database_cpu, self.database_cpu());
        sample.latencies.extend(series.latencies);
        sample.memory = self.environment.memory();
        self.events = Some(series.events);
        Ok(())
    }
}

/// Adds what was used between two readings.
fn add(total: &mut Option<Duration>, before: Option<Duration>, after: Option<Duration>) {
    if let (Some(before), Some(after)) = (before, after) {
        *total = Some(total.unwrap_or_default() + after.saturating_sub(before));
    }
}

fn warm(
    case: &Case,
    lanes: &[Lane],
    rounds: usize,
    count: usize,
    bcrypt: Option<&BareBcrypt>,
) -> Result<Vec<Row>, Error> {
    let mut running = lanes.iter().map(|lane| Running::start(lane, case)).collect::<Result<Vec<_>, _>>()?;
    let mut samples: Vec<Sample> = lanes.iter().map(|_| Sample::default()).collect();
    let mut bare = Vec::new();
    for round in 0..rounds {
        for turn in 0..lanes.len() {
            let at = (round + turn) % lanes.len();
            running[at].run(count, &mut samples[at])?;
        }
        if let Some(bcrypt) = bcrypt {
            bare.extend(bcrypt.run(count)?);
        }
    }
    let per_invocation = |total: Option<Duration>, sample: &Sample| total.map(|total| total / divisor(sample));
    let rows = lanes.iter().zip(samples).map(|(lane, sample)| Row {
        cpu: per_invocation(sample.cpu, &sample),
        database_cpu: per_invocation(sample.database_cpu, &sample),
        ..row(case.name, lane, sample)
    });
    let mut rows: Vec<Row> = rows.collect();
    if bcrypt.is_some() {
        let candidate = BCRYPT.to_owned();
        let case = case.name.to_owned();
        rows.push(Row { case, candidate, latencies: bare, cpu: None, database_cpu: None, memory: None, size: None });
    }
    Ok(rows)
}

fn divisor(sample: &Sample) -> u32 {
    u32::try_from(sample.latencies.len()).unwrap_or(u32::MAX).max(1)
}

fn cold(case: &Case, lanes: &[Lane], rounds: usize, count: usize) -> Result<Vec<Row>, Error> {
    let mut ready: Vec<Sample> = lanes.iter().map(|_| Sample::default()).collect();
    let mut answered: Vec<(Sample, Vec<Duration>)> = lanes.iter().map(|_| Default::default()).collect();
    // The first round brings the files into memory, as they are on a host that has started the function before.
    for round in 0..=rounds {
        for turn in 0..lanes.len() {
            let at = (round + turn) % lanes.len();
            let lane = &lanes[at];
            for _ in 0..count {
                let events = (case.events)(&lane.account);
                let mut environment = Environment::start(&lane.candidate, Some((events, 1)))?;
                let series = environment.wait()?;
                if round == 0 {
                    continue;
                }
                let (sample, cpu) = &mut answered[at];
                ready[at].latencies.push(series.ready - environment.started);
                sample.latencies.push(series.finished - environment.started);
                cpu.extend(environment.cpu());
                sample.memory = environment.memory();
            }
        }
    }
    let mut rows = Vec::new();
    for (lane, (ready, (sample, cpu))) in lanes.iter().zip(ready.into_iter().zip(answered)) {
        let name = lane.variant.unwrap_or(case.name);
        rows.push(row(&format!("{name}: ready"), lane, ready));
        let cpu = (!cpu.is_empty()).then(|| quantile(&cpu, 2));
        rows.push(Row { cpu, ..row(&format!("{name}: answered"), lane, sample) });
    }
    rows.sort_by_key(|row| !row.case.ends_with(": ready"));
    Ok(rows)
}

fn row(case: &str, lane: &Lane, sample: Sample) -> Row {
    Row {
        case: case.to_owned(),
        candidate: lane.candidate.name.clone(),
        latencies: sample.latencies,
        cpu: None,
        database_cpu: None,
        memory: sample.memory,
        size: fs::metadata(&lane.candidate.artifact).ok().map(|metadata| metadata.len()),
    }
}

/// The system's `crypt`, which is written in C, by way of Perl: bcrypt of the default cost and nothing else.
pub struct BareBcrypt {
    perl: std::path::PathBuf,
}

const CRYPT: &str = r#"
    use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
    my ($password, $count) = @ARGV;
    for (1 .. $count) {
        my $start = clock_gettime(CLOCK_MONOTONIC);
        my $hash = crypt($password, '$2b$12$abcdefghijklmnopqrstuu');
        die "no bcrypt" unless defined $hash && $hash =~ /^\$2b\$12\$.{53}$/;
        printf "%d\n", 1e9 * (clock_gettime(CLOCK_MONOTONIC) - $start);
    }"#;

impl BareBcrypt {
    /// `None` where the system's `crypt` does not have bcrypt.
    pub fn find(perl: Option<std::path::PathBuf>) -> Option<Self> {
        let found = Self { perl: perl? };
        found.run(1).is_ok().then_some(found)
    }

    fn run(&self, count: usize) -> Result<Vec<Duration>, Error> {
        let failed = |reason: String| Error::new(format!("bcrypt in C failed: {reason}"), "Is Perl's crypt complete?");
        let output = Command::new(&self.perl).args(["-e", CRYPT, PASSWORD, &count.to_string()]).output();
        let output = output.map_err(|error| Error::start("perl", error))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let times = text.lines().map(|line| line.parse().map(Duration::from_nanos));
        times.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))
    }
}
