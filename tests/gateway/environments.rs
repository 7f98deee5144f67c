//! Lambda's execution environments: one for each request that a function serves at a time, reused for later requests.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Mutex, PoisonError};

use ::tests::Error;
use ::tests::binaries::Binaries;
use ::tests::emulator::{self, Emulator};
use ::tests::tools::Tools;

use crate::template::Function;

/// The execution environments of all functions. Dropping them stops the functions.
pub struct Environments {
    tools: Tools,
    binaries: Binaries,
    log: File,
    /// Values that replace those of the template, by variable.
    overrides: Vec<(String, String)>,
    idle: Mutex<HashMap<String, Vec<Emulator>>>,
}

impl Environments {
    pub fn new(tools: Tools, binaries: Binaries, log: File, overrides: Vec<(String, String)>) -> Self {
        Self { tools, binaries, log, overrides, idle: Mutex::default() }
    }

    /// Invokes a function in one of its idle environments, or in a new one.
    pub fn invoke(&self, function: &Function, event: &str) -> Result<String, Error> {
        let idle = self.idle().entry(function.name.clone()).or_default().pop();
        let environment = match idle {
            Some(environment) => environment,
            None => self.start(function)?,
        };
        let answer = environment.invoke(event)?;
        self.idle().entry(function.name.clone()).or_default().push(environment);
        Ok(answer)
    }

    fn start(&self, function: &Function) -> Result<Emulator, Error> {
        let override_of = |name: &String| self.overrides.iter().find(|(given, _)| given == name);
        let variables: Vec<(&str, &str)> = function
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), override_of(name).map_or(value.as_str(), |(_, value)| value.as_str())))
            .chain([("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_FUNCTION_NAME", function.name.as_str())])
            .collect();
        let binary = self.binaries.path(&function.name);
        emulator::start(&self.tools, emulator::Options { binary: &binary, env: &variables, output: Some(&self.log) })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Emulator>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
