//! `POST /api/register`: a new account.

use std::time::SystemTime;

use serde::Serialize;
use shared::App;
use shared::db::{self, users::Profile};
use shared::domain::{Password, UserId, rfc3339};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};
use shared::secrets::NoKeys;

/// The route.
pub const ROUTE: Route = Route::post("/api/register");

/// Answers 201 with the account, or says everything that is wrong with the request.
pub async fn handle(app: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    let (profile, password) = read(&request)?;
    let hash = app.hash_password(password).await?;
    let now = app.now();
    let id = UserId::new(now);
    db::users::insert(app.db(), id, &profile, &hash, now).await?;
    Ok(Reply::created().message("Account created").data(&Account::new(id, &profile, now)))
}

fn read(request: &Request) -> Result<(Profile, Password), ApiError> {
    let mut body = Body::read(request)?;
    let username = body.text("username", Code::InvalidRequest);
    let email = body.text("email", Code::InvalidRequest);
    let password = body.text::<Password>("password", Code::InvalidPassword);
    let full_name = body.text("full_name", Code::InvalidRequest);
    let age = body.number("age", Code::InvalidAge);
    let gender = body.text_or("gender", Code::InvalidRequest, Code::GenderRequired);
    if let (Some(password), Some(username), Some(email)) = (&password, &username, &email)
        && let Err(error) = password.check_owner(username, email)
    {
        body.fault("password", Code::InvalidPassword, error);
    }
    body.finish((|| {
        let profile = Profile { username: username?, email: email?, full_name: full_name?, age: age?, gender: gender? };
        Some((profile, password?))
    })())
}

#[derive(Serialize)]
struct Account<'a> {
    user_id: UserId,
    username: &'a str,
    email: &'a str,
    full_name: &'a str,
    age: i16,
    gender: &'a str,
    #[serde(serialize_with = "rfc3339::serialize")]
    created_at: SystemTime,
}

impl<'a> Account<'a> {
    fn new(user_id: UserId, profile: &'a Profile, created_at: SystemTime) -> Self {
        Self {
            user_id,
            username: profile.username.as_str(),
            email: profile.email.as_str(),
            full_name: profile.full_name.as_str(),
            age: profile.age.years(),
            gender: profile.gender.as_str(),
            created_at,
        }
    }
}
