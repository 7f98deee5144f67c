//! Tests of the log of the real functions at the level TRACE: the events of a run with their ids, the metrics of each
//! request, and the absence of secrets.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::{Value, json};
use tests::emulator::{self, Emulator};

use crate::support::{
    ADMIN_TOKEN, Database, GatewayRequest, Mailbox, Outcome, SECRET, binaries, database, endpoints, password,
    registration, tools,
};

/// A run of requests. Each function is started at its first request, and all functions write to one log file.
struct Run {
    database: Database,
    log: File,
    level: &'static str,
    /// Further variables of the functions.
    settings: Vec<(&'static str, String)>,
    functions: BTreeMap<&'static str, Emulator>,
    requests: usize,
}

const TRACE: &str = "1-6ae85818-5f0c3b000000000000000001";

struct Response {
    status: i64,
    body: Value,
}

impl Response {
    fn text(&self, member: &str) -> String {
        self.body["data"][member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.body)).to_owned()
    }
}

impl Run {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Self::at_level("TRACE")
    }

    fn at_level(level: &'static str) -> Result<Self, Box<dyn std::error::Error>> {
        // A removed file exists until its last handle is closed.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{level}-{}.log", std::process::id()));
        let log = File::options().create_new(true).read(true).append(true).open(&path)?;
        std::fs::remove_file(path)?;
        let (database, settings) = (database(), Vec::new());
        Ok(Self { database, log, level, settings, functions: BTreeMap::new(), requests: 0 })
    }

    fn send(
        &mut self,
        function: &'static str,
        token: &str,
        body: Value,
    ) -> Result<Response, Box<dyn std::error::Error>> {
        let emulator = match self.functions.entry(function) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let mut env = vec![
                    ("DATABASE_URL", self.database.url()),
                    ("JWT_SECRET", SECRET),
                    ("BCRYPT_COST", "10"),
                    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
                    ("LOG_LEVEL", self.level),
                ];
                env.extend(self.settings.iter().map(|(name, value)| (*name, value.as_str())));
                let options =
                    emulator::Options { binary: &binaries().path(function), env: &env, output: Some(&self.log) };
                entry.insert(emulator::start(tools(), options)?)
            }
        };
        self.requests += 1;
        let (_, route) = endpoints().into_iter().find(|(name, _)| *name == function).ok_or("no such endpoint")?;
        let mut request = GatewayRequest::new(route.method.as_str(), route.path)
            .with_header("authorization", &format!("Bearer {token}"))
            .with_header("user-agent", "the-user-agent")
            .with_header("x-amzn-trace-id", &format!("Root={TRACE}"))
            .with_body(body.to_string());
        request.parameter = route.path.split_once('{').map(|(_, name)| match name.trim_end_matches(['}', '+']) {
            "id" => ("id".to_owned(), body["id"].as_str().unwrap_or_default().to_owned()),
            name => (name.to_owned(), "the-key".to_owned()),
        });
        if let (Some((start, _)), Some((_, value))) = (route.path.split_once('{'), &request.parameter) {
            request.path = format!("{start}{value}");
        }
        request.request_id = format!("request-{}", self.requests);
        let response: Value = serde_json::from_str(&emulator.invoke(&request.event().to_string())?)?;
        let body = response["body"].as_str().ok_or_else(|| format!("not a response of the service: {response}"))?;
        Ok(Response { status: response["statusCode"].as_i64().ok_or("no status")?, body: serde_json::from_str(body)? })
    }

    /// Returns the log and stops the functions. The line of a request follows its response.
    fn log(mut self) -> Result<String, Box<dyn std::error::Error>> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut text = String::new();
        while text.matches(r#""message":"request""#).count() < self.requests && Instant::now() < deadline {
            text.clear();
            self.log.rewind()?;
            self.log.read_to_string(&mut text)?;
            std::thread::sleep(Duration::from_millis(10));
        }
        self.functions.clear();
        Ok(text)
    }
}

/// Returns the members of an event that are the same in each run.
fn summary(line: &Value) -> String {
    let mut words = vec![line["level"].as_str().unwrap_or_default().to_owned()];
    for name in ["event", "purpose", "action", "operator", "reason", "failures"] {
        match &line[name] {
            Value::Null => {}
            Value::String(text) => words.push(text.clone()),
            other => words.push(format!("{name}={other}")),
        }
    }
    for name in ["user_id", "session_id", "ended_session_id"] {
        if line[name].is_string() {
            words.push(name.to_owned());
        }
    }
    words.push(line["request_id"].as_str().unwrap_or("no request").to_owned());
    words.join(" ")
}

