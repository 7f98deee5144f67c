//! A proxy between the service and PostgreSQL that reads the protocol and can behave like a connection pooler:
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const PARSE: u8 = b'P';
const QUERY: u8 = b'Q';
const BACKEND_KEY_DATA: u8 = b'K';
const COMMAND_COMPLETE: u8 = b'C';
const READY_FOR_QUERY: u8 = b'Z';

/// Forwards connections to a server and counts the statements that clients prepare.
pub struct Pooler {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    invents_process_ids: bool,
    prepared: AtomicUsize,
    forget: AtomicBool,
}

impl Pooler {
    /// Starts a proxy that a client cannot tell from the server. It runs as long as the test's runtime.
    pub async fn transparent(port: u16) -> Self {
        Self::start(port, State::default()).await
    }

    /// Starts a proxy that announces process ids of its own, like a pooler.
    pub async fn with_invented_process_ids(port: u16) -> Self {
        Self::start(port, State { invents_process_ids: true, ..State::default() }).await
    }

    async fn start(port: u16, state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the port");
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server");
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let swallow = Arc::new(AtomicBool::new(false));
                tokio::spawn(forward_requests(from_client, to_server, Arc::clone(&shared), Arc::clone(&swallow)));
                tokio::spawn(forward_responses(from_server, to_client, Arc::clone(&shared), swallow));
            }
        });
        Self { address, state }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The number of statements that clients have prepared.
    pub fn prepared(&self) -> usize {
        self.state.prepared.load(Ordering::SeqCst)
    }

    /// Removes all prepared statements of the connection that is used next, like a pooler that switches to another server
    /// connection.
    pub fn forget_statements(&self) {
        self.state.forget.store(true, Ordering::SeqCst);
    }
}

async fn forward_requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    state: Arc<State>,
    swallow: Arc<AtomicBool>,
) -> io::Result<()> {
    // The startup message has no type.
    let startup = read_body(&mut client).await?;
    server.write_all(&framed(None, &startup)).await?;
    loop {
        let kind = client.read_u8().await?;
        let body = read_body(&mut client).await?;
        // An unnamed statement starts with an empty name.
        let is_named_parse = kind == PARSE && body.first() != Some(&0);
        state.prepared.fetch_add(usize::from(is_named_parse), Ordering::SeqCst);
        if state.forget.swap(false, Ordering::SeqCst) {
            swallow.store(true, Ordering::SeqCst);
            server.write_all(&framed(Some(QUERY), b"deallocate all\0")).await?;
        }
        server.write_all(&framed(Some(kind), &body)).await?;
    }
}

async fn forward_responses(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    state: Arc<State>,
    swallow: Arc<AtomicBool>,
) -> io::Result<()> {
    loop {
        let kind = server.read_u8().await?;
        let mut body = read_body(&mut server).await?;
        if swallow.load(Ordering::SeqCst) && matches!(kind, COMMAND_COMPLETE | READY_FOR_QUERY) {
            swallow.store(kind != READY_FOR_QUERY, Ordering::SeqCst);
            continue;
        }
        if state.invents_process_ids && kind == BACKEND_KEY_DATA {
            body[..4].copy_from_slice(&i32::MAX.to_be_bytes());
        }
        client.write_all(&framed(Some(kind), &body)).await?;
    }
}

async fn read_body(stream: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    // The length includes itself.
    let length = stream.read_u32().await?.saturating_sub(4);
    let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

fn framed(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a message of less than 4 GiB");
    kind.into_iter().chain(length.to_be_bytes()).chain(body.iter().copied()).collect()
}
