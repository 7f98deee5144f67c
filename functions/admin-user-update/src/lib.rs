//! `PATCH /api/admin/users/{id}`: disable or enable an account, or mark its email address as verified, for operators.

use shared::App;
use shared::db::Role;
use shared::db::operators::{self, AccountPatch};
use shared::error::{ApiError, Code};
use shared::http::{self, Body, Reply, Request, Route};
use shared::secrets::NoKeys;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::patch("/api/admin/users/{id}");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::AdminEditor;

/// Changes the account and returns 200 with it. Disabling it ends all its sessions.
pub async fn handle(app: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    let operator = app.operator(&request)?;
    let user = http::user_id(&request)?;
    let patch = read(&request)?;
    let account = operators::update(app.db(), user, patch, app.now()).await?.ok_or(ApiError::UserNotFound)?;
    let disabled = patch.disabled.map(|disabled| if disabled { "user.disable" } else { "user.enable" });
    let verified = patch.email_verified.map(|verified| if verified { "email.verify" } else { "email.unverify" });
    for action in [disabled, verified].into_iter().flatten() {
        operator.record(action, Some(user));
    }
    Ok(Reply::message_and_data("Account updated", &account))
}

fn read(request: &Request) -> Result<AccountPatch, ApiError> {
    const CHANGEABLE: [&str; 2] = ["disabled", "email_verified"];
    let mut body = Body::read(request)?;
    let [disabled, email_verified] = CHANGEABLE.map(|field| body.has(field).then(|| body.boolean(field)).flatten());
    if !CHANGEABLE.iter().any(|field| body.has(field)) {
        body.fault("body", Code::InvalidRequest, format!("send at least one of {}", CHANGEABLE.join(", ")));
    }
    body.finish(Some(AccountPatch { disabled, email_verified }))
}
