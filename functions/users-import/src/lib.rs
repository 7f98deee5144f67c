//! Imports the accounts of another service from JSON lines: from an object of S3, which the event names, or as a program from its
//! standard input. It has no route.
//!
//! The lines are imported in batches of 500. A batch with a line that is rejected is not imported. An account that exists already
//! with the same names is not an error, so that an import can be repeated after the rejected lines were corrected.

mod account;
mod batch;
mod lines;

use std::io;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use shared::App;
use shared::db::Role;
use shared::error::Fault;
use shared::report::BoxError;
use shared::runtime::Invocation;
use shared::secrets::NoKeys;

use self::batch::{Names, Outcome};
use self::lines::Line;
pub use self::lines::Lines;

/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Importer;

/// Lines of a batch.
const BATCH: usize = 500;
/// Maximum number of rejected lines in a report. A response of Lambda is limited to 6 MB.
const MAX_REPORTED: usize = 1000;
/// A batch is started only if the invocation has this time left.
const TIME_FOR_BATCH: Duration = Duration::from_secs(30);

/// The event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    /// The object of S3: `s3://<bucket>/<key>`.
    object: String,
    /// The line to begin with, the `next_line` of an earlier report.
    #[serde(default)]
    first_line: u64,
}

/// The result of an import.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Accounts that were imported.
    pub imported: usize,
    /// Lines whose account existed already.
    pub existing: usize,
    /// Lines that have a fault.
    pub rejected: usize,
    /// Lines without a fault that were not imported, because their batch has one that was rejected.
    pub held_back: usize,
    /// The faults of the first 1000 rejected lines.
    pub faults: Vec<LineFault>,
    /// The line to continue with in another invocation, because the time of this one was over.
    pub next_line: Option<u64>,
}

/// A fault of a line.
#[derive(Debug, Serialize)]
pub struct LineFault {
    /// The number of the line, from 1 on.
    pub line: u64,
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
}

/// Imports the accounts of the object that the event names, or of the standard input.
///
/// # Errors
/// The event has another form, or those of [`import`].
pub async fn run(app: App<NoKeys>, invocation: Invocation) -> Result<Report, BoxError> {
    let event: Option<Event> = serde_json::from_str(&invocation.event)
        .map_err(|error| format!(r#"the event must be {{"object":"s3://bucket/key"}}: {error}"#))?;
    match (event, invocation.deadline) {
        (Some(event), deadline) => import(&app, Lines::of_object(&event.object)?, event.first_line, deadline).await,
        (None, None) => import(&app, Lines::of_reader(io::stdin()), 0, None).await,
        (None, Some(_)) => Err(r#"the event must be {"object":"s3://bucket/key"}"#.into()),
    }
}

/// Imports the accounts of all lines from `first_line` on, and reports the rejected ones.
///
/// # Errors
/// The lines cannot be read, or the database is unavailable. Batches before that are imported.
pub async fn import(
    app: &App<NoKeys>,
    mut lines: Lines,
    first_line: u64,
    deadline: Option<SystemTime>,
) -> Result<Report, BoxError> {
    let (mut report, mut names) = (Report::default(), Names::default());
    loop {
        let batch = next_batch(&mut lines, first_line, app.now()).await?;
        let Some(first) = batch.first().map(|line| line.number) else { break };
        if is_late(deadline, app.now()) {
            report.next_line = Some(first);
            break;
        }
        let imported = batch::import(app.db(), batch, &mut names, app.now()).await;
        report.add(imported.map_err(|error| ImportFailed { first, source: error })?);
    }
    let Report { imported, existing, rejected, held_back, .. } = report;
    tracing::info!(event = "users.imported", imported, existing, rejected, held_back);
    Ok(report)
}

/// Why a batch was not imported.
#[derive(Debug, thiserror::Error)]
#[error("the batch that begins with line {first} was not imported")]
struct ImportFailed {
    first: u64,
    source: BoxError,
}

/// Reads up to 500 lines, from the line `first` on.
async fn next_batch(lines: &mut Lines, first: u64, now: SystemTime) -> Result<Vec<Line>, BoxError> {
    let mut batch = Vec::new();
    while batch.len() < BATCH
        && let Some(line) = lines.next(now).await?
    {
        if line.number >= first {
            batch.push(line);
        }
    }
    Ok(batch)
}

impl Report {
    fn add(&mut self, outcome: Outcome) {
        self.imported += outcome.imported;
        self.existing += outcome.existing;
        self.held_back += outcome.held_back;
        for (line, faults) in outcome.rejected {
            if self.rejected < MAX_REPORTED {
                self.faults.extend(faults.into_iter().map(|fault| LineFault { line, fault }));
            }
            self.rejected += 1;
        }
    }
}

fn is_late(deadline: Option<SystemTime>, now: SystemTime) -> bool {
    deadline.is_some_and(|deadline| now + TIME_FOR_BATCH > deadline)
}
