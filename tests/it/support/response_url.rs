//! A stand-in for the place where CloudFormation waits for a custom resource's answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::Value;

/// Takes what is put there until it is dropped.
pub struct ResponseUrl {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its first line and its headers, but for those that tell where the stand-in is.
    pub head: String,
    pub body: Value,
}

impl ResponseUrl {
    /// Answers the first requests with these statuses, and all others with 200.
    pub fn start(statuses: &'static [u16]) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (received, ended) = (Arc::<Mutex<Vec<Received>>>::default(), Arc::<AtomicBool>::default());
        let thread = thread::spawn({
            let (received, ended) = (Arc::clone(&received), Arc::clone(&ended));
            move || {
                let mut statuses = statuses.iter().copied();
                for client in listener.incoming().flatten() {
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    let request = take(&client, statuses.next().unwrap_or(200)).expect("a request that can be read");
                    received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                }
            }
        });
        Ok(Self { address, received, ended, thread: Some(thread) })
    }

    /// The URL, as long and full of signs as a signed one.
    pub fn url(&self) -> String {
        format!(
            "http://{}/arn%3Aaws%3Acloudformation?X-Amz-Signature=a%2Bsecret%3D%3D&X-Amz-Expires=7200",
            self.address
        )
    }

    /// What has been put there.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer that was put there, if it is the only one.
    pub fn only(&self) -> Received {
        match self.received().as_slice() {
            [received] => received.clone(),
            other => panic!("one answer, and not {other:?}"),
        }
    }
}

impl Drop for ResponseUrl {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn take(client: &TcpStream, status: u16) -> std::io::Result<Received> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some(("content-length", number)) => length = number.parse().unwrap_or_default(),
            Some(("host", _)) => {}
            _ => head.extend([line, "\n"]),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut client = client;
    write!(client, "HTTP/1.1 {status} As Told\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    Ok(Received { head, body: serde_json::from_slice(&body).unwrap_or_default() })
}
