//! A local AWS Secrets Manager, with S3: moto, which implements their protocols.

use std::time::Duration;

use serde_json::{Value, json};
use tests::port;
use tests::process::{Running, spawn};
use tests::tools::Tools;

/// A running moto server. Dropping it stops it.
pub struct SecretsManager {
    url: String,
    _running: Running,
}

const START_PATIENCE: Duration = Duration::from_mins(1);

impl SecretsManager {
    /// Starts a server without secrets.
    pub fn start(tools: &Tools) -> Result<Self, Box<dyn std::error::Error>> {
        let port = port::free()?;
        let mut command = tools.command("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut running = spawn(command)?;
        assert!(port::opens(port, &mut running, START_PATIENCE), "moto did not start");
        Ok(Self { url: format!("http://127.0.0.1:{port}"), _running: running })
    }

    /// The endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stores a new secret. Returns its ARN.
    pub fn create(&self, name: &str, text: &str) -> Result<String, Box<dyn std::error::Error>> {
        let response =
            self.call("CreateSecret", &json!({ "Name": name, "SecretString": text, "ClientRequestToken": token() }))?;
        Ok(response["ARN"].as_str().ok_or("no ARN")?.to_owned())
    }

    /// Stores a new version of a secret.
    pub fn put(&self, arn: &str, text: &str) -> Result<(), Box<dyn std::error::Error>> {
        self.call("PutSecretValue", &json!({ "SecretId": arn, "SecretString": text, "ClientRequestToken": token() }))?;
        Ok(())
    }

    /// Makes batch requests return the current version. After a change of the current version, moto still returns the
    /// previous one there.
    pub fn settle(&self, arn: &str) -> Result<(), Box<dyn std::error::Error>> {
        let current = self.call("GetSecretValue", &json!({ "SecretId": arn, "VersionStage": "AWSCURRENT" }))?;
        let (text, version) = (&current["SecretString"], &current["VersionId"]);
        self.call("PutSecretValue", &json!({ "SecretId": arn, "SecretString": text, "ClientRequestToken": version }))?;
        Ok(())
    }

    /// Creates a bucket of S3.
    pub fn create_bucket(&self, name: &str) -> Result<(), Box<dyn std::error::Error>> {
        ureq::put(format!("{}/{name}", self.url)).header("authorization", authorization("s3")).send_empty()?;
        Ok(())
    }

    /// Stores an object: `<bucket>/<key>`.
    pub fn put_object(&self, name: &str, text: &str) -> Result<(), Box<dyn std::error::Error>> {
        ureq::put(format!("{}/{name}", self.url)).header("authorization", authorization("s3")).send(text)?;
        Ok(())
    }

    fn call(&self, action: &str, input: &Value) -> Result<Value, Box<dyn std::error::Error>> {
        let mut response = ureq::post(&self.url)
            .header("x-amz-target", format!("secretsmanager.{action}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", authorization("secretsmanager"))
            .send(input.to_string())?;
        Ok(serde_json::from_str(&response.body_mut().read_to_string()?)?)
    }
}

/// moto reads the service and the region from the signature and does not verify it. Buckets are in `us-east-1`, because a request
/// for one elsewhere needs a body.
pub fn authorization(service: &str) -> String {
    let region = if service == "secretsmanager" { "eu-central-1" } else { "us-east-1" };
    format!("AWS4-HMAC-SHA256 Credential=test/20260101/{region}/{service}/aws4_request")
}

fn token() -> String {
    uuid::Uuid::now_v7().to_string()
}
