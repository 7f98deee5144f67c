//! Every file in `events/` through the real binary, under the Runtime Interface Emulator.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::layout::functions;
use crate::routes::events_of;
use crate::support::{Outcome, SECRET, binaries, database, emulate};

/// The order in which the events make sense: an account before its sign-in, a value before its change.
const ORDER: [&str; 7] = ["migrate", "register", "token", "data-create", "data-get", "data-update", "data-delete"];

#[test]
fn every_event_succeeds() -> Outcome {
    let database = database();
    let environment = [
        ("DATABASE_URL", database.url()),
        ("JWT_SECRET", SECRET),
        ("BCRYPT_COST", "10"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ];
    let mut token = String::new();
    let mut used = 0;
    assert_eq!(functions()?.len(), ORDER.len(), "a new function needs its place in ORDER");
    for function in ORDER {
        let emulator = emulate(&binaries().path(function), &environment)?;
        let events = events_of(function)?;
        assert!(!events.is_empty(), "events/ has no event for {function}");
        for (name, event) in events {
            let answer = emulator.invoke(&event.to_string().replace("ACCESS_TOKEN", &token))?;
            let answer: Value = serde_json::from_str(&answer)?;
            if function == "migrate" {
                assert_eq!(answer, json!({ "applied": [] }), "{name}");
            } else {
                assert!(matches!(answer["statusCode"].as_i64(), Some(200 | 201)), "{name}: {answer}");
            }
            if function == "token" {
                let body: Value = serde_json::from_str(answer["body"].as_str().ok_or("no body")?)?;
                token = body["data"]["access_token"].as_str().ok_or("no token")?.to_owned();
            }
            used += 1;
        }
    }
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../events"))?.count();
    assert_eq!(used, files, "a file in events/ belongs to no function");
    Ok(())
}
