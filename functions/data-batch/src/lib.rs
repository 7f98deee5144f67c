//! `POST /api/data/batch`: run several operations, all or none.

use std::collections::HashMap;
use std::time::SystemTime;

use serde::Serialize;
use shared::App;
use shared::db::data::BatchResult;
use shared::db::{self, Role};
use shared::domain::{Action, Content, Entry, Key, Operation, Verb};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::post("/api/data/batch");
/// The database role.
pub const ROLE: Role = Role::Writer;

/// Bytes of a body. A Lambda event is limited to 6 MB, in which each quote and backslash of the body is escaped.
const MAX_BYTES: usize = 2 * 1024 * 1024;

#[derive(Serialize)]
struct Results {
    results: Vec<Outcome>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Entry(Entry),
    Deleted { key: Key, deleted: bool },
}

/// Runs the operations and returns 200 with their results, in order. Each does what its route does; if one fails, none is
/// done.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let now = app.now();
    let operations = read(&request, now)?;
    let results = db::data::batch(app.db(), session, &operations, app.settings().quota, now).await?;
    let results = results.into_iter().map(|result| match result {
        BatchResult::Entry(entry) => Outcome::Entry(entry),
        BatchResult::Deleted(key) => Outcome::Deleted { key, deleted: true },
    });
    Ok(Reply::message_and_data("Batch completed", &Results { results: results.collect() }))
}

fn read(request: &Request, now: SystemTime) -> Result<Vec<Operation>, ApiError> {
    let mut body = Body::read_at_most(request, MAX_BYTES)?;
    let mut indexes = HashMap::new();
    let operations = body.each("operations", Operation::MAX_IN_BATCH, |index, item| {
        let operation = read_operation(item, now)?;
        if let Some(first) = indexes.insert(operation.key.as_str().to_owned(), index) {
            let message = format!("operation {first} has the same key: each key can be in a batch only once");
            item.fault("key", Code::InvalidRequest, message);
        }
        Some(operation)
    });
    body.finish(operations)
}

fn read_operation(item: &mut Body<'_>, now: SystemTime) -> Option<Operation> {
    let (key, verb) = (item.text("key", Code::InvalidKey), item.text("op", Code::InvalidRequest));
    let if_version = item.if_version();
    let action = match verb? {
        Verb::Get => Some(Action::Get),
        Verb::Delete => Some(Action::Delete),
        Verb::Create => read_content(item, now).map(Action::Create),
        Verb::Put => {
            let put = if item.flag("upsert") { Action::Upsert } else { Action::Put };
            read_content(item, now).map(put)
        }
    };
    Some(Operation { key: key?, action: action?, if_version })
}

fn read_content(item: &mut Body<'_>, now: SystemTime) -> Option<Content> {
    let (value, lifetime) = (item.value(), item.lifetime());
    Some(Content { value: value?, expires_at: lifetime.map(|lifetime| lifetime.from(now)) })
}
