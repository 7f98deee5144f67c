//! An execution environment: the process of one function, with its Runtime API.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ::tests::Error;

use crate::{
    events::{Any, Given},
    processes,
    runtime_api::{Events, RuntimeApi, Series},
};

/// A program to run as a function.
#[derive(Clone)]
pub struct Candidate {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<PathBuf>,
    /// Its variables, beside those of Lambda.
    pub variables: Vec<(&'static str, String)>,
    /// The file whose size is shown.
    pub artifact: PathBuf,
    /// Its output.
    pub log: PathBuf,
}

/// A running function. Dropping it kills it; if this process is killed, the function ends because its Runtime API is gone.
pub struct Environment {
    candidate: Candidate,
    api: RuntimeApi,
    child: Child,
    pub started: Instant,
}

impl Environment {
    /// Starts the function, with `first` events queued for it.
    pub fn start(candidate: &Candidate, first: Option<(Box<dyn Events>, usize)>) -> Result<Self, Error> {
        let api = RuntimeApi::start()?;
        if let Some((events, count)) = first {
            api.submit(events, count);
        }
        let open = || File::options().create(true).append(true).open(&candidate.log);
        let (output, errors) = (open(), open());
        let failed = |error| Error::file(&candidate.log, error);
        let mut command = Command::new(&candidate.program);
        command
            .args(&candidate.arguments)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("AWS_REGION", "eu-central-1")
            .envs(candidate.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.map_err(failed)?)
            .stderr(errors.map_err(failed)?);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| Error::start(&candidate.name, error))?;
        Ok(Self { candidate: candidate.clone(), api, child, started })
    }

    /// Invokes the function `count` times, one invocation after the other.
    pub fn invoke(&mut self, events: Box<dyn Events>, count: usize) -> Result<Series, Error> {
        self.api.submit(events, count);
        self.wait()
    }

    /// Sends the given events; returns the last response.
    pub fn call(&mut self, events: Vec<String>) -> Result<String, Error> {
        let (response, count) = (Arc::<Mutex<String>>::default(), events.len());
        self.invoke(Box::new(Given { events: events.into_iter(), response: Arc::clone(&response) }), count)?;
        let text = response.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(text.clone())
    }

    /// Sends an event; returns the response, which may be an error.
    pub fn call_any(&mut self, event: String) -> Result<String, Error> {
        let response = Arc::<Mutex<String>>::default();
        self.invoke(Box::new(Any { event: Some(event), response: Arc::clone(&response) }), 1)?;
        let text = response.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(text.clone())
    }

    /// Waits for the events that are queued.
    pub fn wait(&mut self) -> Result<Series, Error> {
        let child = &mut self.child;
        let outcome = self.api.wait(|| !matches!(child.try_wait(), Ok(None)));
        outcome.map_err(|reason| {
            Error::new(
                format!("{} cannot be measured: {reason}.\n{}", self.candidate.name, self.last_lines()),
                format!("All of its output is in {}.", self.candidate.log.display()),
            )
        })
    }

    /// The processor time of the function so far.
    pub fn cpu(&self) -> Option<Duration> {
        processes::cpu(self.child.id())
    }

    /// The function's resident memory, in bytes.
    pub fn memory(&self) -> Option<u64> {
        processes::memory(self.child.id())
    }

    fn last_lines(&self) -> String {
        let text = fs::read(&self.candidate.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
