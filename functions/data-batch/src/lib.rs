//! `POST /api/data/batch`: several operations, all of them or none.

use std::collections::HashMap;
use std::time::SystemTime;

use serde::Serialize;
use shared::App;
use shared::db::{self, data::Answer};
use shared::domain::{Action, Content, Entry, Key, Operation, Verb};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::post("/api/data/batch");

/// Lambda takes 6 MB for an event, in which every quote and backslash of the body is escaped.
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

/// Answers 200 with what each operation answers, in their order. Each does what its route does; what one would be refused for
/// refuses them all.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let now = app.now();
    let operations = read(&request, now)?;
    let answers = db::data::batch(app.db(), session, &operations, app.settings().quota, now).await?;
    let results = answers.into_iter().map(|answer| match answer {
        Answer::Entry(entry) => Outcome::Entry(entry),
        Answer::Deleted(key) => Outcome::Deleted { key, deleted: true },
    });
    Ok(Reply::ok().message("Done").data(&Results { results: results.collect() }))
}

fn read(request: &Request, now: SystemTime) -> Result<Vec<Operation>, ApiError> {
    let mut body = Body::read_at_most(request, MAX_BYTES)?;
    let mut places = HashMap::new();
    let operations = body.each("operations", Operation::MOST, |place, item| {
        let operation = read_operation(item, now)?;
        if let Some(first) = places.insert(operation.key.as_str().to_owned(), place) {
            let message = format!("operation {first} has this key too: a batch can do one thing with a key");
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
