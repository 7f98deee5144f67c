//! Detection of connection poolers such as pgbouncer or RDS Proxy.
//!
//! Behind a pooler in transaction mode, a prepared statement belongs to a server connection that other clients use too, and
//! its name may mean another statement there. A pooler is recognized by the process id that it announces at the start of a
//! connection: it is invented, because the pooler needs its own ids for cancel requests.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Error};

/// Whether the connection leads to a server process and not to a pooler.
///
/// # Errors
/// The connection failed.
pub(super) async fn is_direct(client: &Client) -> Result<bool, Error> {
    let row = client.query_typed_one("select pg_backend_pid()", &[]).await?;
    let actual: i32 = row.try_get(0)?;
    Ok(announced_process_id(client).await == Some(actual))
}

/// Returns the process id that the server announced at the start. The library exposes it only in a cancel request, so one is
/// written to memory and not sent.
async fn announced_process_id(client: &Client) -> Option<i32> {
    let recorder = Recorder::default();
    client.cancel_token().cancel_query_raw(recorder.clone(), NoEncryption).await.ok()?;
    let written = recorder.0.lock().unwrap_or_else(PoisonError::into_inner);
    // A cancel request ends with the process id and the secret key, four bytes each.
    let id = written.len().checked_sub(8).and_then(|start| written.get(start..start + 4))?;
    Some(i32::from_be_bytes(id.try_into().ok()?))
}

/// A stream that keeps what is written. It reads as `S`, with which a server accepts TLS.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<u8>>>);

impl AsyncRead for Recorder {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        buffer.put_slice(b"S");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for Recorder {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

/// TLS without encryption, for a stream that does not leave the process.
struct NoEncryption;

impl TlsConnect<Recorder> for NoEncryption {
    type Stream = Recorder;
    type Error = Infallible;
    type Future = Ready<Result<Recorder, Infallible>>;

    fn connect(self, stream: Recorder) -> Self::Future {
        ready(Ok(stream))
    }
}
