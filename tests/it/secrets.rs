//! Secrets out of Secrets Manager by way of the SDK, on a local stand-in for it; and secrets that change meanwhile.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use shared::auth::key_rotation::NextRingError;
use shared::secrets::rotation::{Request, RotationError, Step, rotate_as};
use shared::secrets::{Aws, Secrets};
use tests::emulator::Emulator;

use crate::jwks::private_key;
use crate::support::{
    Client, Database, Forged, HandClock, Outcome, SECRET, SECRET_ID, SecretsManager, Service, account, binaries,
    database, emulate, event, password, settings, tools,
};

/// A deployment whose functions know nothing but where their secrets are.
struct Deployment {
    database: Arc<Database>,
    secrets: SecretsManager,
    database_secret: String,
    jwt_secret: String,
}

impl Deployment {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let database = Arc::new(database());
        let secrets = SecretsManager::start(tools())?;
        let database_secret = secrets.create("database", &credentials(&database, "postgres", "postgres"))?;
        let jwt_secret = secrets.create("jwt", &ring(&[(SECRET_ID, SECRET)]))?;
        Ok(Self { database, secrets, database_secret, jwt_secret })
    }

    fn environment(&self) -> [(&str, &str); 7] {
        [
            ("AWS_ENDPOINT_URL", self.secrets.url()),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("DATABASE_SECRET_ARN", &self.database_secret),
            ("JWT_SECRET_ARN", &self.jwt_secret),
            ("BCRYPT_COST", "10"),
        ]
    }

    fn start(&self, function: &str) -> Result<Emulator, tests::Error> {
        emulate(&binaries().path(function), &self.environment())
    }

    /// Registers ada and signs her in: her access token.
    fn sign_up(&self) -> Result<String, Box<dyn std::error::Error>> {
        let registered = send(&self.start("register")?, "POST /api/register", None, &account("ada").body())?;
        assert_eq!(registered.0, 201, "{}", registered.1);
        let sign_in = json!({ "username": "ada", "password": password() }).to_string();
        let (status, body) = send(&self.start("token")?, "POST /api/token", None, &sign_in)?;
        assert_eq!(status, 200, "{body}");
        Ok(body["data"]["access_token"].as_str().ok_or("no token")?.to_owned())
    }
}

/// The form that RDS writes.
fn credentials(database: &Database, username: &str, password: &str) -> String {
    let config = database.config();
    let (port, name) = (database.port(), config.get_dbname());
    json!({ "engine": "postgres", "host": "127.0.0.1", "port": port, "dbname": name, "username": username, "password": password })
        .to_string()
}

fn ring(keys: &[(&str, &str)]) -> String {
    let keys: Vec<Value> = keys.iter().map(|(kid, secret)| json!({ "kid": kid, "secret": secret })).collect();
    json!({ "keys": keys }).to_string()
}

fn send(
    function: &Emulator,
    route: &str,
    token: Option<&str>,
    body: &str,
) -> Result<(i64, Value), Box<dyn std::error::Error>> {
    let mut headers = json!({});
    if let Some(token) = token {
        headers["authorization"] = json!(format!("Bearer {token}"));
    }
    let answer: Value = serde_json::from_str(&function.invoke(&event(route, headers, body).to_string())?)?;
    let body = answer["body"].as_str().ok_or_else(|| format!("no answer of ours: {answer}"))?;
    Ok((answer["statusCode"].as_i64().ok_or("no status")?, serde_json::from_str(body)?))
}

const CREATE: &str = "POST /api/data";

fn entry(key: &str) -> String {
    json!({ "key": key, "value": 1 }).to_string()
}

#[test]
fn a_signing_key_that_is_added_is_found_by_a_running_function() -> Outcome {
    const NEW_SECRET: &str = "00b4d1c7e9f2a3856471829304a5b6c7";
    let deployment = Deployment::new()?;
    let token = deployment.sign_up()?;
    let create = deployment.start("data-create")?;
    assert_eq!(send(&create, CREATE, Some(&token), &entry("before"))?.0, 201);
    let renewed = Forged::from(&token).with_header("kid", "new").with_secret(NEW_SECRET.as_bytes()).sign();
    deployment.secrets.put(&deployment.jwt_secret, &ring(&[("new", NEW_SECRET), (SECRET_ID, SECRET)]))?;
    assert_eq!(send(&create, CREATE, Some(&renewed), &entry("after"))?.0, 201);
    assert_eq!(send(&create, CREATE, Some(&token), &entry("still"))?.0, 201, "the old key has not retired");
    Ok(())
}

