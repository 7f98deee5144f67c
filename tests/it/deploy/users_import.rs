//! Tests of `users-import`: as a program, and in Lambda with the S3 of moto.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use expect_test::expect;
use serde_json::{Value, json};
use tests::emulator::Emulator;

use crate::support::{
    Mailbox, Outcome, SecretsManager, Service, binaries, database, emulate, in_process, password, registration, tools,
};

/// A hash of `correct horse battery` that libxcrypt has made.
const HASH: &str = "$2b$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2";

/// Imports a text as a program. Returns the report, or the log if the import has failed.
fn import(service: &Service, text: &str) -> Result<Result<Value, String>, Box<dyn std::error::Error>> {
    let mut program = Command::new(binaries().path("users-import"))
        .env_remove("AWS_LAMBDA_RUNTIME_API")
        .env("DATABASE_URL", service.database.url_of("users-import"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    program.stdin.take().ok_or("an input")?.write_all(text.as_bytes())?;
    let output = program.wait_with_output()?;
    let [log, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(!format!("{log}{errors}").contains(&HASH[7..]), "{log}{errors}");
    // The report is the last line.
    let report = output.status.success().then(|| serde_json::from_str(log.lines().last().unwrap_or_default()));
    Ok(report.transpose()?.ok_or(log + &errors))
}

fn report_of(service: &Service, lines: &[Value]) -> Result<Value, Box<dyn std::error::Error>> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(import(service, &text)??)
}

/// Returns the numbers of a report.
fn numbers(report: &Value) -> [i64; 4] {
    ["imported", "existing", "rejected", "held_back"].map(|name| report[name].as_i64().unwrap_or(-1))
}

#[tokio::test]
async fn imported_users_sign_in_with_their_passwords() -> Outcome {
    let service = in_process();
    let report = report_of(
        &service,
        &[
            json!({ "username": "Ada", "email": "Ada@Example.com", "password_hash": HASH, "full_name": "Ada Lovelace", "age": 36,
                "gender": "female", "created_at": "2020-02-03T05:06:07.089+01:00", "email_verified": true }),
            json!({ "user_id": "2c0ffee0-1234-4abc-8def-0123456789ab", "email": "bob@example.com",
                "password_hash": HASH.replace("$2b$", "$2a$"), "username": null, "age": null }),
            json!({ "username": "eve", "email": "eve@example.com", "password_hash": HASH.replace("$2b$", "$2y$"), "disabled": true }),
        ],
    )?;
    assert_eq!(numbers(&report), [3, 0, 0, 0], "{report}");
    let ada = service.anonymous().sign_in("ada").await;
    expect![[r#"
        200
        {
          "data": {
            "age": 36,
            "created_at": "2020-02-03T04:06:07.089Z",
            "email": "Ada@Example.com",
            "email_verified": true,
            "full_name": "Ada Lovelace",
            "gender": "female",
            "user_id": "[UUIDv7]",
            "username": "Ada"
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.get("/api/account").await.to_string());
    assert_eq!(ada.store("key", json!(1)).await.outcome(), "201");
    let events = ada.get("/api/account/events").await.json();
    assert!(events.to_string().contains(r#""by_operator":true"#), "the import is an event: {events}");

    let bob = service.anonymous().sign_in("bob@example.com").await;
    let account = bob.get("/api/account").await.json()["data"].clone();
    assert_eq!(account["user_id"], "2c0ffee0-1234-4abc-8def-0123456789ab");
    assert_eq!(account["username"], "user-2c0ffee012344abc8def0123456789ab");
    assert_eq!([&account["full_name"], &account["age"], &account["gender"]], [&Value::Null; 3]);
    assert_eq!(bob.patch("/api/account", r#"{"full_name":"Bob","age":40}"#).await.json()["data"]["age"], 40);
    assert_eq!(service.anonymous().token_for("eve", password()).await.outcome(), "403 ACCOUNT_DISABLED");
    Ok(())
}

#[tokio::test]
async fn a_user_without_a_password_sets_one_by_a_mailed_code() -> Outcome {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    assert_eq!(numbers(&report_of(&service, &[json!({ "email": "ada@example.com" })])?), [1, 0, 0, 0]);
    let client = service.anonymous();
    for guess in ["", "null", password()] {
        assert_eq!(client.token_for("ada@example.com", guess).await.status, if guess.is_empty() { 400 } else { 401 });
    }
    let handle = client.post("/api/password-reset", r#"{"email":"ada@example.com"}"#).await.handle();
    let reset = json!({ "handle": handle, "code": mailbox.code(), "new_password": password() });
    assert_eq!(client.post("/api/password-reset/confirm", &reset.to_string()).await.outcome(), "200");
    assert_eq!(
        client.sign_in("ada@example.com").await.get("/api/account").await.json()["data"]["email_verified"],
        true
    );
    Ok(())
}

#[tokio::test]
async fn a_batch_is_imported_completely_or_not_at_all_and_can_be_repeated() -> Outcome {
    let service = in_process();
    let mut lines: Vec<Value> = (0..1001).map(|number| json!({ "email": format!("u{number}@example.com") })).collect();
    lines[700]["age"] = json!(0);
    lines[701]["email"] = json!("u3@EXAMPLE.com");
    let report = report_of(&service, &lines)?;
    assert_eq!(numbers(&report), [501, 0, 2, 498], "{report}");
    assert_eq!([&report["faults"][0]["line"], &report["faults"][1]["line"]], [701, 702]);
    assert_eq!(report["faults"][1]["message"], "email is also that of line 4");
    let count = async || -> Result<i64, tokio_postgres::Error> {
        Ok(service.database.connect().await.query_one("select count(*) from users", &[]).await?.get(0))
    };
    assert_eq!(count().await?, 501);
    lines[700]["age"] = json!(1);
    lines[701]["email"] = json!("u701@example.com");
    assert_eq!(numbers(&report_of(&service, &lines)?), [500, 501, 0, 0]);
    assert_eq!(numbers(&report_of(&service, &lines)?), [0, 1001, 0, 0]);
    assert_eq!(count().await?, 1001);
    Ok(())
}

#[tokio::test]
async fn every_fault_of_a_rejected_line_is_reported() -> Outcome {
    let service = in_process();
    service.anonymous().post("/api/register", &registration("taken").body()).await;
    let id = "2c0ffee0-1234-4abc-8def-0123456789ab";
    let text = [
        json!({ "username": "a b", "email": "@", "password_hash": "secret", "age": 1.5, "gender": "", "created_at": "now" }).to_string(),
        json!({ "email": "a@example.com", "password_hash": HASH.replace("$10$", "$20$"), "email_verified": "yes" }).to_string(),
        json!({ "email": "b@example.com", "passwordHash": HASH }).to_string(),
        json!({ "username": "TAKEN", "email": "c@example.com" }).to_string(),
        json!({ "username": "free", "email": "taken@Example.com", "user_id": id }).to_string(),
        json!({ "username": "free", "email": "d@example.com", "user_id": id.to_uppercase() }).to_string(),
        json!({ "email": "e@example.com", "created_at": "2999-01-01T00:00:00Z" }).to_string(),
        json!({ "email": "f@example.com", "user_id": "7" }).to_string(),
        "[]".to_owned(),
        "{\"email\":".to_owned(),
        r#"{"email":"g@example.com","email":"h@example.com"}"#.to_owned(),
        format!(r#"{{"email":"i@example.com","full_name":"{}"}}"#, "x".repeat(70_000)),
        r#"{"email":"a\u0000b@example.com"}"#.to_owned(),
        json!({ "email": "right@example.com" }).to_string(),
    ];
    let report = import(&service, &text.join("\r\n"))??;
    assert_eq!(numbers(&report), [0, 0, 13, 1], "{report}");
    let faults = report["faults"].as_array().ok_or("faults")?.iter();
    let faults: Vec<String> = faults
        .map(|fault| {
            let text = |name: &str| fault[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}: {}", fault["line"], text("field"), text("code"), text("message"))
        })
        .collect();
    expect![[r#"
        1 username INVALID_REQUEST: username must be 3 to 50 characters, each one of A-Z a-z 0-9 . _ -
        1 email INVALID_REQUEST: email must end with a domain such as example.com: letters, digits, and hyphens between dots
        1 password_hash INVALID_PASSWORD: password_hash must be a bcrypt hash of 60 characters, such as $2b$10$…. Leave it out for a hash of another kind: the user then sets a password by a mailed code
        1 age INVALID_AGE: age must be a whole number from 1 to 150
        1 gender INVALID_REQUEST: gender must be 1 to 50 visible characters or spaces
        1 created_at INVALID_REQUEST: a time must be one of RFC 3339 since 1970, such as 2026-11-23T09:30:00Z
        2 password_hash INVALID_PASSWORD: password_hash must have a cost from 4 to 16
        2 email_verified INVALID_REQUEST: email_verified must be true or false
        3 passwordHash INVALID_REQUEST: "passwordHash" is not a member. The members are user_id, username, email, email_verified, password_hash, full_name, age, gender, created_at, disabled
        4 username USERNAME_EXISTS: username is that of another account
        5 email EMAIL_EXISTS: email is that of another account
        6 user_id INVALID_REQUEST: user_id is also that of line 5
        6 username USERNAME_EXISTS: username is also that of line 5
        7 created_at INVALID_REQUEST: created_at must not be in the future
        8 user_id INVALID_REQUEST: an id must be a UUID
        9 line INVALID_REQUEST: the line must be a JSON object
        10 line INVALID_REQUEST: the line must be a JSON object: EOF while parsing a value at line 1 column 9
        11 line INVALID_REQUEST: the line must be a JSON object: the member "email" is given more than once at line 1 column 49
        12 line INVALID_REQUEST: the line must be at most 65536 bytes
        13 email INVALID_REQUEST: email must be an address such as name@example.com of at most 254 bytes"#]].assert_eq(&faults.join("\n"));
    Ok(())
}

/// The registration has the name when the import is inserted, but had not when the import looked.
#[tokio::test]
async fn an_import_that_races_a_registration_reports_the_name() -> Outcome {
    let service = in_process();
    let mut database = service.database.connect().await;
    let registering = database.transaction().await?;
    registering
        .execute(
            "insert into users (id, username, username_canonical, email, email_canonical, created_at)
            values (gen_random_uuid(), 'ada', 'ada', 'a@example.com', 'a@example.com', now())",
            &[],
        )
        .await?;
    let importing = tokio::task::spawn_blocking({
        let service = Arc::clone(&service);
        move || {
            report_of(&service, &[json!({ "username": "ada", "email": "ada@example.com" })])
                .map_err(|error| error.to_string())
        }
    });
    service.database.until_a_statement_waits().await;
    registering.commit().await?;
    let report = importing.await??;
    assert_eq!((numbers(&report), &report["faults"][0]["code"]), ([0, 0, 1, 0], &json!("USERNAME_EXISTS")), "{report}");
    Ok(())
}

#[test]
fn nothing_to_import_is_a_report_of_zeros_and_a_wrong_database_is_an_error() -> Outcome {
    let service = in_process();
    for text in ["", "\n \r\n"] {
        assert_eq!(numbers(&import(&service, text)??), [0; 4]);
    }
    let without_database =
        Service::new(crate::support::Database::at("postgres://x@127.0.0.1:1/x"), crate::support::settings());
    let log = import(&without_database, "{\"email\":\"a@example.com\"}\n")?.err().ok_or("an error")?;
    assert!(log.contains("the batch that begins with line 1 was not imported"), "{log}");
    Ok(())
}

/// The bucket of moto, and the function in Lambda.
struct Aws {
    moto: SecretsManager,
    function: Emulator,
}

impl Aws {
    fn start(service: &Service, timeout: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let moto = SecretsManager::start(tools())?;
        moto.create_bucket("imports")?;
        let variables = [
            ("DATABASE_URL", service.database.url_of("users-import")),
            ("AWS_ENDPOINT_URL", moto.url().to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_LAMBDA_FUNCTION_TIMEOUT", timeout.to_owned()),
        ];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        let function = emulate(&binaries().path("users-import"), &variables)?;
        Ok(Self { moto, function })
    }

    fn put(&self, key: &str, text: &str) -> Outcome {
        self.moto.put_object(&format!("imports/{key}"), text)
    }

    fn invoke(&self, event: &Value) -> Result<Value, Box<dyn std::error::Error>> {
        Ok(serde_json::from_str(&self.function.invoke(&event.to_string())?)?)
    }
}

#[test]
fn an_object_of_several_parts_is_imported() -> Outcome {
    let service = in_process();
    let aws = Aws::start(&service, "60")?;
    let name = "ë".repeat(100);
    // 5000 lines of some 290 bytes are 1.4 MiB, so that a line begins in one part of 1 MiB and ends in the next.
    let line = |number: usize| json!({ "email": format!("u{number}@example.com"), "full_name": name }).to_string();
    let lines: Vec<String> = (0..5000).map(line).collect();
    aws.put("2026/users.jsonl", &format!("\u{feff}{}\r\n\r\n", lines.join("\r\n")))?;
    let event = json!({ "object": "s3://imports/2026/users.jsonl" });
    let report = aws.invoke(&event)?;
    assert_eq!(numbers(&report), [5000, 0, 0, 0], "{report}");
    let rest = aws.invoke(&json!({ "object": "s3://imports/2026/users.jsonl", "first_line": 4001 }))?;
    assert_eq!(numbers(&rest), [0, 1000, 0, 0], "{rest}");

    aws.put("empty.jsonl", "")?;
    assert_eq!(numbers(&aws.invoke(&json!({ "object": "s3://imports/empty.jsonl" }))?), [0; 4]);
    // A part of exactly 1 MiB is followed by an empty one.
    let text = lines[0].clone() + &"\n".repeat(1024 * 1024 - lines[0].len());
    aws.put("full.jsonl", &text)?;
    assert_eq!(numbers(&aws.invoke(&json!({ "object": "s3://imports/full.jsonl" }))?), [0, 1, 0, 0]);
    Ok(())
}

#[test]
fn a_wrong_event_is_named() -> Outcome {
    let service = in_process();
    let aws = Aws::start(&service, "60")?;
    for (event, named) in [
        (json!({}), "missing field `object`"),
        (json!(null), "the event must be"),
        (json!({ "object": "users.jsonl" }), "must be s3:// with a bucket"),
        (json!({ "object": "s3://imports" }), "must be s3:// with a bucket"),
        (json!({ "object": "s3://imports/a b" }), "must be s3:// with a bucket"),
        (json!({ "object": "s3://imports/none.jsonl" }), "the object does not exist"),
        (json!({ "object": "s3://none/users.jsonl" }), "NoSuchBucket"),
        (json!({ "object": "s3://imports/a", "line": 1 }), "unknown field `line`"),
        (json!({ "object": "s3://imports/a", "first_line": -1 }), "`-1`"),
    ] {
        let error = aws.invoke(&event)?;
        let message = error["errorMessage"].as_str().unwrap_or_default();
        assert!(message.contains(named), "{event}: {error}");
    }
    Ok(())
}

#[test]
fn an_import_that_would_run_out_of_time_says_where_to_continue() -> Outcome {
    let service = in_process();
    let aws = Aws::start(&service, "20")?;
    aws.put("users.jsonl", "\n{\"email\":\"a@example.com\"}\n")?;
    let report = aws.invoke(&json!({ "object": "s3://imports/users.jsonl" }))?;
    assert_eq!((numbers(&report), &report["next_line"]), ([0; 4], &json!(2)), "{report}");
    Ok(())
}
