//! A panic fails one request and does not stop the function.

use std::fs;

use serde_json::{Value, json};
use tests::process;

use crate::support::workspace::root;
use crate::support::{GatewayRequest, Outcome, database, emulate, guard};

#[test]
fn a_panic_in_a_handler_fails_one_request_only() -> Outcome {
    let database = database();
    let mut cargo = guard().command("cargo");
    cargo.args(["build", "--quiet", "--package", "tests", "--example", "panics"]);
    assert!(process::run(cargo)?.success());
    let function = guard().target().join("debug/examples/panics");
    let emulator = emulate(&function, &[("DATABASE_URL", database.url())])?;
    let invoke = |query: &str| -> Result<Value, Box<dyn std::error::Error>> {
        let mut request = GatewayRequest::new("POST", "/panics");
        query.clone_into(&mut request.query);
        Ok(serde_json::from_str(&emulator.invoke(&request.event().to_string())?)?)
    };
    assert_eq!(invoke("fine")?["body"], r#"{"status":"success","data":1}"#);
    let failed = invoke("panic")?;
    assert_eq!(failed["statusCode"], 500);
    let body: Value = serde_json::from_str(failed["body"].as_str().ok_or("no body")?)?;
    assert_eq!(
        body,
        json!({ "status": "error", "code": "INTERNAL_SERVER_ERROR", "message": "An internal error occurred.", "request_id": "request-1" })
    );
    assert_eq!(invoke("fine")?["body"], r#"{"status":"success","data":3}"#, "the same process serves the next request");
    Ok(())
}

#[test]
fn the_release_profile_unwinds() -> Outcome {
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let manifest: toml::Table = manifest.parse()?;
    assert_eq!(
        manifest["profile"]["release"]["panic"].as_str(),
        Some("unwind"),
        "cargo-lambda sets abort if the profile sets nothing"
    );
    Ok(())
}
