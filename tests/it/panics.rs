//! A panic costs the request in which it happens, and nothing else.

use std::path::Path;

use serde_json::{Value, json};
use tests::process;

use crate::support::{Outcome, database, emulate, guard};

#[test]
fn a_panic_in_a_handler_fails_one_request_only() -> Outcome {
    let database = database();
    let mut cargo = guard().command("cargo");
    cargo.args(["build", "--quiet", "--package", "tests", "--example", "panics"]);
    assert!(process::run(cargo)?.success());
    let function = guard().target().join("debug/examples/panics");
    let emulator = emulate(&function, &[("DATABASE_URL", database.url())])?;
    let invoke = |path: &str| -> Result<Value, Box<dyn std::error::Error>> {
        let event = json!({
            "version": "2.0",
            "routeKey": "POST /panics",
            "rawPath": path,
            "rawQueryString": path,
            "headers": {},
            "requestContext": { "requestId": "request-1", "http": { "method": "POST", "path": path } },
        });
        Ok(serde_json::from_str(&emulator.invoke(&event.to_string())?)?)
    };
    assert_eq!(invoke("fine")?["body"], r#"{"status":"success","data":1}"#);
    let failed = invoke("panic")?;
    assert_eq!(failed["statusCode"], 500);
    let body: Value = serde_json::from_str(failed["body"].as_str().ok_or("no body")?)?;
    assert_eq!(
        body,
        json!({ "status": "error", "code": "INTERNAL_SERVER_ERROR", "message": "Something went wrong on our side", "request_id": "request-1" })
    );
    assert_eq!(invoke("fine")?["body"], r#"{"status":"success","data":3}"#, "the same process counts on");
    Ok(())
}

#[test]
fn the_release_profile_unwinds() -> Outcome {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))?;
    let manifest: toml::Table = manifest.parse()?;
    assert_eq!(manifest["profile"]["release"]["panic"].as_str(), Some("unwind"), "cargo-lambda would choose abort");
    Ok(())
}
