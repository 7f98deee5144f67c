//! HTTP/1.1 over TLS under the SDK: one connection for each request.
//!
//! Calls are minutes apart, between which the environment is frozen, so a pool would keep dead connections. The SDK's own
//! client also has HTTP/2, proxies, and the system's certificate store: half a MiB in each function.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use futures_util::future::{Either, select};
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{ServerName, TrustAnchor};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::env;
use crate::report::BoxError;

include!(concat!(env!("OUT_DIR"), "/amazon_roots.rs"));

/// Time to connect, TLS included, if the SDK sets none. The SDK's default is the same.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// A client for the SDK, and for requests of our own.
#[derive(Clone, Debug)]
pub(super) struct Client {
    tls: Arc<ClientConfig>,
    connect_timeout: Duration,
}

impl Client {
    /// Makes a client that trusts the roots of AWS's endpoints, or those in `AWS_CA_BUNDLE`. `build.rs` compiles the former in,
    /// because reading the system's certificate store would take 5 ms at every start.
    ///
    /// # Errors
    /// `AWS_CA_BUNDLE` has no certificates, or an invalid one.
    pub(super) fn new() -> Result<Self, BoxError> {
        let roots = match env::certificates("AWS_CA_BUNDLE")? {
            Some(certificates) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates {
                    roots
                        .add(certificate)
                        .map_err(|error| format!("AWS_CA_BUNDLE has an invalid certificate: {error}"))?;
                }
                roots
            }
            None => RootCertStore { roots: AMAZON_ROOTS.to_vec() },
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), connect_timeout: CONNECT_TIMEOUT })
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Stream>, BoxError> {
        let tcp = TcpStream::connect((target.host.as_str(), target.port)).await?;
        tcp.set_nodelay(true)?;
        if !target.tls {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(target.host.clone())?;
        Ok(Box::new(TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?))
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let mut request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let target = Target::of(request.uri()).ok_or_else(|| ConnectorError::user("the URL is malformed".into()))?;
        request.headers_mut().entry(HOST).or_insert(target.header.clone());
        *request.uri_mut() = target.path.clone().into();
        let stream = match timeout(self.connect_timeout, self.connect(&target)).await {
            Ok(connected) => connected.map_err(|error| ConnectorError::io(error).never_connected())?,
            Err(elapsed) => return Err(ConnectorError::timeout(elapsed.into()).never_connected()),
        };
        exchange(stream, request).await.map_err(ConnectorError::io)
    }
}

impl HttpConnector for Client {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let connect_timeout = settings.connect_timeout().unwrap_or(self.connect_timeout);
        SharedHttpConnector::new(Self { connect_timeout, ..self.clone() })
    }
}

/// A connection with or without TLS. As one type, the code of HTTP is in the binary once.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Sends a request and reads the whole response, without a task that would outlive the call.
async fn exchange<B>(stream: Box<dyn Stream>, request: Request<B>) -> Result<HttpResponse, BoxError>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(HttpResponse::try_from(Response::from_parts(head, body.into()))?)
    };
    match select(pin!(exchange), pin!(connection)).await {
        Either::Left((outcome, _)) => outcome,
        // The server has closed the connection. What it sent before is still to be read.
        Either::Right((_, exchange)) => exchange.await,
    }
}

/// The parts of a URL that a request needs.
struct Target {
    tls: bool,
    host: String,
    port: u16,
    header: HeaderValue,
    path: PathAndQuery,
}

impl Target {
    /// Returns `None` if the URL has no host, or if its scheme is not HTTP.
    fn of(url: &Uri) -> Option<Self> {
        let (tls, default_port) = match url.scheme_str()? {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return None,
        };
        let host = url.host()?;
        let port = url.port_u16().unwrap_or(default_port);
        // The signature covers this header, without the default port.
        let header = if port == default_port { host.to_owned() } else { format!("{host}:{port}") };
        Some(Self {
            tls,
            // A URL has an IPv6 address in brackets.
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            header: header.try_into().ok()?,
            path: url.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_url_is_split_for_the_connection_and_the_request() {
        for (url, expected) in [
            ("https://aws.example", Some((true, "aws.example", 443, "aws.example", "/"))),
            ("https://aws.example:443/a?b=c", Some((true, "aws.example", 443, "aws.example", "/a?b=c"))),
            ("http://localhost:80/", Some((false, "localhost", 80, "localhost", "/"))),
            ("http://127.0.0.1:5000/", Some((false, "127.0.0.1", 5000, "127.0.0.1:5000", "/"))),
            ("http://[::1]:5000/", Some((false, "::1", 5000, "[::1]:5000", "/"))),
            ("ftp://aws.example/", None),
            ("/path", None),
        ] {
            let target = url.parse().ok().and_then(|url| Target::of(&url));
            let parts = target.as_ref().map(|target| {
                let header = target.header.to_str().unwrap_or_default();
                (target.tls, target.host.as_str(), target.port, header, target.path.as_str())
            });
            assert_eq!(parts, expected, "{url}");
        }
    }
}
