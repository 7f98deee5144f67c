//! Database sign-in with IAM tokens. The tokens equal those of the AWS SDK for Python, and a function signs in with
//! one.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use shared::aws::AwsCredentials;
use shared::aws::iam_token::{IamAuth, IamService};
use tests::postgres::{Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;
use tokio_rustls::TlsAcceptor;

use crate::support::tls::{accept, certified};
use crate::support::{GatewayRequest, Outcome, binaries, emulate, migration_app, registration, tools};

/// A Python program that prints the token of each case as of the case's instant.
const BOTOCORE: &str = r#"
import datetime, json, sys
import botocore.auth, botocore.session

for case in json.loads(sys.argv[1]):
    instant = datetime.datetime.fromtimestamp(case["instant"], datetime.timezone.utc)
    botocore.auth.get_current_datetime = lambda: instant
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", case["secret"], case["session_token"])
    client = lambda service: session.create_client(service, region_name=case["region"])
    if case["service"] == "rds":
        print(client("rds").generate_db_auth_token(case["host"], case["port"], case["user"]))
    elif case["user"] == "admin":
        print(client("dsql").generate_db_connect_admin_auth_token(case["host"]))
    else:
        print(client("dsql").generate_db_connect_auth_token(case["host"]))
"#;

#[test]
fn a_token_equals_that_of_the_sdk_for_python() -> Outcome {
    const RDS: &str = "keyhold.proxy-abcdefghijkl.eu-central-1.rds.amazonaws.com";
    const DSQL: &str = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws";
    let temporary = Some("IQoJb3JpZ2luX2VjE+Q/aDb=//cent==");
    let cases = [
        ("rds", RDS, "keyhold_reader", "eu-central-1", 1_767_225_600, None),
        ("rds", RDS, "keyhold_reader", "eu-central-1", 1_774_915_199, temporary),
        ("rds", "db.example", "a user/with+signs~é", "us-gov-west-1", 1_772_236_861, temporary),
        ("dsql", DSQL, "keyhold_writer", "us-east-1", 1_767_225_600, temporary),
        ("dsql", DSQL, "admin", "us-east-1", 1_798_761_599, None),
    ];
    let (mut inputs, mut tokens) = (Vec::new(), Vec::new());
    for (service, host, user, region, instant, session_token) in cases {
        inputs.push(json!({
            "service": service, "host": host, "port": 5432, "user": user, "region": region, "instant": instant,
            "secret": SECRET, "session_token": session_token,
        }));
        let sign_in = IamAuth {
            service: if service == "rds" { IamService::Rds } else { IamService::Dsql },
            // A region in the address takes precedence over the function's region.
            aws: aws(if host.ends_with("example") { region } else { "elsewhere-1" }, SECRET, session_token),
            host: host.to_owned(),
            port: 5432,
            database: "postgres".to_owned(),
            user: user.to_owned(),
        };
        let token = sign_in.token(UNIX_EPOCH + Duration::from_secs(instant));
        tokens.push(token.map_err(|error| error.to_string())?.to_string());
    }
    let mut python = Command::new("python");
    python.env("PATH", tools().search_path()).args(["-c", BOTOCORE, &Value::from(inputs).to_string()]);
    // The signer in Python, because the clock of the one in C cannot be set.
    let output = python.env("BOTO_DISABLE_CRT", "true").output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(tokens, String::from_utf8(output.stdout)?.lines().collect::<Vec<_>>());
    Ok(())
}

fn aws(region: &str, secret: &str, session_token: Option<&str>) -> AwsCredentials {
    AwsCredentials {
        region: region.to_owned(),
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: secret.to_owned().into(),
        session_token: session_token.map(str::to_owned),
        endpoint_url: None,
    }
}

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Authenticates like RDS: over TLS, with a token in place of the password. The token must be at most a minute old, be
/// signed with the right key, and name the host and the user. Forwards authenticated connections to a PostgreSQL
/// without passwords.
struct Rds {
    acceptor: TlsAcceptor,
    server: u16,
    port: u16,
}

impl Rds {
    async fn admit(&self, client: TcpStream) -> std::io::Result<()> {
        let mut client = accept(client, &self.acceptor).await?;
        let length = client.read_u32().await?;
        let mut startup = vec![0; length as usize - 4];
        client.read_exact(&mut startup).await?;
        let texts: Vec<&str> =
            startup[4..].split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok()).collect();
        let user = texts.chunks(2).find(|pair| pair[0] == "user").map_or("", |pair| pair[1]);
        // AuthenticationCleartextPassword
        client.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).await?;
        assert_eq!(client.read_u8().await?, b'p', "a password");
        let mut password = vec![0; client.read_u32().await? as usize - 4];
        client.read_exact(&mut password).await?;
        let token = String::from_utf8_lossy(&password);
        if self.is_valid(token.trim_end_matches('\0'), user) {
            let mut server = TcpStream::connect(("127.0.0.1", self.server)).await?;
            server.write_u32(length).await?;
            server.write_all(&startup).await?;
            copy_bidirectional(&mut client, &mut server).await?;
        } else {
            let fields = format!("SFATAL\0C28000\0MPAM authentication failed for user \"{user}\"\0\0");
            client.write_u8(b'E').await?;
            client.write_u32(u32::try_from(fields.len()).map_err(std::io::Error::other)? + 4).await?;
            client.write_all(fields.as_bytes()).await?;
            client.shutdown().await?;
        }
        Ok(())
    }

    fn is_valid(&self, token: &str, user: &str) -> bool {
        let parameters: HashMap<&str, String> = token
            .split(['?', '&'])
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name, percent_decode_str(value).decode_utf8_lossy().into_owned()))
            .collect();
        let now = SystemTime::now();
        let expected = |seconds_ago| {
            let sign_in = IamAuth {
                service: IamService::Rds,
                aws: aws("eu-central-1", SECRET, Some("session/token==")),
                host: "localhost".to_owned(),
                port: self.port,
                database: String::new(),
                user: user.to_owned(),
            };
            sign_in.token(now - Duration::from_secs(seconds_ago)).expect("a host name").to_string()
        };
        parameters["DBUser"] == user && (0..60).any(|seconds_ago| expected(seconds_ago) == token)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_signs_in_with_a_token_and_reads_no_secret() -> Outcome {
    let server = Server::throw_away(tools(), Options::default())?;
    migrate::run(migration_app(&server.url("postgres"))).await.map_err(|error| error.to_string())?;
    let (superuser, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    let file: String = superuser.query_one("show hba_file", &[]).await?.get(0);
    superuser
        .batch_execute(&format!("copy (select 'host all all all trust') to '{file}'; select pg_reload_conf()"))
        .await?;

    let (acceptor, authority) = certified(server.port(), "localhost")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let rds = std::sync::Arc::new(Rds { acceptor, server: server.port(), port });
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let rds = std::sync::Arc::clone(&rds);
            tokio::spawn(async move { rds.admit(client).await });
        }
    });
    let register = |secret: &str, username: &str| -> Result<Value, Box<dyn std::error::Error>> {
        let environment = [
            ("DATABASE_AUTH", "iam"),
            ("DATABASE_HOST", "localhost"),
            ("DATABASE_PORT", &port.to_string()),
            ("DATABASE_USER", "keyhold_register"),
            ("DATABASE_CA_FILE", &authority.display().to_string()),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_SESSION_TOKEN", "session/token=="),
            // An unreachable endpoint, so that the function would not start if it called AWS.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("BCRYPT_COST", "10"),
        ];
        let function = emulate(&binaries().path("register"), &environment)?;
        let event = GatewayRequest::new("POST", "/api/register").with_body(registration(username).body()).event();
        Ok(serde_json::from_str(&function.invoke(&event.to_string())?)?)
    };
    let answer = tokio::task::block_in_place(|| register(SECRET, "ada"))?;
    assert_eq!(answer["statusCode"], 201, "{answer}");
    let answer = tokio::task::block_in_place(|| register("another key", "bob"))?;
    assert_eq!(answer["statusCode"], 503, "a token with the wrong key is rejected: {answer}");
    fs::remove_file(authority)?;
    let users: i64 = superuser.query_one("select count(*) from users", &[]).await?.get(0);
    assert_eq!(users, 1);
    Ok(())
}
