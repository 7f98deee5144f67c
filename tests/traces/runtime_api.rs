//! A stand-in for Lambda's Runtime API, for what the emulator does not show: the trace that Lambda has an invocation in, and
//! when a function is ready for the next one. <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tests::process::{Running, spawn_into};

use crate::support::guard;

/// A function and the API that it asks for events; dropping it stops both.
pub struct Invoked {
    listener: TcpListener,
    /// Where the function waits for an event.
    waiting: TcpStream,
    _running: Running,
}

/// What came of an invocation.
pub struct Outcome {
    pub answer: String,
    /// Until the answer was there.
    pub answered: Duration,
    /// Until the function asked for the next event, at which it may be frozen.
    pub ready: Duration,
}

/// How long a function may keep silent.
const PATIENCE: Duration = Duration::from_secs(30);

impl Invoked {
    /// Starts a function and waits until it is ready.
    pub fn start(binary: &Path, env: &[(&str, &str)], output: &File) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let mut command = guard().command(binary);
        command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string()).envs(env.iter().copied());
        for (name, value) in [("NAME", "the-function"), ("VERSION", "7"), ("MEMORY_SIZE", "256")] {
            command.env(format!("AWS_LAMBDA_FUNCTION_{name}"), value);
        }
        let running = spawn_into(command, Some(output))?;
        let (waiting, _) = accept(&listener, "/invocation/next")?;
        Ok(Self { listener, waiting, _running: running })
    }

    /// Hands the function an event and waits until it wants another one.
    pub fn invoke(&mut self, trace: &str, event: &str) -> Result<Outcome, Error> {
        let headers = format!(
            "lambda-runtime-aws-request-id: {}\r\nlambda-runtime-deadline-ms: 4102444800000\r\nlambda-runtime-trace-id: {trace}\r\n",
            uuid::Uuid::now_v7()
        );
        let stopwatch = Instant::now();
        respond(&self.waiting, &headers, event)?;
        let (connection, answer) = accept(&self.listener, "/response")?;
        let answered = stopwatch.elapsed();
        respond(&connection, "", "")?;
        let (waiting, _) = accept(&self.listener, "/invocation/next")?;
        self.waiting = waiting;
        Ok(Outcome { answer, answered, ready: stopwatch.elapsed() })
    }
}

fn accept(listener: &TcpListener, path: &str) -> Result<(TcpStream, String), Error> {
    let stopwatch = Instant::now();
    let connection = loop {
        match listener.accept() {
            Ok((connection, _)) => break connection,
            Err(error) if error.kind() == ErrorKind::WouldBlock && stopwatch.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    };
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(&connection);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    assert!(head.lines().next().is_some_and(|line| line.contains(path)), "not {path}: {head}");
    Ok((connection, String::from_utf8_lossy(&body).into_owned()))
}

fn respond(mut connection: &TcpStream, headers: &str, body: &str) -> Result<(), Error> {
    let length = body.len();
    write!(connection, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}