/// Checks the members of the line of a request. The line must contain each metric and dimension that it declares for
/// CloudWatch.
fn check_request(line: &Value) {
    for name in ["timestamp", "level", "route", "method", "request_id", "trace_id"] {
        assert!(line[name].is_string(), "no {name} in {line}");
    }
    assert_eq!(line["trace_id"], TRACE);
    assert!(line["duration_ms"].as_f64() >= line["db_ms"].as_f64(), "{line}");
    for name in ["init_ms", "db_connect_ms"] {
        assert_eq!(line[name].is_number(), line["cold_starts"] == 1, "{name} in {line}");
    }
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap_or_else(|| panic!("no metrics in {line}"));
    let dimensions: Vec<String> = directives.iter().map(|directive| directive["Dimensions"].to_string()).collect();
    let by_code = line["code"].is_string().then_some(r#"[["code"]]"#);
    assert_eq!(dimensions, ["[[]]", r#"[["route"]]"#].into_iter().chain(by_code).collect::<Vec<_>>(), "{line}");
    for directive in directives {
        for metric in directive["Metrics"].as_array().expect("metrics") {
            assert!(line[metric["Name"].as_str().expect("a name")].is_number(), "{metric} in {line}");
        }
        for dimension in
            directive["Dimensions"].as_array().expect("dimensions").iter().filter_map(Value::as_array).flatten()
        {
            assert!(line[dimension.as_str().expect("a name")].is_string(), "{dimension} in {line}");
        }
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one sequence of requests and its complete log")]
async fn the_functions_log_the_expected_events_and_no_secrets() -> Outcome {
    const NEW_PASSWORD: &str = "a second password";
    let mut run = Run::new()?;
    let mut secrets = vec![
        password().to_owned(),
        NEW_PASSWORD.to_owned(),
        "a wrong guess".to_owned(),
        "ada@example.com".to_owned(),
        "countess@example.com".to_owned(),
        "unknown@example.com".to_owned(),
        "the-value".to_owned(),
        SECRET.to_owned(),
        "$2b$".to_owned(),
    ];
    let sign_in = |password: &str| json!({ "username": "ada@example.com", "password": password });

    assert_eq!(run.send("register", "", serde_json::from_str(&registration("ada").body())?)?.status, 201);
    let first = run.send("token", "", sign_in(password()))?;
    let (access, refresh) = (first.text("access_token"), first.text("refresh_token"));
    let second = run.send("token-refresh", "", json!({ "refresh_token": refresh }))?;
    let again = run.send("token-refresh", "", json!({ "refresh_token": refresh }))?;
    assert_eq!(second.text("refresh_token"), again.text("refresh_token"));
    secrets.extend([&first, &second, &again].map(|response| response.text("access_token")));
    secrets.extend([&first, &second].map(|response| response.text("refresh_token")));

    let entry = json!({ "key": "the-key", "value": "the-value" });
    assert_eq!(run.send("data-create", &access, entry.clone())?.status, 201);
    assert_eq!(run.send("data-create", &access, entry)?.status, 409);
    assert_eq!(run.send("data-get", &access, json!({}))?.status, 200);
    assert_eq!(run.send("data-get", "not a token", json!({}))?.status, 401);
    assert_eq!(run.send("account-update", &access, json!({ "age": 37 }))?.status, 200);

    let end_retry_window =
        "update sessions set refreshed_at = refreshed_at - interval '121 seconds', older_rotated_at = null";
    run.database.connect().await.execute(end_retry_window, &[]).await?;
    assert_eq!(run.send("token-refresh", "", json!({ "refresh_token": refresh }))?.status, 401);
    assert_eq!(run.send("token-refresh", "", json!({ "refresh_token": refresh }))?.status, 401);

    let sign_in = |password: &str| json!({ "username": "ada@example.com", "password": password });
    let unknown = json!({ "username": "unknown@example.com", "password": "a wrong guess" });
    assert_eq!(run.send("token", "", unknown)?.status, 401);
    for _ in 0..5 {
        assert_eq!(run.send("token", "", sign_in("a wrong guess"))?.status, 401);
    }
    let extend_throttling =
        "update sign_in_failures set throttled_until = throttled_until + interval '1 hour' where failures = 5";
    run.database.connect().await.execute(extend_throttling, &[]).await?;
    assert_eq!(run.send("token", "", sign_in(password()))?.status, 429);
    run.database.connect().await.execute("delete from sign_in_failures", &[]).await?;

    let token = |run: &mut Run, password: &str| {
        run.send("token", "", sign_in(password)).map(|response| response.text("access_token"))
    };
    let (changing, ended) = (token(&mut run, password())?, token(&mut run, password())?);
    let change = json!({ "current_password": password(), "new_password": NEW_PASSWORD });
    let changed = run.send("password-update", &changing, change)?;
    assert_eq!(changed.status, 200);
    let change = json!({ "email": "countess@example.com", "password": NEW_PASSWORD });
    secrets.extend([changed.text("access_token"), changed.text("refresh_token")]);
    let changed = run.send("account-email-request", &changed.text("access_token"), change)?;
    assert_eq!(changed.status, 200);
    let sign_in = |password: &str| json!({ "username": "countess@example.com", "password": password });
    let token = |run: &mut Run, password: &str| {
        run.send("token", "", sign_in(password)).map(|response| response.text("access_token"))
    };
    let list = run.send("session-list", &changed.text("access_token"), json!({}))?;
    let id = list.body["data"]["sessions"][0]["id"].clone();
    assert_eq!(run.send("session-delete", &changed.text("access_token"), json!({ "id": id }))?.status, 200);
    let ending_all = token(&mut run, NEW_PASSWORD)?;
    assert_eq!(run.send("session-delete-all", &ending_all, json!({}))?.status, 200);
    let revoked = run.send("token", "", sign_in(NEW_PASSWORD))?;
    assert_eq!(run.send("token-revoke", "", json!({ "refresh_token": revoked.text("refresh_token") }))?.status, 200);
    let deleting = token(&mut run, NEW_PASSWORD)?;
    assert_eq!(run.send("account-delete", &deleting, json!({ "password": "a wrong guess" }))?.status, 403);
    assert_eq!(run.send("account-delete", &deleting, json!({ "password": NEW_PASSWORD }))?.status, 200);
    secrets.extend([
        changing,
        ended,
        changed.text("access_token"),
        changed.text("refresh_token"),
        ending_all,
        revoked.text("access_token"),
        revoked.text("refresh_token"),
        deleting,
    ]);

    let (requests, functions) = (run.requests, run.functions.len());
    let log = run.log()?;
    for secret in secrets {
        assert!(!log.contains(&secret), "the log contains {secret}");
    }
    let mut lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    lines.sort_by_key(|line| line["timestamp"].to_string());
    let (answered, rest): (Vec<Value>, Vec<Value>) = lines.into_iter().partition(|line| line["message"] == "request");
    assert_eq!(answered.len(), requests, "each request must have one line");
    answered.iter().for_each(check_request);
    let wrong_password = answered.iter().find(|line| line["request_id"] == "request-12").ok_or("no line")?;
    assert_eq!(
        (&wrong_password["status"], &wrong_password["code"], &wrong_password["failed_sign_ins"]),
        (&json!(401), &json!("INVALID_CREDENTIALS"), &json!(1))
    );
    let read_value = answered.iter().find(|line| line["request_id"] == "request-7").ok_or("no line")?;
    assert!(
        read_value["user_id"].is_string() && read_value["session_id"].is_string() && read_value["code"].is_null(),
        "{read_value}"
    );
    let cold = answered.iter().filter(|line| line["cold_starts"] == 1).count();
    assert_eq!(cold, functions, "each function must have one cold start");
    let events: Vec<String> = rest.iter().filter(|line| line["event"].is_string()).map(summary).collect();
    expect![[r#"
        INFO account.created user_id request-1
        INFO session.started user_id session_id request-2
        INFO refresh.rotated user_id session_id request-3
        INFO refresh.repeated user_id session_id request-4
        INFO account.updated user_id session_id request-9
        WARN refresh.reused user_id session_id request-10
        INFO refresh.unknown request-11
        WARN password.wrong sign_in unknown_account failures=1 request-12
        WARN password.wrong sign_in wrong_password failures=1 user_id request-13
        WARN password.wrong sign_in wrong_password failures=2 user_id request-14
        WARN password.wrong sign_in wrong_password failures=3 user_id request-15
        WARN password.wrong sign_in wrong_password failures=4 user_id request-16
        WARN password.wrong sign_in wrong_password failures=5 user_id request-17
        WARN password.throttle_started user_id request-17
        WARN password.throttled sign_in user_id request-18
        INFO session.started user_id session_id request-19
        INFO session.started user_id session_id request-20
        INFO password.changed user_id session_id request-21
        INFO session.started user_id session_id request-21
        INFO email.changed user_id session_id request-22
        INFO session.started user_id session_id request-22
        INFO session.ended user_id session_id ended_session_id request-24
        INFO session.started user_id session_id request-25
        INFO session.all_ended user_id session_id request-26
        INFO session.started user_id session_id request-27
        INFO session.revoked user_id session_id request-28
        INFO session.started user_id session_id request-29
        WARN password.wrong reauthentication wrong_password failures=1 user_id request-30
        INFO account.deleted user_id session_id request-31"#]]
    .assert_eq(&events.join("\n"));
    Ok(())
}

#[tokio::test]
async fn codes_and_actions_of_operators_are_logged_without_secrets() -> Outcome {
    let (mut run, mailbox) = (Run::new()?, Mailbox::default());
    run.settings =
        vec![("MAIL_OUTBOX", mailbox.folder().to_string_lossy().into_owned()), ("ADMIN_TOKEN", ADMIN_TOKEN.to_owned())];
    let registered = run.send("register", "", serde_json::from_str(&registration("ada").body())?)?;
    let id = registered.text("user_id");
    let mut secrets = vec![ADMIN_TOKEN.to_owned(), "ada@example.com".to_owned(), "another password".to_owned()];
    for name in ["ada@example.com", "unknown@example.com"] {
        assert_eq!(run.send("password-reset-request", "", json!({ "email": name }))?.status, 202);
    }
    let (_, message) = mailbox.newest().ok_or("no entry")?;
    assert!(message.is_none(), "the account does not exist");
    let requested = run.send("password-reset-request", "", json!({ "username": "ada" }))?;
    let (_, message) = mailbox.newest().ok_or("no entry")?;
    let code = message.as_ref().and_then(|message| message.content.code()).ok_or("no code")?.as_str().to_owned();
    let wrong = if code == "00000000" { "00000001" } else { "00000000" };
    for (code, status) in [(wrong, 401), (&code, 200)] {
        let body = json!({ "handle": requested.text("handle"), "code": code, "new_password": "another password" });
        assert_eq!(run.send("password-reset-confirm", "", body)?.status, status);
    }
    secrets.extend([code, requested.text("handle")]);
    assert_eq!(run.send("admin-user-list", ADMIN_TOKEN, json!({}))?.status, 200);
    assert_eq!(run.send("admin-user-list", SECRET, json!({}))?.status, 401);
    assert_eq!(run.send("admin-user-update", ADMIN_TOKEN, json!({ "id": id, "disabled": true }))?.status, 200);
    let sign_in = json!({ "username": "ada", "password": "another password" });
    assert_eq!(run.send("token", "", sign_in)?.status, 403);

    let log = run.log()?;
    for secret in secrets {
        assert!(!log.contains(&secret), "the log contains {secret}");
    }
    let mut lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    lines.sort_by_key(|line| line["timestamp"].to_string());
    let events: Vec<String> = lines.iter().filter(|line| line["event"].is_string()).map(summary).collect();
    expect![[r#"
        INFO account.created user_id request-1
        INFO code.mailed password_reset user_id request-2
        INFO code.withheld password_reset request-3
        INFO code.mailed password_reset user_id request-4
        WARN code.rejected password_reset request-5
        INFO password.reset user_id request-6
        INFO operator.action users.list admin token request-7
        WARN operator.rejected unknown request-8
        INFO operator.action user.disable admin token user_id request-9"#]]
    .assert_eq(&events.join("\n"));
    Ok(())
}

/// Otherwise an operator who wants fewer lines would lose the metrics and the alarms.
#[test]
fn requests_are_logged_with_their_metrics_at_every_level() -> Outcome {
    for level in ["WARN", "ERROR"] {
        let mut run = Run::at_level(level)?;
        assert_eq!(run.send("token", "", json!({ "username": "ada", "password": "a wrong guess" }))?.status, 401);
        let log = run.log()?;
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let request = lines.iter().find(|line| line["message"] == "request").ok_or(format!("no line: {log}"))?;
        assert_eq!(request["failed_sign_ins"], 1);
        assert!(request["_aws"]["CloudWatchMetrics"].is_array(), "{request}");
        let warned = lines.iter().any(|line| line["event"] == "password.wrong");
        assert_eq!(warned, level == "WARN", "{log}");
    }
    Ok(())
}

/// An integration of another kind would otherwise fail without a trace.
#[test]
fn an_event_that_is_not_a_request_is_logged_and_counted() -> Outcome {
    let mut run = Run::new()?;
    assert_eq!(run.send("health-get", "", json!({}))?.status, 200);
    let emulator = run.functions.get("health-get").ok_or("a running function")?;
    let response: Value =
        serde_json::from_str(&emulator.invoke(r#"{"version":"1.0","httpMethod":"GET","path":"/api/health"}"#)?)?;
    assert_eq!(response["statusCode"], 400);
    run.requests += 1;
    let log = run.log()?;
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let rejected = lines.iter().find(|line| line["status"] == 400).ok_or(format!("no line: {log}"))?;
    assert_eq!((&rejected["route"], &rejected["code"]), (&json!("GET /api/health"), &json!("INVALID_REQUEST")));
    assert_eq!(rejected["errors"], 1);
    assert!(lines.iter().any(|line| line["level"] == "WARN" && line["cause"].is_string()), "{log}");
    Ok(())
}
