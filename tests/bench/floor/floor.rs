//! The least that a Rust function with a database does: it looks up one value by primary key with a prepared statement.
//! It does not verify a token, check a session, or write a log.

#![expect(clippy::disallowed_methods, reason = "this program does without `shared`")]

use std::env;

use lambda_http::{Error, Request, RequestExt, Response, run, service_fn};
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

const SQL: &str = "select value from data_store where user_id = $1 and key = $2";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let user: Uuid = env::var("BENCH_USER_ID")?.parse()?;
    let (client, connection) = tokio_postgres::connect(&env::var("DATABASE_URL")?, NoTls).await?;
    tokio::spawn(connection);
    let statement = client.prepare(SQL).await?;
    let (client, statement) = (&client, &statement);
    run(service_fn(move |request| find(client, statement, user, request))).await
}

async fn find(client: &Client, statement: &Statement, user: Uuid, request: Request) -> Result<Response<String>, Error> {
    let parameters = request.path_parameters();
    let key = parameters.first("key").ok_or("the event has no key")?;
    let value: String = client.query_one(statement, &[&user, &key]).await?.try_get(0)?;
    Ok(Response::builder().header("content-type", "application/json").body(value)?)
}
