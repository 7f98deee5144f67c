//! An imitation of AWS Secrets Manager that can hang and deny access.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use shared::aws::AwsCredentials;
use tiny_http::{Request, Response};

use super::http_server::HttpServer;

/// A server with the two secrets of a deployment.
pub struct FakeSecretsManager {
    server: HttpServer,
    state: Arc<Mutex<State>>,
    called: Arc<Condvar>,
}

/// Maximum time until an expected call arrives.
const PATIENCE: Duration = Duration::from_secs(10);

pub const DATABASE_SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:database-a1b2c3";
pub const JWT_SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:jwt-a1b2c3";

struct State {
    database: String,
    ring: String,
    behavior: Behavior,
    calls: usize,
    /// Calls that hang, and their responses, which contain the secrets as they were when the call arrived.
    hanging: Vec<(Request, Value)>,
}

#[derive(Clone, Copy)]
enum Behavior {
    Answer,
    Hang,
    Deny,
}

impl FakeSecretsManager {
    /// Starts a server that answers.
    pub fn start(database: String, ring: String) -> std::io::Result<Self> {
        let state = State { database, ring, behavior: Behavior::Answer, calls: 0, hanging: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let called = Arc::<Condvar>::default();
        let server = HttpServer::start(2, {
            let (state, called) = (Arc::clone(&state), Arc::clone(&called));
            move |request| {
                serve(&state, request);
                called.notify_all();
            }
        })?;
        Ok(Self { server, state, called })
    }

    /// The endpoint.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// The credentials and the endpoint.
    pub fn aws(&self) -> AwsCredentials {
        AwsCredentials {
            region: "eu-central-1".to_owned(),
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned().into(),
            session_token: None,
            endpoint_url: Some(self.url()),
        }
    }

    /// Replaces the key ring.
    pub fn put(&self, ring: &str) {
        ring.clone_into(&mut self.state().ring);
    }

    /// Answers further calls.
    pub fn answer(&self) {
        self.state().behavior = Behavior::Answer;
    }

    /// Keeps the connections of further calls open and does not answer.
    pub fn hang(&self) {
        self.state().behavior = Behavior::Hang;
    }

    /// Denies further calls, which are not repeated.
    pub fn deny(&self) {
        self.state().behavior = Behavior::Deny;
    }

    /// Answers the calls that hang, with the secrets as they were when the calls arrived.
    pub fn release(&self) {
        for (request, response) in std::mem::take(&mut self.state().hanging) {
            // The client may have given up.
            let _ = request.respond(Response::from_string(response.to_string()));
        }
    }

    /// The number of calls so far.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// Waits until `count` calls have arrived.
    pub fn wait_for_calls(&self, count: usize) {
        let fewer = |state: &mut State| state.calls < count;
        let waited =
            self.called.wait_timeout_while(self.state(), PATIENCE, fewer).unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.1.timed_out(), "{count} calls of Secrets Manager");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(state: &Mutex<State>, mut request: Request) {
    let input: Value = serde_json::from_reader(request.as_reader()).expect("an input in JSON");
    let mut state = lock(state);
    state.calls += 1;
    let asked = |arn: &str| input["SecretIdList"].as_array().is_some_and(|list| list.iter().any(|id| id == arn));
    let secrets = [(DATABASE_SECRET, &state.database), (JWT_SECRET, &state.ring)];
    let secrets = secrets.into_iter().filter(|(arn, _)| asked(arn));
    let values: Vec<Value> = secrets.map(|(arn, text)| json!({ "ARN": arn, "SecretString": text })).collect();
    let response = json!({ "SecretValues": values, "Errors": [] });
    let _ = match state.behavior {
        Behavior::Answer => request.respond(Response::from_string(response.to_string())),
        Behavior::Hang => {
            state.hanging.push((request, response));
            Ok(())
        }
        Behavior::Deny => {
            let error = json!({ "__type": "AccessDeniedException", "Message": "denied by the test" });
            request.respond(Response::from_string(error.to_string()).with_status_code(400))
        }
    };
}
