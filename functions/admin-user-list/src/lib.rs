//! `GET /api/admin/users`: find accounts, for operators.

use serde::Serialize;
use shared::App;
use shared::db::Role;
use shared::db::operators::{self, AccountQuery};
use shared::domain::{AccountRecord, Limit, UserId, canonical_name};
use shared::error::{ApiError, Code};
use shared::http::{Query, Reply, Request, Route};
use shared::secrets::NoKeys;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/admin/users");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::AdminReader;

#[derive(Serialize)]
struct List {
    items: Vec<AccountRecord>,
    next_cursor: Option<UserId>,
}

/// Returns 200 with the account with a `username` or an `email`, or with a page of all accounts in the order of their registration.
pub async fn handle(app: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    let operator = app.operator(&request)?;
    let query = Query::of(&request);
    let (username, email): (Option<String>, Option<String>) = (query.get("username")?, query.get("email")?);
    let limit: Limit = query.get("limit")?.unwrap_or_default();
    let after = query.get("cursor")?;
    let (username, email) = (username.as_deref().map(canonical_name), email.as_deref().map(canonical_name));
    let query = match (&username, &email) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("email", Code::InvalidRequest, "send either username or email"));
        }
        (Some(username), None) => AccountQuery::Username(username),
        (None, Some(email)) => AccountQuery::Email(email),
        (None, None) => AccountQuery::After(after),
    };
    let items = operators::list(app.db(), query, limit).await?;
    operator.record("users.list", None);
    let is_full = matches!(query, AccountQuery::After(_)) && items.len() as i64 == limit.number();
    let next_cursor = items.last().filter(|_| is_full).map(|last| last.account.user_id);
    Ok(Reply::data(&List { items, next_cursor }))
}
