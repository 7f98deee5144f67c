//! The least that a Rust function does: it answers each event with the same response.

#![expect(clippy::disallowed_methods, reason = "this program does without `shared`")]

use lambda_http::{Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(hello)).await
}

async fn hello(_: Request) -> Result<Response<String>, Error> {
    let body = r#"{"message":"hello"}"#.to_owned();
    Ok(Response::builder().header("content-type", "application/json").body(body)?)
}
