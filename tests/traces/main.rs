//! Traces of functions that are built with the feature `otlp`: `cargo test -p tests --features otlp --test traces`. A
//! target of its own, because it builds the functions a second time.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for processes and read their own environment; `.clippy.toml` names modules for functions"
)]
#![expect(unreachable_pub, reason = "a program has no users; `pub` items are for its other modules")]

mod collector;
mod runtime_api;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the integration tests use the rest")]
mod support;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use tests::binaries::{Binaries, build_with_otlp};
use tests::emulator::{self, Emulator};
use tests::port;

use collector::{Collector, Span};
use runtime_api::Invoked;
use support::{
    Database, GatewayRequest, Outcome, SECRET, binaries, database, emulate, guard, password, registration, tools,
};

const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";
const PARENT: &str = "53995c3f42cd8ad8";
const COLLECTOR_KEY: &str = "the-collectors-key";

type Failure = Box<dyn std::error::Error>;

/// The trace header that Lambda adds for X-Ray.
fn xray(sampled: bool) -> String {
    format!("Root={ROOT};Parent={PARENT};Sampled={}", u8::from(sampled))
}

fn traced(function: &str) -> PathBuf {
    static BUILT: LazyLock<Binaries> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("otlp");
        build_with_otlp(&guard(), &["data-get", "token"], &folder).unwrap_or_else(|error| panic!("{error}"))
    });
    BUILT.path(function)
}

/// A database with one user and no values, and the log of the functions that use it.
struct Run {
    database: Database,
    log: File,
}

impl Run {
    fn new() -> Result<Self, Failure> {
        // Built before the ordinary functions, which must be the last in `target/debug`.
        traced("token");
        let database = database();
        let register = emulate(&binaries().path("register"), &[("DATABASE_URL", database.url())])?;
        let registration = GatewayRequest::new("POST", "/api/register").with_body(registration("ada").body());
        let created = register.invoke(&registration.event().to_string())?;
        assert!(created.contains("201"), "{created}");
        // A removed file exists until its last handle is closed.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("traces-{}.log", uuid::Uuid::now_v7()));
        let log = File::options().create_new(true).read(true).append(true).open(&path)?;
        std::fs::remove_file(path)?;
        Ok(Self { database, log })
    }

    fn environment<'a>(&'a self, variables: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut environment = vec![
            ("DATABASE_URL", self.database.url()),
            ("JWT_SECRET", SECRET),
            ("BCRYPT_COST", "10"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
        ];
        environment.extend(variables);
        environment
    }

    /// Starts a function under the Lambda emulator, which passes no trace: requests carry their own.
    fn emulate(&self, function: &str, variables: &[(&str, &str)]) -> Result<Emulator, Failure> {
        let env = self.environment(variables);
        let options = emulator::Options { binary: &traced(function), env: &env, output: Some(&self.log) };
        Ok(emulator::start(tools(), options)?)
    }

    /// Starts a function under a Runtime API that passes the trace of an invocation.
    fn invoked(&self, function: &str, variables: &[(&str, &str)]) -> Result<Invoked, Failure> {
        Invoked::start(&traced(function), &self.environment(variables), &self.log)
    }

    /// Closes the database connections of the functions and waits until they are closed.
    async fn disconnect(&self) -> Outcome {
        let all = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
                   where datname = current_database() and application_name = 'keyhold'";
        self.database.connect().await.execute(all, &[]).await?;
        Ok(())
    }