#[tokio::test]
async fn a_database_password_that_changes_is_found_by_a_running_function() -> Outcome {
    let deployment = Deployment::new()?;
    let superuser = deployment.database.connect().await;
    let role = format!("rotated_{}", std::process::id());
    superuser.batch_execute(&format!("create role {role} superuser login password 'one'")).await?;
    deployment.secrets.put(&deployment.database_secret, &credentials(&deployment.database, &role, "one"))?;
    let token = deployment.sign_up()?;
    let create = deployment.start("data-create")?;
    assert_eq!(send(&create, CREATE, Some(&token), &entry("before"))?.0, 201);
    superuser.batch_execute(&format!("alter role {role} password 'two'")).await?;
    deployment.secrets.put(&deployment.database_secret, &credentials(&deployment.database, &role, "two"))?;
    let ended = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1";
    superuser.execute(ended, &[&role]).await?;
    let (status, body) = send(&create, CREATE, Some(&token), &entry("after"))?;
    drop(create);
    superuser.batch_execute(&format!("drop role {role}")).await?;
    assert_eq!(status, 201, "{body}");
    Ok(())
}

/// Several environments of the functions, each of which fetches the secrets by itself, and one clock for all of them.
struct Fleet {
    deployment: Deployment,
    clock: Arc<HandClock>,
}

impl Fleet {
    fn aws(&self) -> Aws {
        Aws {
            region: "eu-central-1".to_owned(),
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned().into(),
            session_token: None,
            endpoint_url: Some(self.deployment.secrets.url().to_owned()),
        }
    }

    async fn environment(&self) -> Result<Arc<Service>, Box<dyn std::error::Error>> {
        let (database, keys) = (self.deployment.database_secret.clone(), self.deployment.jwt_secret.clone());
        let secrets = Arc::new(Secrets::from_secrets_manager(self.aws(), database, keys, self.clock.clone()).await?);
        Ok(Service::with_secrets(
            Arc::clone(&self.deployment.database),
            settings(),
            |_| Arc::clone(&secrets),
            Arc::clone(&self.clock),
        ))
    }

    fn put(&self, keys: &[Value]) -> Outcome {
        self.deployment.secrets.put(&self.deployment.jwt_secret, &json!({ "keys": keys }).to_string())
    }
}

/// The id of the key that a client's token is signed with.
fn signed_with(client: &Client) -> Value {
    Forged::from(&client.token()).header()["kid"].clone()
}

/// From a secret to a key pair, and nobody is refused at any moment.
#[tokio::test]
async fn a_rotation_is_to_publish_to_sign_and_to_retire() -> Outcome {
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    let old = json!({ "kid": SECRET_ID, "secret": SECRET });
    let new = json!({ "kid": "new", "private_key": private_key() });
    let fleet = Fleet { deployment: Deployment::new()?, clock: Arc::default() };
    let (signing, verifying) = (fleet.environment().await?, fleet.environment().await?);
    let published = async || {
        let keys = verifying.anybody().get("/.well-known/jwks.json").await.json();
        keys["keys"].as_array().map(Vec::len)
    };
    let accepted = async |client: &Client| {
        let client = verifying.anybody().with_token(&client.token());
        client.get("/api/account").await.outcome()
    };
    let by_old = signing.anybody().sign_up("ada").await;
    assert_eq!((signed_with(&by_old), published().await), (json!(SECRET_ID), Some(0)));

    fleet.put(&[old.clone(), new.clone()])?;
    fleet.clock.advance(5 * minute);
    assert_eq!(published().await, Some(1), "published, before it signs anything");
    assert_eq!(signed_with(&signing.anybody().sign_in("ada").await), SECRET_ID);

    fleet.put(&[new.clone(), old.clone()])?;
    let meanwhile = signing.anybody().sign_in("ada").await;
    assert_eq!(signed_with(&meanwhile), SECRET_ID, "this environment does not know yet");
    fleet.clock.advance(5 * minute);
    let by_new = signing.anybody().sign_in("ada").await;
    assert_eq!(signed_with(&by_new), "new");
    for client in [&by_old, &meanwhile, &by_new] {
        assert_eq!(accepted(client).await, "200");
    }

    fleet.clock.advance(hour);
    let by_new = signing.anybody().sign_in("ada").await;
    fleet.put(&[new])?;
    fleet.clock.advance(5 * minute);
    assert_eq!(accepted(&by_new).await, "200");
    let unexpired = Forged::from(&meanwhile.token()).with_claim("exp", 2_000_000_000).sign();
    assert_eq!(accepted(&meanwhile.with_token(&unexpired)).await, "401 INVALID_TOKEN", "a retired key opens nothing");
    Ok(())
}

