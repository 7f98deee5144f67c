//! Tests of `POST /api/token`: sign-in, access tokens, and password hashes.

use std::time::{Duration, SystemTime};

use expect_test::expect;
use serde_json::json;

use crate::support::{Forged, KEY_ID, in_process, password, registration, settings};

#[tokio::test]
async fn a_sign_in_returns_an_access_token_and_a_refresh_token() {
    let anonymous = in_process().anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    let response =
        anonymous.post("/api/token", &json!({ "username": "ada", "password": password() }).to_string()).await;
    expect![[r#"
        200
        {
          "data": {
            "access_token": "[JWT]",
            "expires_in": 3600,
            "refresh_expires_in": 2592000,
            "refresh_token": "[refresh token]",
            "token_type": "Bearer"
          },
          "message": "Signed in",
          "status": "success"
        }
    "#]]
    .assert_eq(&response.to_string());
}

#[tokio::test]
async fn the_access_token_has_the_expected_header_and_claims() {
    let service = in_process();
    let anonymous = service.anonymous();
    let user_id = anonymous.post("/api/register", &registration("ada").body()).await.text("user_id");
    let response =
        anonymous.post("/api/token", &json!({ "username": "ada", "password": password() }).to_string()).await;
    let token = Forged::from(&response.text("access_token"));
    assert_eq!(*token.header(), json!({ "alg": "HS256", "typ": "at+jwt", "kid": KEY_ID }));
    let claims = token.claims();
    let issued_at = 1_767_225_600;
    assert_eq!(claims["iss"], "keyhold");
    assert_eq!(claims["aud"], "keyhold");
    assert_eq!(claims["sub"], user_id.as_str());
    assert_eq!(claims["iat"], issued_at);
    assert_eq!(claims["nbf"], issued_at);
    assert_eq!(claims["exp"], issued_at + 3600);
    assert!(claims["sid"].is_string() && claims["jti"].is_string(), "{claims}");
    assert_eq!(claims.as_object().map(|claims| claims.len()), Some(8));
}

#[tokio::test]
async fn a_user_signs_in_with_the_username_or_the_email_address_in_any_case() {
    let anonymous = in_process().anonymous();
    anonymous.post("/api/register", &registration("Ada").body()).await;
    for name in ["Ada", "ada", "ADA", "Ada@example.com", "ada@EXAMPLE.com"] {
        let response =
            anonymous.post("/api/token", &json!({ "username": name, "password": password() }).to_string()).await;
        assert_eq!(response.status, 200, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_response() {
    let anonymous = in_process().anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    let wrong = anonymous.post("/api/token", r#"{"username":"ada","password":"wrong"}"#).await;
    expect![[r#"
        401
        www-authenticate: Bearer
        {
          "code": "INVALID_CREDENTIALS",
          "message": "The username or password is wrong.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&wrong.to_string());
    for (username, attempt) in [
        ("unknown", "wrong"),
        ("unk\0nown", "wrong"),
        ("ada", "a\0b"),
        ("ada", &password()[1..]),
        ("%", "x"),
        ("x".repeat(9999).as_str(), "x"),
    ] {
        let unknown =
            anonymous.post("/api/token", &json!({ "username": username, "password": attempt }).to_string()).await;
        assert_eq!(unknown.to_string(), wrong.to_string(), "{username:?}");
    }
}

#[tokio::test]
async fn missing_fields_and_fields_of_the_wrong_type_have_different_error_codes() {
    let anonymous = in_process().anonymous();
    for (body, expected) in [
        ("{}", "400 MISSING_FIELDS"),
        (r#"{"username":"ada"}"#, "400 MISSING_FIELDS"),
        (r#"{"password":"x"}"#, "400 MISSING_FIELDS"),
        (r#"{"username":"","password":""}"#, "400 MISSING_FIELDS"),
        (r#"{"username":null,"password":"x"}"#, "400 MISSING_FIELDS"),
        (r#"{"username":1,"password":"x"}"#, "400 INVALID_REQUEST"),
        (r#"{"username":"ada","password":["x"]}"#, "400 INVALID_REQUEST"),
    ] {
        assert_eq!(anonymous.post("/api/token", body).await.outcome(), expected, "{body}");
    }
}

#[tokio::test]
async fn every_byte_of_a_long_password_is_checked() {
    let anonymous = in_process().anonymous();
    let long = format!("{}{}", "x".repeat(100), "tail");
    anonymous.post("/api/register", &registration("ada").with("password", long.as_str()).body()).await;
    for (attempt, status) in [(long.as_str(), 200), (&long[..103], 401), (&long[..72], 401)] {
        let response =
            anonymous.post("/api/token", &json!({ "username": "ada", "password": attempt }).to_string()).await;
        assert_eq!(response.status, status, "{} bytes", attempt.len());
    }
}

#[tokio::test]
async fn a_hash_with_a_lower_cost_is_replaced_at_the_next_sign_in() {
    let service = in_process();
    let database = service.database.connect().await;
    // A row in the format of the original service. The hash is a published bcrypt test vector: cost 5, password `U*U`.
    let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let import = "insert into users (id, username, username_canonical, email, email_canonical, password, full_name, age, gender, created_at)
        values (gen_random_uuid(), 'Old', 'old', 'old@example.com', 'old@example.com', $1, 'Old User', 50, 'male', $2)";
    let stored = || async {
        let row = database.query_one("select password from users", &[]).await.expect("a user");
        row.get::<_, String>(0)
    };
    database.execute(import, &[&hash, &SystemTime::UNIX_EPOCH]).await.expect("an import");
    let mut settings = settings();
    settings.bcrypt_cost = 6;
    let service = service.with_settings(settings);
    let sign_in = |password: &str| json!({ "username": "old", "password": password }).to_string();
    assert_eq!(service.anonymous().post("/api/token", &sign_in("wrong")).await.status, 401);
    assert_eq!(stored().await, hash);
    assert_eq!(service.anonymous().post("/api/token", &sign_in("U*U")).await.status, 200);
    let replaced = stored().await;
    assert!(replaced.starts_with("$2b$06$"), "{replaced}");
    assert_eq!(service.anonymous().post("/api/token", &sign_in("U*U")).await.status, 200);
    assert_eq!(stored().await, replaced, "a hash with the configured cost is kept");
}

#[tokio::test]
async fn an_access_token_expires_after_one_hour() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    assert_eq!(ada.store("key", json!(1)).await.status, 201);
    service.clock.advance(Duration::from_hours(1));
    assert_eq!(ada.get("/api/data/key").await.status, 200, "the token is still valid within the leeway");
    service.clock.advance(Duration::from_secs(5));
    assert_eq!(ada.get("/api/data/key").await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(ada.sign_in("ada").await.get("/api/data/key").await.status, 200);
}
