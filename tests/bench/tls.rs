//! PostgreSQL and Secrets Manager over TLS. moto is the Secrets Manager, and a program in Python terminates TLS.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use ::tests::{
    Error, port,
    process::{Running, spawn},
    tools::Tools,
};

use crate::database::JWT_SECRET;

/// The endpoints. Dropping them stops them.
pub struct Remote {
    database_port: u16,
    secrets_port: u16,
    root: PathBuf,
    key_arn: String,
    _moto: Running,
    _tls: Running,
}

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/tls/endpoints.py");
const START_PATIENCE: Duration = Duration::from_mins(1);

impl Remote {
    /// Starts the endpoints in front of a PostgreSQL on `port`, with the signing key in Secrets Manager.
    pub fn start(tools: &Tools, folder: &Path, database_port: u16) -> Result<Self, Error> {
        let folder = folder.join("tls");
        fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, error))?;
        let moto_port = port::free()?;
        let mut command = tools.command("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &moto_port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut moto = spawn(command).map_err(|error| Error::start("moto_server", error))?;
        if !port::opens(moto_port, &mut moto, START_PATIENCE) {
            return Err(failed("moto_server did not start"));
        }
        let key_arn = create_secret(moto_port).map_err(|error| failed(&error.to_string()))?;

        let ports = folder.join("ports");
        let output = fs::File::create(&ports).map_err(|error| Error::file(&ports, error))?;
        let mut command = tools.command("python3");
        command.arg("-B").arg(PROGRAM).arg(&folder).args([database_port, moto_port].map(|port| port.to_string()));
        command.stdout(output);
        let mut tls = spawn(command).map_err(|error| Error::start("python3", error))?;
        let [database_port, secrets_port] = wait_for_ports(&ports, &mut tls)?;
        Ok(Self { database_port, secrets_port, root: folder.join("root.pem"), key_arn, _moto: moto, _tls: tls })
    }

    /// Makes a function use the database over TLS.
    pub fn use_database(&self, variables: &mut Vec<(&'static str, String)>) {
        for (name, url) in &mut *variables {
            if *name == "DATABASE_URL" {
                let (start, name) = url.rsplit_once('/').unwrap_or_default();
                let (user, _) = start.rsplit_once(':').unwrap_or_default();
                *url = format!("{user}:{}/{name}?sslmode=require", self.database_port);
            }
        }
        variables.push(("DATABASE_CA_FILE", self.root.display().to_string()));
    }

    /// Makes a function fetch the signing key.
    pub fn use_key(&self, variables: &mut Vec<(&'static str, String)>) {
        variables.retain(|(name, _)| *name != "JWT_SECRET");
        variables.extend([
            ("JWT_SECRET_ARN", self.key_arn.clone()),
            ("AWS_CA_BUNDLE", self.root.display().to_string()),
            ("AWS_ENDPOINT_URL", format!("https://127.0.0.1:{}", self.secrets_port)),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]);
    }
}

/// Stores the signing key of all candidates in Secrets Manager. Returns its ARN.
fn create_secret(port: u16) -> Result<String, ureq::Error> {
    let input = format!(
        r#"{{"Name":"jwt","SecretString":"{JWT_SECRET}","ClientRequestToken":"00000000-0000-4000-8000-000000000000"}}"#
    );
    let mut response = ureq::post(format!("http://127.0.0.1:{port}"))
        .header("x-amz-target", "secretsmanager.CreateSecret")
        .header("content-type", "application/x-amz-json-1.1")
        // moto reads the service and the region from the signature and does not verify it.
        .header("authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/secretsmanager/aws4_request")
        .send(input)?;
    let body = response.body_mut().read_to_string()?;
    let arn = body.split('"').find(|part| part.starts_with("arn:"));
    Ok(arn.unwrap_or_default().to_owned())
}

fn wait_for_ports(file: &Path, program: &mut Running) -> Result<[u16; 2], Error> {
    for _ in 0..1000 {
        let text = fs::File::open(file).map(BufReader::new).ok().and_then(|lines| lines.lines().next()?.ok());
        let ports: Option<Vec<u16>> = text.and_then(|text| text.split(' ').map(|port| port.parse().ok()).collect());
        if let Some(&[database, secrets]) = ports.as_deref() {
            return Ok([database, secrets]);
        }
        if program.has_ended() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(failed("the TLS endpoints did not start"))
}

fn failed(reason: &str) -> Error {
    Error::new(format!("The TLS endpoints cannot be used: {reason}."), "Their programs are in target/venv.")
}