impl Fleet {
    /// Rotates the keys as Secrets Manager has it done, and asks for each step once more.
    async fn rotate(&self, now: SystemTime) -> Result<(), RotationError> {
        let client_request_token = uuid::Uuid::now_v7().to_string();
        for step in [Step::CreateSecret, Step::SetSecret, Step::TestSecret, Step::FinishSecret] {
            let secret_id = self.deployment.jwt_secret.clone();
            let request = Request { step, secret_id, client_request_token: client_request_token.clone() };
            for _ in 0..2 {
                rotate_as(self.aws(), &self.deployment.jwt_secret, &request, now).await?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn keys_are_rotated_on_a_schedule_and_nobody_is_refused() -> Outcome {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let fleet = Fleet { deployment: Deployment::new()?, clock: Arc::default() };
    fleet.deployment.secrets.put(&fleet.deployment.jwt_secret, SECRET)?;
    let old_environment = fleet.environment().await?;
    old_environment.anybody().sign_up("ada").await;
    let mut signed = BTreeSet::new();
    for day in 0..5 {
        let before = old_environment.anybody().sign_in("ada").await;
        // Secrets Manager's stand-in dates the versions by the machine's clock.
        fleet.rotate(SystemTime::now() + DAY * day).await?;
        fleet.deployment.secrets.settle(&fleet.deployment.jwt_secret)?;
        let new_environment = fleet.environment().await?;
        let (by_old, by_new) =
            (old_environment.anybody().sign_in("ada").await, new_environment.anybody().sign_in("ada").await);
        for environment in [&old_environment, &new_environment] {
            for client in [&before, &by_old, &by_new] {
                let client = environment.anybody().with_token(&client.token());
                assert_eq!(client.get("/api/account").await.outcome(), "200", "day {day}");
            }
        }
        signed.insert(signed_with(&by_new).to_string());
        fleet.clock.advance(DAY);
    }
    assert_eq!(signed.len(), 5, "each day but the first one has a new key: {signed:?}");
    Ok(())
}

#[tokio::test]
async fn keys_are_not_rotated_before_everybody_knows_them() -> Outcome {
    let fleet = Fleet { deployment: Deployment::new()?, clock: Arc::default() };
    let now = SystemTime::now();
    fleet.rotate(now).await?;
    let refused = fleet.rotate(now + Duration::from_secs(3600)).await;
    assert!(matches!(refused, Err(RotationError::Next(NextRingError::TooSoon))), "{refused:?}");
    fleet.rotate(now + Duration::from_secs(2 * 3600)).await?;
    let other = Request {
        step: Step::CreateSecret,
        secret_id: fleet.deployment.database_secret.clone(),
        client_request_token: "0".repeat(36),
    };
    let refused = rotate_as(fleet.aws(), &fleet.deployment.jwt_secret, &other, now).await;
    assert!(matches!(refused, Err(RotationError::OtherSecret(_))), "{refused:?}");
    Ok(())
}

#[test]
fn a_secret_that_is_not_there_stops_the_start() -> Outcome {
    let deployment = Deployment::new()?;
    let nowhere = format!("{}-nowhere", deployment.jwt_secret);
    let output = Command::new(binaries().path("data-get"))
        .env_clear()
        .envs(deployment.environment())
        .env("JWT_SECRET_ARN", &nowhere)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("Secrets Manager has no text for {nowhere}")), "{text}");
    Ok(())
}
