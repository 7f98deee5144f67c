//! The URL to which a custom resource sends its response. CloudFormation reads the response there.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tiny_http::{Request, Response};

use super::http_server::HttpServer;

/// Records the requests to the URL until it is dropped.
pub struct ResponseUrl {
    server: HttpServer,
    received: Arc<Mutex<Vec<Received>>>,
}

/// A recorded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The request line and the headers without `host` and `content-length`.
    pub head: String,
    pub body: Value,
}

impl ResponseUrl {
    /// Answers the first requests with these statuses, and all others with 200.
    pub fn start(statuses: &'static [u16]) -> std::io::Result<Self> {
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let server = HttpServer::start(1, {
            let received = Arc::clone(&received);
            move |mut request| {
                let record = Received::read(&mut request).expect("a complete request");
                let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
                let status = statuses.get(received.len()).copied().unwrap_or(200);
                received.push(record);
                request.respond(Response::empty(status)).expect("a client that waits for the response");
            }
        })?;
        Ok(Self { server, received })
    }

    /// The URL, with the length and the escaped characters of a signed URL.
    pub fn url(&self) -> String {
        format!(
            "http://127.0.0.1:{}/arn%3Aaws%3Acloudformation?X-Amz-Signature=a%2Bsecret%3D%3D&X-Amz-Expires=7200",
            self.server.port()
        )
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The request, which must be the only one.
    pub fn only(&self) -> Received {
        match self.received().as_slice() {
            [received] => received.clone(),
            other => panic!("expected one request, got {other:?}"),
        }
    }
}

impl Received {
    fn read(request: &mut Request) -> std::io::Result<Self> {
        let mut head = format!("{} {} HTTP/{}\n", request.method(), request.url(), request.http_version());
        for header in request.headers() {
            if !header.field.equiv("host") && !header.field.equiv("content-length") {
                head.push_str(format!("{}: {}", header.field, header.value).trim_end());
                head.push('\n');
            }
        }
        let mut body = Vec::new();
        request.as_reader().read_to_end(&mut body)?;
        Ok(Self { head, body: serde_json::from_slice(&body).unwrap_or_default() })
    }
}
