//! Secrets in Secrets Manager that change while functions run, and secrets that are missing.

use std::process::Command;

use serde_json::json;

use crate::support::deployment::{Deployment, credentials, post, ring};
use crate::support::{Forged, Outcome, SECRET, SECRET_ID, binaries};

const CREATE: &str = "/api/data";

fn entry(key: &str) -> String {
    json!({ "key": key, "value": 1 }).to_string()
}

#[test]
fn a_running_function_accepts_an_added_signing_key() -> Outcome {
    const NEW_SECRET: &str = "00b4d1c7e9f2a3856471829304a5b6c7";
    let deployment = Deployment::new()?;
    let token = deployment.sign_up()?;
    let create = deployment.start("data-create")?;
    assert_eq!(post(&create, CREATE, Some(&token), &entry("before"))?.0, 201);
    let renewed = Forged::from(&token).with_header("kid", "new").with_secret(NEW_SECRET.as_bytes()).sign();
    deployment.secrets.put(&deployment.jwt_secret, &ring(&[("new", NEW_SECRET), (SECRET_ID, SECRET)]))?;
    assert_eq!(post(&create, CREATE, Some(&renewed), &entry("after"))?.0, 201);
    assert_eq!(post(&create, CREATE, Some(&token), &entry("still"))?.0, 201, "the old key is still valid");
    Ok(())
}

#[tokio::test]
async fn a_running_function_signs_in_with_a_changed_password() -> Outcome {
    let deployment = Deployment::new()?;
    let superuser = deployment.database.connect().await;
    let role = format!("rotated_{}", std::process::id());
    superuser.batch_execute(&format!("create role {role} superuser login password 'one'")).await?;
    deployment.secrets.put(&deployment.database_secret, &credentials(&deployment.database, &role, "one"))?;
    let token = deployment.sign_up()?;
    let create = deployment.start("data-create")?;
    assert_eq!(post(&create, CREATE, Some(&token), &entry("before"))?.0, 201);
    superuser.batch_execute(&format!("alter role {role} password 'two'")).await?;
    deployment.secrets.put(&deployment.database_secret, &credentials(&deployment.database, &role, "two"))?;
    let ended = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1";
    superuser.execute(ended, &[&role]).await?;
    let (status, body) = post(&create, CREATE, Some(&token), &entry("after"))?;
    drop(create);
    superuser.batch_execute(&format!("drop role {role}")).await?;
    assert_eq!(status, 201, "{body}");
    Ok(())
}

#[test]
fn a_function_does_not_start_without_its_secret() -> Outcome {
    let deployment = Deployment::new()?;
    let nowhere = format!("{}-nowhere", deployment.jwt_secret);
    let output = Command::new(binaries().path("data-get"))
        .env_clear()
        .envs(deployment.environment())
        .env("JWT_SECRET_ARN", &nowhere)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("Secrets Manager returned no text for {nowhere}")), "{text}");
    Ok(())
}