    fn log(mut self) -> Result<String, Failure> {
        let mut text = String::new();
        self.log.rewind()?;
        self.log.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The event of a sign-in with additional headers.
fn sign_in(headers: &[(&str, &str)]) -> String {
    let body = json!({ "username": "ada@example.com", "password": password() }).to_string();
    event(GatewayRequest::new("POST", "/api/token").with_body(body), headers)
}

/// The event of a read with additional headers.
fn read(token: &str, headers: &[(&str, &str)]) -> String {
    let mut request = GatewayRequest::new("GET", "/api/data/the-key")
        .with_header("authorization", &format!("Bearer {token}"))
        .with_header("user-agent", "the-user-agent");
    request.route_key = "GET /api/data/{key+}".to_owned();
    request.parameter = Some(("key".to_owned(), "the-key".to_owned()));
    event(request, headers)
}

fn event(request: GatewayRequest, headers: &[(&str, &str)]) -> String {
    let add = |request: GatewayRequest, (name, value): &(&str, &str)| request.with_header(name, value);
    headers.iter().fold(request, add).event().to_string()
}

fn answer(text: &str) -> Result<(i64, Value), Failure> {
    let answer: Value = serde_json::from_str(text)?;
    let body = answer["body"].as_str().ok_or_else(|| format!("no response of the service: {answer}"))?;
    Ok((answer["statusCode"].as_i64().ok_or("no status")?, serde_json::from_str(body)?))
}

/// Compares the spans with the expected tree. Values that differ between runs are replaced.
fn check(spans: &[Span], expected: &Expect) {
    let mut text = String::new();
    describe(spans, PARENT, 0, &mut text);
    expected.assert_eq(&text);
}

fn describe(spans: &[Span], parent: &str, depth: usize, text: &mut String) {
    let mut children: Vec<&Span> = spans.iter().filter(|span| span.parent == parent).collect();
    children.sort_by_key(|span| span.start);
    for span in children {
        assert_eq!(span.trace, TRACE, "{span:?}");
        assert!(span.start < span.end, "{span:?}");
        let indent = "  ".repeat(depth);
        text.push_str(&format!("{indent}{} (kind {}, status {})\n", span.name, span.kind, span.status));
        for (name, value) in &span.attributes {
            let value = match name.as_str() {
                "user.id" | "session.id" | "faas.invocation_id" => {
                    assert!(value.parse::<uuid::Uuid>().is_ok(), "{name} is {value}");
                    "an id"
                }
                "db.query.text" => &value[..value.len().min(40)],
                _ => value,
            };
            text.push_str(&format!("{indent}  {name}: {value}\n"));
        }
        describe(spans, &span.id, depth + 1, text);
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "the whole trace of one request is compared")]
async fn a_request_is_a_span_of_the_callers_trace_with_its_slow_steps_as_children() -> Outcome {
    let run = Run::new()?;
    let collector = Collector::start()?;
    let endpoint = collector.endpoint();
    let headers = format!("authorization=Bearer%20{COLLECTOR_KEY}");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        ("OTEL_SERVICE_NAME", "the-service"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let signs_in = run.emulate("token", &variables)?;
    let (status, body) = answer(&signs_in.invoke(&sign_in(&[("x-amzn-trace-id", &xray(true))]))?)?;
    assert_eq!(status, 200, "{body}");
    let mut exports = collector.take_exports();
    assert_eq!(exports.len(), 1, "the spans of a request are sent in one message");
    assert_eq!(exports[0].request_line, "POST /v1/traces HTTP/1.1");
    assert_eq!(exports[0].authorization, Some(format!("Bearer {COLLECTOR_KEY}")));
    let spans = exports[0].spans();
    check(
        &spans,
        &expect![[r#"
        POST /api/token (kind 2, status 0)
          faas.coldstart: true
          faas.invocation_id: an id
          faas.trigger: http
          http.request.method: POST
          http.response.status_code: 200
          http.route: /api/token
          keyhold.request_id: request-1
          session.id: an id
          user.id: an id
          postgresql (kind 3, status 0)
            db.query.text: with account as ( select id, username, e
            db.system.name: postgresql
          password.verify (kind 1, status 0)
          postgresql (kind 3, status 0)
            db.query.text: with current as ( select throttled_until
            db.system.name: postgresql
          password.renew (kind 1, status 0)
          postgresql (kind 3, status 0)
            db.query.text: with verified as ( update users set pass
            db.system.name: postgresql
    "#]],
    );
    expect![[r#"
        {
            "cloud.platform": "aws_lambda",
            "cloud.provider": "aws",
            "deployment.environment.name": "test",
            "faas.name": "test_function",
            "faas.version": "$LATEST",
            "service.name": "the-service",
            "telemetry.sdk.language": "rust",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": "0.33.1",
        }
    "#]]
    .assert_debug_eq(&spans[0].resource);

    let token = body["data"]["access_token"].as_str().ok_or("no token")?;
    let reads = run.emulate("data-get", &variables)?;
    reads.invoke(&read(token, &[]))?;
    let alone = collector.take_exports().pop().ok_or("no trace")?;
    assert!(alone.spans().iter().all(|span| span.trace != TRACE && span.parent != PARENT));
    exports.push(alone);

    // The function finds its connection closed and opens another one.
    run.disconnect().await?;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let (status, _) = answer(&reads.invoke(&read(token, &[("traceparent", &traceparent)]))?)?;
    assert_eq!(status, 404);
    let missed = collector.take_exports().pop().ok_or("no trace")?;
    check(
        &missed.spans(),
        &expect![[r#"
        GET /api/data/{key} (kind 2, status 0)
          error.type: KEY_NOT_FOUND
          faas.coldstart: false
          faas.invocation_id: an id
          faas.trigger: http
          http.request.method: GET
          http.response.status_code: 404
          http.route: /api/data/{key}
          keyhold.request_id: request-1
          session.id: an id
          user.id: an id
          connect (kind 3, status 0)
            db.operation.name: connect
            db.system.name: postgresql
          postgresql (kind 3, status 0)
            db.query.text: select d.version, case when $5::bigint[]
            db.system.name: postgresql
    "#]],
    );
    exports.push(missed);

    // The database reports an error, because the table is missing.
    run.database.connect().await.execute("alter table data_store rename to elsewhere", &[]).await?;
    let (status, _) = answer(&reads.invoke(&read(token, &[("x-amzn-trace-id", &xray(true))]))?)?;
    assert_eq!(status, 500);
    let failed = collector.take_exports().pop().ok_or("no trace")?;
    check(
        &failed.spans(),
        &expect![[r#"
        GET /api/data/{key} (kind 2, status 2)
          error.type: INTERNAL_SERVER_ERROR
          faas.coldstart: false
          faas.invocation_id: an id
          faas.trigger: http
          http.request.method: GET
          http.response.status_code: 500
          http.route: /api/data/{key}
          keyhold.request_id: request-1
          session.id: an id
          user.id: an id
          postgresql (kind 3, status 2)
            db.query.text: select d.version, case when $5::bigint[]
            db.response.status_code: 42P01
            db.system.name: postgresql
            error.type: 42P01
    "#]],
    );
    exports.push(failed);

    let address = run.database.url().to_owned();
    drop((reads, signs_in));
    let log = run.log()?;
    assert!(log.contains(&format!(r#""trace_id":"{ROOT}""#)), "{log}");
    assert!(!log.contains(COLLECTOR_KEY), "the log contains the collector's key");
    let secrets =
        [password(), token, SECRET, "ada@example.com", "$2b$", "the-key", "the-user-agent", "203.0.113.1", &address];
    for secret in secrets {
        for export in &exports {
            assert!(!String::from_utf8_lossy(&export.bytes).contains(secret), "a span contains {secret}");
        }
    }
    Ok(())
}

#[test]
fn the_trace_that_lambda_passes_precedes_the_one_in_the_request() -> Outcome {
    let run = Run::new()?;
    let collector = Collector::start()?;
    let mut function = run.invoked("token", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())])?;
    let other = "Root=1-00000000-000000000000000000000001;Parent=0000000000000001;Sampled=1";
    let traceparent = format!("00-{}-{}-01", "1".repeat(32), "1".repeat(16));
    let event = sign_in(&[("x-amzn-trace-id", other), ("traceparent", &traceparent)]);
    assert_eq!(answer(&function.invoke(&xray(true), &event)?.answer)?.0, 200);
    let spans = collector.take_exports().pop().ok_or("no trace")?.spans();
    let request = spans.iter().find(|span| span.name == "POST /api/token").ok_or("no span of the request")?;
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, PARENT));
    assert_eq!(request.resource["service.name"], "the-function");

    assert_eq!(answer(&function.invoke(&xray(false), &event)?.answer)?.0, 200);
    assert_eq!(collector.take_exports().len(), 0, "X-Ray does not sample this request");

    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()), ("OTEL_TRACES_SAMPLER", "always_on".to_owned())];
    let mut function = run.invoked("token", &variables.each_ref().map(|(name, value)| (*name, value.as_str())))?;
    assert_eq!(answer(&function.invoke(&xray(false), &event)?.answer)?.0, 200);
    assert_eq!(collector.take_exports().len(), 1, "always_on leaves the sampling to the collector");

    drop(function);
    let log = run.log()?;
    assert_eq!(log.matches(&format!(r#""trace_id":"{ROOT}""#)).count(), 3, "{log}");
    Ok(())
}

#[test]
fn a_collector_that_is_unreachable_or_hangs_does_not_delay_the_response() -> Outcome {
    let run = Run::new()?;
    let warm_up = sign_in(&[]);

    let hanging = Collector::hanging()?;
    let mut function = run.invoked("token", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &hanging.endpoint())])?;
    for round in 1..=2 {
        let outcome = function.invoke(&xray(true), &warm_up)?;
        assert_eq!(answer(&outcome.answer)?.0, 200);
        let after = outcome.ready.saturating_sub(outcome.answered);
        assert!((200..1000).contains(&after.as_millis()), "the next event was requested {after:?} after the response");
        assert_eq!(hanging.unanswered(), round, "each trace is sent to the collector");
    }

    let gone = format!("http://127.0.0.1:{}", port::free()?);
    let mut function = run.invoked("token", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &gone)])?;
    let outcome = function.invoke(&xray(true), &warm_up)?;
    assert_eq!(answer(&outcome.answer)?.0, 200);
    let after = outcome.ready.saturating_sub(outcome.answered);
    assert!(after.as_millis() < 200, "the next event was requested {after:?} after the response");

    drop(function);
    let log = run.log()?;
    assert_eq!(log.matches("spans were dropped: ").count(), 3, "{log}");
    Ok(())
}

#[test]
fn a_function_without_a_collector_address_sends_no_traces_and_one_with_an_invalid_address_does_not_start() -> Outcome {
    let run = Run::new()?;
    let mut function = run.invoked("token", &[("OTEL_SERVICE_NAME", "the-service")])?;
    assert_eq!(answer(&function.invoke(&xray(true), &sign_in(&[]))?.answer)?.0, 200);
    drop(function);
    for address in ["no address", "localhost:4318", "ftp://localhost"] {
        let variables = run.environment(&[("OTEL_EXPORTER_OTLP_ENDPOINT", address)]);
        let output = Command::new(traced("token")).env_clear().envs(variables).output()?;
        let text = String::from_utf8(output.stdout)?;
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("OTEL_EXPORTER_OTLP_ENDPOINT must be an address such as http://localhost:4318"),
            "{text}"
        );
    }
    let log = run.log()?;
    assert!(!log.contains("spans were dropped: "), "{log}");
    Ok(())
}
