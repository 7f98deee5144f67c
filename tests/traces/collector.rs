//! A stand-in for a collector of traces: OTLP over HTTP, in protobuf.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A running collector; dropping it stops it.
pub struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Received {
    stop: bool,
    /// The connections that nobody answers.
    kept: Vec<TcpStream>,
    exports: Vec<Export>,
}

/// What came in one request.
#[derive(Clone)]
pub struct Export {
    /// The request line and the headers, in small letters.
    pub head: String,
    /// The message as it came.
    pub bytes: Vec<u8>,
}

/// What is known of a span.
#[derive(Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub kind: u64,
    pub status: u64,
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, String>,
    pub resource: BTreeMap<String, String>,
}

impl Collector {
    /// Starts one that takes what it is given.
    pub fn start() -> std::io::Result<Self> {
        Self::start_as(true)
    }

    /// Starts one that takes connections and never says a word.
    pub fn hanging() -> std::io::Result<Self> {
        Self::start_as(false)
    }

    fn start_as(answers: bool) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let received = Arc::<Mutex<Received>>::default();
        let shared = Arc::clone(&received);
        let thread = thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if lock(&shared).stop {
                    return;
                }
                if answers {
                    let _ = take(&connection, &shared);
                } else {
                    lock(&shared).kept.push(connection);
                }
            }
        });
        Ok(Self { address, received, thread: Some(thread) })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were left without an answer.
    pub fn kept(&self) -> usize {
        lock(&self.received).kept.len()
    }

    /// What has come, which is forgotten.
    pub fn exports(&self) -> Vec<Export> {
        std::mem::take(&mut lock(&self.received).exports)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        lock(&self.received).stop = true;
        // Wakes the thread, so that it sees that.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(received: &Mutex<Received>) -> std::sync::MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(mut connection: &TcpStream, received: &Mutex<Received>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut bytes = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut bytes)?;
    lock(received).exports.push(Export { head, bytes });
    connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}

impl Export {
    /// The spans of an `ExportTraceServiceRequest`:
    /// <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for resource_spans in Message(&self.bytes).messages(1) {
            let resource =
                attributes(&resource_spans.messages(1).flat_map(|resource| resource.messages(1)).collect::<Vec<_>>());
            for span in resource_spans.messages(2).flat_map(|scope| scope.messages(2)) {
                spans.push(Span {
                    trace: hex(span.bytes(1)),
                    id: hex(span.bytes(2)),
                    parent: hex(span.bytes(4)),
                    name: text(span.bytes(5)),
                    kind: span.number(6).unwrap_or_default(),
                    status: span.messages(15).find_map(|status| status.number(3)).unwrap_or_default(),
                    start: span.number(7).unwrap_or_default(),
                    end: span.number(8).unwrap_or_default(),
                    attributes: attributes(&span.messages(9).collect::<Vec<_>>()),
                    resource: resource.clone(),
                });
            }
        }
        spans
    }
}

fn attributes(pairs: &[Message<'_>]) -> BTreeMap<String, String> {
    let value = |any: Message<'_>| match any.fields().next() {
        Some((1, Field::Bytes(bytes))) => text(bytes),
        Some((2, Field::Number(number))) => (number == 1).to_string(),
        Some((3, Field::Number(number))) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs.iter().map(|pair| (text(pair.bytes(1)), pair.messages(2).map(value).collect())).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message of protobuf, as far as OTLP goes: <https://protobuf.dev/programming-guides/encoding/>.
#[derive(Clone, Copy)]
struct Message<'a>(&'a [u8]);

#[derive(Debug)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    fn fields(self) -> impl Iterator<Item = (u64, Field<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let tag = varint(&mut rest);
            let field = match tag & 7 {
                0 => Field::Number(varint(&mut rest)),
                1 => Field::Number(u64::from_le_bytes(cut(&mut rest, 8).try_into().expect("eight bytes"))),
                2 => {
                    let length = varint(&mut rest);
                    Field::Bytes(cut(&mut rest, usize::try_from(length).expect("a length")))
                }
                5 => Field::Number(u32::from_le_bytes(cut(&mut rest, 4).try_into().expect("four bytes")).into()),
                other => panic!("no wire type of protobuf: {other}"),
            };
            Some((tag >> 3, field))
        })
    }

    fn messages(self, number: u64) -> impl Iterator<Item = Message<'a>> {
        self.fields().filter_map(move |field| match field {
            (at, Field::Bytes(bytes)) if at == number => Some(Message(bytes)),
            _ => None,
        })
    }

    fn bytes(self, number: u64) -> &'a [u8] {
        self.messages(number).next().map_or(&[], |message| message.0)
    }

    fn number(self, number: u64) -> Option<u64> {
        self.fields().find_map(|field| match field {
            (at, Field::Number(value)) if at == number => Some(value),
            _ => None,
        })
    }
}

fn cut<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (bytes, after) = rest.split_at(length);
    *rest = after;
    bytes
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = cut(rest, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}
