//! `migrate` as a custom resource of CloudFormation.

use serde_json::json;
use tests::emulator::Emulator;

use super::{ResponseUrl, binaries, emulate};

pub fn migrate(environment: &[(&str, &str)]) -> Result<Emulator, tests::Error> {
    emulate(&binaries().path("migrate"), environment)
}

pub fn event(request_type: &str, url: &ResponseUrl) -> String {
    json!({
        "RequestType": request_type,
        "ServiceToken": "arn:aws:lambda:eu-central-1:123456789012:function:keyhold-migrate",
        "ResponseURL": url.url(),
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/keyhold/id",
        "RequestId": "request-1",
        "LogicalResourceId": "Schema",
        "PhysicalResourceId": "keyhold-schema",
        "ResourceType": "Custom::Schema",
        "ResourceProperties": { "Version": "1" },
    })
    .to_string()
}
