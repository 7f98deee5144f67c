//! `POST /api/register`: create an account.

use shared::App;
use shared::db::Role;
use shared::domain::{Email, Password, PasswordPolicy, Profile, Username};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};
use shared::secrets::NoKeys;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/register");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Register;

/// Creates the account and returns 201 with it, unless registration is closed.
pub async fn handle(app: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    if !app.settings().registration_is_open {
        return Err(ApiError::RegistrationClosed);
    }
    let (profile, password) = read(&request, app.settings().password_policy)?;
    let account = app.register(&profile, password, &app.device(&request)).await?;
    Ok(Reply::message_and_data("Account created", &account).created())
}

fn read(request: &Request, policy: PasswordPolicy) -> Result<(Profile, Password), ApiError> {
    let mut body = Body::read(request)?;
    let username: Option<Username> = body.text("username", Code::InvalidRequest);
    let email: Option<Email> = body.text("email", Code::InvalidRequest);
    let password = body.new_password("password", policy);
    let full_name = body.text("full_name", Code::InvalidRequest);
    let age = body.number("age", Code::InvalidAge);
    let gender = body.text_or("gender", Code::InvalidRequest, Code::GenderRequired);
    if let (Some(password), Some(username), Some(email)) = (&password, &username, &email)
        && let Err(error) = password.check_owner(username.as_str(), email.as_str())
    {
        body.fault("password", Code::InvalidPassword, error);
    }
    body.finish((|| {
        let profile = Profile { username: username?, email: email?, full_name: full_name?, age: age?, gender: gender? };
        Some((profile, password?))
    })())
}
