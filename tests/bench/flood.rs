//! One address floods the sign-in with wrong passwords while others sign in.
//!
//! The gateway and Lambda are imitated as far as they matter: the route has a token bucket, and a request that finds no free
//! environment among those of the account is rejected.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use ::tests::Error;

use crate::{
    environment::{Candidate, Environment},
    events::{self, PASSWORD, USERNAME},
    report::quantile,
};

/// The rate of the route at the gateway, and its burst: the default of `SignInThrottleRate`.
const GATEWAY_RATE: f64 = 50.0;
/// Environments: the concurrency of a new account.
const ENVIRONMENTS: usize = 10;
/// Requests of the flooding address in a second, each for another name.
const FLOOD_RATE: u32 = 20;
/// Sign-ins of the others in a second, each from another address.
const OTHERS_RATE: u32 = 1;

pub const HEAD: &str = "\
| limit | requests | responses | median ms | upper quartile ms | CPU s |
|---|---|---|--:|--:|--:|";

/// A request, and where to send the status and the time of its response.
struct Job {
    event: String,
    from: usize,
    arrived: Instant,
}

/// The responses to the requests of one group.
#[derive(Default)]
struct Group {
    statuses: BTreeMap<String, usize>,
    latencies: Vec<Duration>,
}

impl Group {
    fn add(&mut self, status: &str, latency: Duration) {
        *self.statuses.entry(status.to_owned()).or_default() += 1;
        self.latencies.push(latency);
    }
}

/// Runs the flood and returns the rows of the table for it.
pub fn run(candidate: &Candidate, limit: &str, duration: Duration) -> Result<String, Error> {
    let (answers, answered) = channel();
    let (free, is_free) = channel();
    let mut jobs: Vec<Sender<Job>> = Vec::new();
    let mut environments = Vec::new();
    for index in 0..ENVIRONMENTS {
        let environment = Environment::start(candidate, None)?;
        let (sender, receiver) = channel();
        jobs.push(sender);
        let (answers, free) = (answers.clone(), free.clone());
        environments.push(thread::spawn(move || serve(environment, &receiver, &answers, &free, index)));
    }
    drop((answers, free));
    let mut groups = [Group::default(), Group::default()];
    let (started, mut tokens, mut filled) = (Instant::now(), GATEWAY_RATE, Instant::now());
    for (number, (at, from)) in arrivals(duration).into_iter().enumerate() {
        thread::sleep(at.saturating_sub(started.elapsed()));
        let now = Instant::now();
        tokens = (tokens + (now - filled).as_secs_f64() * GATEWAY_RATE).min(GATEWAY_RATE);
        filled = now;
        let event = match from {
            0 => events::sign_in_from("198.51.100.1", &format!("user{number}"), "a wrong guess"),
            _ => events::sign_in_from(&format!("203.0.113.{}", number % 250), USERNAME, PASSWORD),
        };
        if tokens < 1.0 {
            groups[from].add("429 of the gateway", Duration::ZERO);
            continue;
        }
        tokens -= 1.0;
        match is_free.try_recv() {
            Ok(index) => {
                let _ = jobs[index].send(Job { event, from, arrived: now });
            }
            Err(_) => groups[from].add("503, no environment is free", Duration::ZERO),
        }
    }
    drop(jobs);
    let mut cpu = Duration::ZERO;
    for environment in environments {
        cpu += environment.join().unwrap_or_default();
    }
    for (from, status, latency) in answered {
        groups[from].add(&status, latency);
    }
    let names = [format!("{FLOOD_RATE}/s from one address"), format!("{OTHERS_RATE}/s from others")];
    Ok(names.iter().zip(groups).map(|(name, group)| row(limit, name, group, cpu)).collect())
}

/// Serves requests one at a time, like an environment. Returns the processor time of the function.
fn serve(
    mut environment: Environment,
    jobs: &Receiver<Job>,
    answers: &Sender<(usize, String, Duration)>,
    free: &Sender<usize>,
    index: usize,
) -> Duration {
    let before = environment.cpu().unwrap_or_default();
    let _ = free.send(index);
    for Job { event, from, arrived } in jobs {
        let status =
            environment.call_any(event).map_or_else(|error| error.to_string(), |response| status_of(&response));
        let _ = answers.send((from, status, arrived.elapsed()));
        let _ = free.send(index);
    }
    environment.cpu().unwrap_or_default().saturating_sub(before)
}

/// Returns the times at which requests arrive, in order, and their group: 0 floods, 1 are the others.
fn arrivals(duration: Duration) -> Vec<(Duration, usize)> {
    let mut arrivals = Vec::new();
    for (group, rate) in [(0, FLOOD_RATE), (1, OTHERS_RATE)] {
        let interval = Duration::from_secs(1) / rate;
        // The others arrive between two requests of the flood.
        let offset = if group == 1 { Duration::from_millis(25) } else { Duration::ZERO };
        let mut at = offset;
        while at < duration {
            arrivals.push((at, group));
            at += interval;
        }
    }
    arrivals.sort_unstable();
    arrivals
}

fn status_of(response: &str) -> String {
    let status = response.split(r#""statusCode":"#).nth(1).and_then(|rest| rest.get(..3));
    status.unwrap_or("no status").to_owned()
}

fn row(limit: &str, name: &str, mut group: Group, cpu: Duration) -> String {
    group.latencies.retain(|latency| !latency.is_zero());
    let milliseconds = |quarter| format!("{:.0}", quantile(&group.latencies, quarter).as_secs_f64() * 1000.0);
    let responses: Vec<String> = group.statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
    let (median, high, responses) = (milliseconds(2), milliseconds(3), responses.join("; "));
    format!("| {limit} | {name} | {responses} | {median} | {high} | {:.1} |\n", cpu.as_secs_f64())
}
