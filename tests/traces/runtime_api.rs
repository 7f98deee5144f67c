//! Lambda's Runtime API, for two things that the Lambda emulator does not provide: the trace of an invocation, and the
//! moment at which a function is ready for the next one.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use tests::process::{Running, spawn_into};
use tiny_http::{Header, Request, Response};

use crate::support::guard;
use crate::support::http_server::HttpServer;

/// A function and the Runtime API that it polls. Dropping it stops both.
pub struct Invoked {
    // The function first, so that it does not see the API stop.
    _running: Running,
    /// The function's request for its next event; `None` only during an invocation.
    next: Option<Request>,
    requests: Receiver<Request>,
    _server: HttpServer,
}

/// The result of an invocation.
pub struct Invocation {
    pub answer: String,
    /// The time until the function returned its answer.
    pub answered: Duration,
    /// The time until the function asked for the next event. Lambda may freeze it then.
    pub ready: Duration,
}

/// The time in which a function must send its next request.
const PATIENCE: Duration = Duration::from_secs(30);

impl Invoked {
    /// Starts a function and waits until it is ready.
    pub fn start(binary: &Path, env: &[(&str, &str)], output: &File) -> Result<Self, Box<dyn Error>> {
        let (sender, requests) = mpsc::channel();
        let server = HttpServer::start(1, move |request| {
            // The receiver is gone only while the API stops.
            let _ = sender.send(request);
        })?;
        let mut command = guard().command(binary);
        command.env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{}", server.port())).envs(env.iter().copied());
        for (name, value) in [("NAME", "the-function"), ("VERSION", "7"), ("MEMORY_SIZE", "256")] {
            command.env(format!("AWS_LAMBDA_FUNCTION_{name}"), value);
        }
        let running = spawn_into(command, Some(output))?;
        let next = receive(&requests, "/invocation/next")?;
        Ok(Self { _running: running, next: Some(next), requests, _server: server })
    }

    /// Passes an event to the function and waits until it asks for another one.
    pub fn invoke(&mut self, trace: &str, event: &str) -> Result<Invocation, Box<dyn Error>> {
        let mut response = Response::from_string(event);
        let request_id = uuid::Uuid::now_v7().to_string();
        for (name, value) in
            [("aws-request-id", request_id.as_str()), ("deadline-ms", "4102444800000"), ("trace-id", trace)]
        {
            let header = Header::from_bytes(format!("lambda-runtime-{name}"), value);
            response.add_header(header.map_err(|()| format!("{name} cannot be sent: {value}"))?);
        }
        let stopwatch = Instant::now();
        self.next.take().ok_or("an earlier invocation failed")?.respond(response)?;
        let mut returned = receive(&self.requests, "/response")?;
        let mut answer = String::new();
        returned.as_reader().read_to_string(&mut answer)?;
        let answered = stopwatch.elapsed();
        returned.respond(Response::empty(202))?;
        self.next = Some(receive(&self.requests, "/invocation/next")?);
        Ok(Invocation { answer, answered, ready: stopwatch.elapsed() })
    }
}

fn receive(requests: &Receiver<Request>, path: &str) -> Result<Request, Box<dyn Error>> {
    let request = requests.recv_timeout(PATIENCE).map_err(|_| format!("the function did not send {path}"))?;
    assert!(request.url().ends_with(path), "expected {path}, got {}", request.url());
    Ok(request)
}
