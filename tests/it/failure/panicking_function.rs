//! A function that counts the requests of its process, and panics if the query is `panic`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use shared::http::{Reply, Request, Route};
use shared::secrets::NoKeys;
use shared::{ApiError, App};

async fn handle(_: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    assert_ne!(request.query, "panic", "requested by the query");
    Ok(Reply::data(&count))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::runtime::serve(Route::post("/panics"), handle).await
}
