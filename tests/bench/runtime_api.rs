//! The Runtime API of Lambda, as far as one function needs it, and the stopwatch:
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
//!
//! A thread serves each connection. On a connection that is kept alive the thread that sends an event also reads its
//! response, so that no switch between threads is part of a measured time.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ::tests::Error;

const ACCEPTED: &[u8] =
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{\"status\":\"OK\"}\n";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

/// Time for one invocation; the functions' timeout in the template is 15 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// A source of events that also reads the responses.
pub trait Events: Send {
    /// Returns the next event, as JSON.
    fn next(&mut self) -> String;

    /// Checks a response; the error says what is wrong with it.
    fn check(&mut self, response: &str) -> Result<(), String>;
}

/// The API for one function. Dropping it closes the port.
pub struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The outcome of a series of invocations.
pub struct Series {
    pub events: Box<dyn Events>,
    /// The time from sending each event to having its whole response.
    pub latencies: Vec<Duration>,
    /// When the last response was complete.
    pub finished: Instant,
    /// When the function asked for an event for the first time.
    pub ready: Instant,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: Option<Instant>,
    /// Connections on which the function waits for an event.
    waiting: usize,
    series: Option<Pending>,
    count: u64,
    failure: Option<String>,
    stopped: bool,
}

struct Pending {
    events: Box<dyn Events>,
    remaining: usize,
    sent: Option<Instant>,
    latencies: Vec<Duration>,
    finished: Instant,
}

impl RuntimeApi {
    /// Listens on a free port of loopback.
    pub fn start() -> Result<Self, Error> {
        let failed =
            |error| Error::new(format!("The Runtime API cannot listen: {error}"), "Check the loopback interface.");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::<Shared>::default();
        let for_connections = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if for_connections.lock().stopped {
                    return;
                }
                let shared = Arc::clone(&for_connections);
                thread::spawn(move || {
                    // A connection that ends is either that of a function that was stopped, or the wait notices.
                    let _ = shared.serve(connection);
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Queues `count` events for the function.
    pub fn submit(&self, events: Box<dyn Events>, count: usize) {
        let latencies = Vec::with_capacity(count);
        let pending = Pending { events, remaining: count, sent: None, latencies, finished: Instant::now() };
        self.shared.lock().series = Some(pending);
        self.shared.changed.notify_all();
    }

    /// Waits until the submitted events are answered and the function asks for another one. `has_ended` tells whether the
    /// function's process is gone.
    pub fn wait(&self, mut has_ended: impl FnMut() -> bool) -> Result<Series, String> {
        let mut state = self.shared.lock();
        let (mut progress, mut deadline) = (0, Instant::now() + PATIENCE);
        loop {
            if let Some(failure) = state.failure.take() {
                return Err(failure);
            }
            if let (true, Some(ready)) = (state.waiting > 0, state.ready)
                && let Some(series) = state.series.take_if(|series| series.remaining == 0 && series.sent.is_none())
            {
                let Pending { events, latencies, finished, .. } = series;
                return Ok(Series { events, latencies, finished, ready });
            }
            let answered = state.series.as_ref().map_or(0, |series| series.latencies.len());
            if answered > progress {
                (progress, deadline) = (answered, Instant::now() + PATIENCE);
            }
            if has_ended() {
                return Err("it ended by itself".to_owned());
            }
            if Instant::now() > deadline {
                return Err(format!("it did not answer within {} s", PATIENCE.as_secs()));
            }
            let pause = Duration::from_millis(100);
            (state, _) = self.shared.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut requests = Requests::new(connection.try_clone()?);
        while requests.read()? {
            let arrived = Instant::now();
            let path = requests.path();
            if path.ends_with("/invocation/next") {
                let Some(message) = self.next_event(arrived) else {
                    return Ok(());
                };
                connection.write_all(message.as_bytes())?;
            } else if path.ends_with("/response") {
                self.accept(arrived, &requests.body);
                connection.write_all(ACCEPTED)?;
            } else if path.ends_with("/error") {
                self.fail(format!("it reported an error: {}", String::from_utf8_lossy(&requests.body)));
                connection.write_all(ACCEPTED)?;
            } else {
                connection.write_all(NOT_FOUND)?;
            }
        }
        Ok(())
    }

    /// Waits for an event and starts the stopwatch; `None` ends the connection.
    fn next_event(&self, arrived: Instant) -> Option<String> {
        let mut state = self.lock();
        state.ready.get_or_insert(arrived);
        state.waiting += 1;
        if state.series.as_ref().is_some_and(|series| series.remaining == 0) {
            self.changed.notify_all();
        }
        while !state.stopped && state.series.as_ref().is_none_or(|series| series.remaining == 0) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        state.count += 1;
        let count = state.count;
        if state.stopped {
            return None;
        }
        let series = state.series.as_mut()?;
        let message = message(count, &series.events.next());
        series.remaining -= 1;
        series.sent = Some(Instant::now());
        Some(message)
    }

    fn accept(&self, arrived: Instant, body: &[u8]) {
        let mut state = self.lock();
        let Some(series) = &mut state.series else {
            return;
        };
        if let Some(sent) = series.sent.take() {
            series.latencies.push(arrived - sent);
            series.finished = arrived;
        }
        if let Err(failure) = series.events.check(&String::from_utf8_lossy(body)) {
            drop(state);
            self.fail(failure);
        }
    }

    fn fail(&self, failure: String) {
        self.lock().failure.get_or_insert(failure);
        self.changed.notify_all();
    }
}

/// The response to `GET /invocation/next`.
fn message(count: u64, event: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = (now + Duration::from_secs(15)).as_millis();
    let mut message = String::with_capacity(event.len() + 512);
    // Writing to a string does not fail.
    let _ = write!(
        message,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
         lambda-runtime-aws-request-id: 5b3c2f10-0000-4000-8000-{count:012x}\r\n\
         lambda-runtime-deadline-ms: {deadline}\r\n\
         lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:bench\r\n\
         lambda-runtime-trace-id: Root=1-6ae85818-5f0c3b{count:018x};Parent=53995c3f42cd8ad8;Sampled=0\r\n\
         content-length: {}\r\n\r\n{event}",
        event.len()
    );
    message
}

/// The requests of one connection. Its buffers are used again for each.
struct Requests {
    reader: BufReader<TcpStream>,
    head: String,
    body: Vec<u8>,
}

impl Requests {
    fn new(connection: TcpStream) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, connection), head: String::new(), body: Vec::new() }
    }

    /// Reads a request in full; false at the end of the connection.
    fn read(&mut self) -> io::Result<bool> {
        self.head.clear();
        self.body.clear();
        while self.reader.read_line(&mut self.head)? > 2 {}
        if self.head.is_empty() {
            return Ok(false);
        }
        if self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            while self.read_chunk()? > 0 {}
        } else {
            let length = self.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            self.read_bytes(length)?;
        }
        Ok(true)
    }

    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    fn read_chunk(&mut self) -> io::Result<usize> {
        let length = usize::from_str_radix(self.read_line()?.trim(), 16).map_err(io::Error::other)?;
        self.read_bytes(length)?;
        self.read_line()?;
        Ok(length)
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(line)
    }

    fn read_bytes(&mut self, length: usize) -> io::Result<()> {
        let start = self.body.len();
        self.body.resize(start + length, 0);
        self.reader.read_exact(&mut self.body[start..])
    }
}
