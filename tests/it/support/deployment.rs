//! A deployment whose secrets are in Secrets Manager.

use std::sync::Arc;

use serde_json::{Value, json};
use tests::emulator::Emulator;

use super::{
    Database, GatewayRequest, SECRET, SECRET_ID, SecretsManager, binaries, database, emulate, password, registration,
    tools,
};

/// A deployment whose functions get the ARNs of their secrets in place of the secrets.
pub struct Deployment {
    pub database: Arc<Database>,
    pub secrets: SecretsManager,
    pub database_secret: String,
    pub jwt_secret: String,
}

impl Deployment {
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let database = Arc::new(database());
        let secrets = SecretsManager::start(tools())?;
        let database_secret = secrets.create("database", &credentials(&database, "postgres", "postgres"))?;
        let jwt_secret = secrets.create("jwt", &ring(&[(SECRET_ID, SECRET)]))?;
        Ok(Self { database, secrets, database_secret, jwt_secret })
    }

    pub fn environment(&self) -> [(&str, &str); 7] {
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

    pub fn start(&self, function: &str) -> Result<Emulator, tests::Error> {
        emulate(&binaries().path(function), &self.environment())
    }

    /// Registers ada and signs her in. Returns her access token.
    pub fn sign_up(&self) -> Result<String, Box<dyn std::error::Error>> {
        let registered = post(&self.start("register")?, "/api/register", None, &registration("ada").body())?;
        assert_eq!(registered.0, 201, "{}", registered.1);
        let sign_in = json!({ "username": "ada", "password": password() }).to_string();
        let (status, body) = post(&self.start("token")?, "/api/token", None, &sign_in)?;
        assert_eq!(status, 200, "{body}");
        Ok(body["data"]["access_token"].as_str().ok_or("no token")?.to_owned())
    }
}

/// A database secret in the format that RDS writes.
pub fn credentials(database: &Database, username: &str, password: &str) -> String {
    let config = database.config();
    let (port, name) = (database.port(), config.get_dbname());
    json!({ "engine": "postgres", "host": "127.0.0.1", "port": port, "dbname": name, "username": username, "password": password })
        .to_string()
}

/// A key ring of shared secrets.
pub fn ring(keys: &[(&str, &str)]) -> String {
    let keys: Vec<Value> = keys.iter().map(|(kid, secret)| json!({ "kid": kid, "secret": secret })).collect();
    json!({ "keys": keys }).to_string()
}

/// Sends a POST request to a function under the emulator. Returns the status and the body of the response.
pub fn post(
    function: &Emulator,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> Result<(i64, Value), Box<dyn std::error::Error>> {
    let mut request = GatewayRequest::new("POST", path).with_body(body);
    if let Some(token) = token {
        request = request.with_header("authorization", &format!("Bearer {token}"));
    }
    let answer: Value = serde_json::from_str(&function.invoke(&request.event().to_string())?)?;
    let body = answer["body"].as_str().ok_or_else(|| format!("no response of the service: {answer}"))?;
    Ok((answer["statusCode"].as_i64().ok_or("no status")?, serde_json::from_str(body)?))
}
