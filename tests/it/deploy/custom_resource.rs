//! `migrate` as a custom resource of CloudFormation. Without a response a deployment would wait for an hour.

use std::fs;
use std::thread;

use expect_test::expect;
use serde_json::{Value, json};
use shared::db::Dialect;
use tokio::net::{TcpListener, TcpStream};

use crate::support::custom_resource::{event, migrate};
use crate::support::tls::issue_certificate;
use crate::support::workspace::migrations;
use crate::support::{Database, Outcome, Received, ResponseUrl, database};

async fn without_schema() -> Result<Database, Box<dyn std::error::Error>> {
    let database = database();
    database.connect().await.batch_execute("drop schema public cascade; create schema public").await?;
    Ok(database)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_migrates_and_deleting_the_stack_keeps_the_tables() -> Outcome {
    let database = without_schema().await?;
    let function = migrate(&[("DATABASE_URL", database.url())])?;
    let url = ResponseUrl::start(&[])?;
    function.invoke(&event("Create", &url))?;
    let Received { head, body } = url.only();
    expect![[r#"
        PUT /arn%3Aaws%3Acloudformation?X-Amz-Signature=a%2Bsecret%3D%3D&X-Amz-Expires=7200 HTTP/1.1
        content-type:
        {
          "Data": {
            "Applied": "V1__users, V2__sessions, V3__data_store, V4__user_counters, V5__sign_in_failures, V6__rate_limits, V7__known_networks, V8__deleted_users, V9__mailed_codes, V10__announcements, V11__account_events"
          },
          "LogicalResourceId": "Schema",
          "PhysicalResourceId": "keyhold-schema",
          "RequestId": "request-1",
          "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/keyhold/id",
          "Status": "SUCCESS"
        }"#]]
    .assert_eq(&format!("{head}{body:#}"));
    for (request_type, applied) in [("Update", ""), ("Delete", "")] {
        let url = ResponseUrl::start(&[])?;
        function.invoke(&event(request_type, &url))?;
        let body = url.only().body;
        assert_eq!((&body["Status"], &body["Data"]["Applied"]), (&json!("SUCCESS"), &json!(applied)), "{request_type}");
        assert_eq!(
            body["PhysicalResourceId"], "keyhold-schema",
            "CloudFormation would delete the resource that had the previous id"
        );
    }
    let users = database.connect().await.query("select from users", &[]).await?;
    assert!(users.is_empty(), "the table exists and is empty");
    Ok(())
}

#[test]
fn a_response_is_sent_again_after_an_error() -> Outcome {
    let database = database();
    let function = migrate(&[("DATABASE_URL", database.url())])?;
    let url = ResponseUrl::start(&[503, 500])?;
    function.invoke(&event("Update", &url))?;
    let received = url.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|again| *again == received[0]) && received[0].body["Status"] == "SUCCESS");

    let url = ResponseUrl::start(&[403; 100])?;
    let error: Value = serde_json::from_str(&function.invoke(&event("Update", &url))?)?;
    assert_eq!(
        error["errorMessage"], "the server answered with status 403",
        "Lambda invokes the function again: {error}"
    );
    assert_eq!(url.received().len(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deployments_apply_each_migration_once() -> Outcome {
    let database = without_schema().await?;
    let run = || -> Result<String, String> {
        let function = migrate(&[("DATABASE_URL", database.url())]).map_err(|error| error.to_string())?;
        let url = ResponseUrl::start(&[]).map_err(|error| error.to_string())?;
        function.invoke(&event("Update", &url)).map_err(|error| error.to_string())?;
        let body = url.only().body;
        assert_eq!(body["Status"], "SUCCESS", "{body}");
        Ok(body["Data"]["Applied"].as_str().unwrap_or_default().to_owned())
    };
    let mut applied = thread::scope(|scope| {
        let runs = [scope.spawn(run), scope.spawn(run)];
        runs.map(|run| run.join().expect("a run that does not panic").map(|applied| applied.split(", ").count()))
    });
    applied.sort_unstable();
    let all = migrations(Dialect::PostgreSql)?.len();
    assert_eq!(applied, [Ok(1), Ok(all)], "one run applied nothing, which is one empty text");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_sent_as_a_response() -> Outcome {
    const DOWN: &str = "postgres://keyhold:a-secret@127.0.0.1:1/name";
    let database = database();
    let observer = database.connect().await;
    observer.batch_execute("select pg_advisory_lock(0x6b6579686f6c64)").await?;
    let mut reasons = String::new();
    for (request_type, environment) in [
        ("Create", vec![("DATABASE_URL", DOWN)]),
        ("Create", vec![]),
        ("Update", vec![("DATABASE_URL", "a-secret")]),
        ("Update", vec![("DATABASE_URL", database.url()), ("DATABASE_ROLES", "perhaps")]),
        (
            "Update",
            vec![
                ("DATABASE_SECRET_ARN", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:database-AbCdEf"),
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "a-secret"),
            ],
        ),
        // Another run holds the lock. 12 s of the timeout are reserved for the response.
        ("Update", vec![("DATABASE_URL", database.url()), ("AWS_LAMBDA_FUNCTION_TIMEOUT", "16")]),
        ("Replace", vec![("DATABASE_URL", database.url())]),
        ("", vec![("DATABASE_URL", database.url())]),
    ] {
        let url = ResponseUrl::start(&[])?;
        let output = migrate(&environment)?.invoke(&event(request_type, &url))?;
        let body = url.only().body;
        assert_eq!((&body["Status"], &body["RequestId"]), (&json!("FAILED"), &json!("request-1")), "{body}");
        assert!(!body.to_string().contains("a-secret") && !output.contains("a%2Bsecret"), "{body} {output}");
        reasons.extend([body["Reason"].as_str().ok_or("no reason")?, "\n"]);
    }
    expect![[r#"
        the database is unavailable: Error occurred while creating a new object: error connecting to server: Connection refused (os error 111)
        DATABASE_URL is not set: set it to postgres://user:password@host:5432/name, or DATABASE_SECRET_ARN to the ARN of a secret, or DATABASE_AUTH to iam
        DATABASE_URL is not a database address such as postgres://user:password@host:5432/name. Percent-encode special characters of the password, such as %3F for ?. sslmode may be disable, prefer, require, verify-ca, or verify-full. Remove the options of other clients
        DATABASE_ROLES must be make or iam or off, not "perhaps"
        the secrets could not be fetched from Secrets Manager: io error: Connection refused (os error 111)
        the migration did not finish before the timeout of the function. Another run may hold the migration lock, or a transaction may lock a table. Raise the timeout of the function, or deploy again: the next run continues with the missing migrations
        RequestType must be Create, Update, or Delete, not "Replace"
        RequestType must be Create, Update, or Delete, not ""
    "#]].assert_eq(&reasons);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_database_is_waited_for() -> Outcome {
    let database = without_schema().await?;
    let server_port = database.port();
    // The first connection is accepted and gets no response.
    let paused = TcpListener::bind("127.0.0.1:0").await?;
    let port = paused.local_addr()?.port();
    tokio::spawn(async move {
        let mut first = paused.accept().await;
        while let (Ok(_), Ok((mut client, _))) = (&mut first, paused.accept().await) {
            let mut server = TcpStream::connect(("127.0.0.1", server_port)).await.expect("the server");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let through_proxy = database.through(port);
    let url = ResponseUrl::start(&[])?;
    migrate(&[("DATABASE_URL", through_proxy.url())])?.invoke(&event("Create", &url))?;
    assert_eq!(url.only().body["Status"], "SUCCESS");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_sent_only_to_servers_with_a_certificate_of_amazon() -> Outcome {
    let database = database();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (acceptor, authority) = issue_certificate(port, "localhost")?;
    fs::remove_file(authority)?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            assert!(acceptor.accept(client).await.is_err(), "the client accepted an unknown certificate");
        }
    });
    let event = json!({ "RequestType": "Delete", "ResponseURL": format!("https://localhost:{port}/a-secret") });
    let error = migrate(&[("DATABASE_URL", database.url())])?.invoke(&event.to_string())?;
    assert!(error.contains("TaskFailed") && error.contains("certificate") && !error.contains("a-secret"), "{error}");
    Ok(())
}
