//! Tests of `POST /api/register`: response, validation, and unique usernames and email addresses.

use expect_test::expect;
use serde_json::{Value, json};
use shared::settings::Settings;

use crate::support::{in_process, password, race, registration, settings};

#[tokio::test]
async fn a_new_account_is_returned_without_its_password() {
    let response = in_process().anonymous().post("/api/register", &registration("Ada.L").body()).await;
    expect![[r#"
        201
        {
          "data": {
            "age": 36,
            "created_at": "2026-01-01T00:00:00.000Z",
            "email": "Ada.L@example.com",
            "email_verified": false,
            "full_name": "Ada Lovelace",
            "gender": "female",
            "user_id": "[UUIDv7]",
            "username": "Ada.L"
          },
          "message": "Account created",
          "status": "success"
        }
    "#]]
    .assert_eq(&response.to_string());
}

#[tokio::test]
async fn every_error_in_a_body_is_reported() {
    let body =
        json!({ "username": "a b", "email": "ada", "password": "short", "full_name": " ", "age": 0, "gender": "" });
    let response = in_process().anonymous().post("/api/register", &body.to_string()).await;
    expect![[r#"
        400
        {
          "code": "INVALID_REQUEST",
          "errors": [
            {
              "code": "INVALID_REQUEST",
              "field": "username",
              "message": "username must be 3 to 50 characters, each one of A-Z a-z 0-9 . _ -"
            },
            {
              "code": "INVALID_REQUEST",
              "field": "email",
              "message": "email must be an address such as name@example.com of at most 254 bytes"
            },
            {
              "code": "INVALID_PASSWORD",
              "field": "password",
              "message": "password must be at least 8 characters"
            },
            {
              "code": "INVALID_REQUEST",
              "field": "full_name",
              "message": "full_name must be 1 to 100 visible characters or spaces"
            },
            {
              "code": "INVALID_AGE",
              "field": "age",
              "message": "age must be a whole number from 1 to 150"
            },
            {
              "code": "GENDER_REQUIRED",
              "field": "gender",
              "message": "gender is required"
            }
          ],
          "message": "username must be 3 to 50 characters, each one of A-Z a-z 0-9 . _ -; email must be an address such as name@example.com of at most 254 bytes; password must be at least 8 characters; full_name must be 1 to 100 visible characters or spaces; age must be a whole number from 1 to 150; gender is required",
          "request_id": "request-1",
          "status": "error"
        }
    "#]].assert_eq(&response.to_string());
}

#[tokio::test]
async fn every_missing_field_is_reported() {
    let response = in_process().anonymous().post("/api/register", "{}").await;
    expect![[r#"
        400
        {
          "code": "INVALID_REQUEST",
          "errors": [
            {
              "code": "INVALID_REQUEST",
              "field": "username",
              "message": "username is required"
            },
            {
              "code": "INVALID_REQUEST",
              "field": "email",
              "message": "email is required"
            },
            {
              "code": "INVALID_REQUEST",
              "field": "password",
              "message": "password is required"
            },
            {
              "code": "INVALID_REQUEST",
              "field": "full_name",
              "message": "full_name is required"
            },
            {
              "code": "INVALID_REQUEST",
              "field": "age",
              "message": "age is required"
            },
            {
              "code": "GENDER_REQUIRED",
              "field": "gender",
              "message": "gender is required"
            }
          ],
          "message": "username is required; email is required; password is required; full_name is required; age is required; gender is required",
          "request_id": "request-1",
          "status": "error"
        }
    "#]].assert_eq(&response.to_string());
}

#[tokio::test]
async fn an_invalid_field_is_reported_with_its_error_code() {
    let anonymous = in_process().anonymous();
    let with = |field: &str, value: Value| registration("ada").with(field, value);
    for (registration, expected) in [
        (registration("ada").without("username"), "400 INVALID_REQUEST"),
        (registration("ada").without("email"), "400 INVALID_REQUEST"),
        (registration("ada").without("password"), "400 INVALID_REQUEST"),
        (registration("ada").without("full_name"), "400 INVALID_REQUEST"),
        (registration("ada").without("age"), "400 INVALID_REQUEST"),
        (registration("ada").without("gender"), "400 GENDER_REQUIRED"),
        (with("gender", Value::Null), "400 GENDER_REQUIRED"),
        (with("gender", json!("")), "400 GENDER_REQUIRED"),
        (with("gender", json!(1)), "400 INVALID_REQUEST"),
        (with("gender", json!("x".repeat(51))), "400 INVALID_REQUEST"),
        (with("age", json!(0)), "400 INVALID_AGE"),
        (with("age", json!(151)), "400 INVALID_AGE"),
        (with("age", json!(1.5)), "400 INVALID_AGE"),
        (with("age", json!("36")), "400 INVALID_AGE"),
        (with("age", json!([36])), "400 INVALID_AGE"),
        (with("age", json!(true)), "400 INVALID_AGE"),
        (with("password", json!("1234567")), "400 INVALID_PASSWORD"),
        (with("password", json!("x".repeat(1025))), "400 INVALID_PASSWORD"),
        (with("password", json!("ADA@example.com")), "400 INVALID_PASSWORD"),
        (with("password", json!("Password1")), "400 INVALID_PASSWORD"),
        (with("password", json!(12_345_678)), "400 INVALID_REQUEST"),
        (with("username", json!(["ada"])), "400 INVALID_REQUEST"),
        (with("username", json!("ab")), "400 INVALID_REQUEST"),
        (with("email", json!("ada@")), "400 INVALID_REQUEST"),
        (with("full_name", json!("x".repeat(101))), "400 INVALID_REQUEST"),
    ] {
        let response = anonymous.post("/api/register", &registration.body()).await;
        assert_eq!(response.outcome(), expected, "{registration:?}");
    }
    assert_eq!(
        anonymous.post("/api/register", &registration("ada").body()).await.status,
        201,
        "rejected registrations must not be stored"
    );
}

#[tokio::test]
async fn ages_and_passwords_at_their_limits_are_accepted() {
    let anonymous = in_process().anonymous();
    for (index, registration) in [
        registration("first").with("age", 1),
        registration("second").with("age", 150),
        registration("third").with("age", json!(36.0)),
        registration("fourth").with("password", "😀".repeat(64)),
        registration("fifth").with("password", "8 digits"),
        registration("sixth").with("unknown", "member"),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(anonymous.post("/api/register", &registration.body()).await.status, 201, "{index}");
    }
}

#[tokio::test]
async fn usernames_and_email_addresses_are_unique_regardless_of_case() {
    let anonymous = in_process().anonymous();
    anonymous.post("/api/register", &registration("ada").body()).await;
    let again = anonymous.post("/api/register", &registration("ADA").with("email", "other@example.com").body()).await;
    expect![[r#"
        409
        {
          "code": "USERNAME_EXISTS",
          "message": "This username is taken. Choose another one.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&again.to_string());
    let address = anonymous.post("/api/register", &registration("other").with("email", "ADA@EXAMPLE.COM").body()).await;
    assert_eq!(address.outcome(), "409 EMAIL_EXISTS");
}

#[tokio::test]
async fn an_international_address_is_one_account_in_any_case_normalization_and_form_of_its_domain() {
    let anonymous = in_process().anonymous();
    for (index, addresses) in [
        ["Σοφός@παράδειγμα.ελ", "σοφόΣ@παράδειγμα.ελ", "ΣΟΦΌΣ@xn--hxajbheg2az3al.xn--qxam"],
        ["ju\u{308}rgen@exa\u{308}mple.de", "JÜRGEN@EXÄMPLE.DE", "jürgen@xn--exmple-cua.de"],
        ["தமிழ்@உதாரணம்.இந்தியா", "தமிழ்@உதாரணம்。இந்தியா", "தமிழ்@xn--zkc6cc5bi7f6e.xn--xkc2dl3a5ee0h"],
    ]
    .iter()
    .enumerate()
    {
        let [first, ..] = addresses;
        let registered = registration(&format!("first-{index}")).with("email", *first);
        let response = anonymous.post("/api/register", &registered.body()).await;
        assert_eq!((response.status, response.text("email").as_str()), (201, *first), "it is kept as it was written");
        for address in addresses {
            let again = registration("other").with("email", *address);
            assert_eq!(anonymous.post("/api/register", &again.body()).await.outcome(), "409 EMAIL_EXISTS", "{address}");
            assert_eq!(anonymous.token_for(address, password()).await.status, 200, "{address}");
        }
    }
}

#[tokio::test]
async fn addresses_that_cannot_exist_and_invisible_characters_are_rejected() {
    let anonymous = in_process().anonymous();
    for (field, text) in [
        ("email", "a@b$c.com"),
        ("email", "a@b_c.com"),
        ("email", "a@b.com?x=y"),
        ("email", "a@1.0/0.0"),
        ("email", "a@127.0.0.1"),
        ("email", "a\u{200b}da@example.com"),
        ("email", "ada@exam\u{ad}ple.com"),
        ("full_name", "\u{200b}"),
        ("full_name", "\u{3164}"),
        ("full_name", "\u{202e}Ada"),
        ("gender", "\u{2060}"),
        ("gender", "fe\u{200b}male"),
    ] {
        let response = anonymous.post("/api/register", &registration("ada").with(field, text).body()).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{field} {text:?}");
        assert_eq!(response.json()["errors"][0]["field"], field);
    }
    let named = registration("ada").with("full_name", "علی\u{200c}رضا").with("gender", "👩\u{200d}🚀");
    assert_eq!(anonymous.post("/api/register", &named.body()).await.status, 201);
}

/// A number that is read as a binary fraction would be rounded to an allowed one.
#[tokio::test]
async fn whole_numbers_are_exact() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let with = |field: &str, body: &str, number: &str| {
        body.replace(&format!("\"{field}\":1"), &format!("\"{field}\":{number}"))
    };
    let account = r#"{"age":1}"#;
    let value = r#"{"key":"key","value":1,"expires_in":1}"#;
    let batch = r#"{"operations":[{"op":"get","key":"other","if_version":1}]}"#;
    ada.store("other", json!(1)).await;
    for number in ["0.99999999999999999999", "1.00000000000000000001", "1e-1"] {
        assert_eq!(ada.patch("/api/account", &with("age", account, number)).await.outcome(), "400 INVALID_AGE");
        assert_eq!(ada.post("/api/data", &with("expires_in", value, number)).await.outcome(), "400 INVALID_REQUEST");
        assert_eq!(
            ada.post("/api/data/batch", &with("if_version", batch, number)).await.outcome(),
            "400 INVALID_REQUEST"
        );
    }
    for (number, expected) in
        [("9007199254740991", "412 PRECONDITION_FAILED"), ("9007199254740992", "400 INVALID_REQUEST")]
    {
        assert_eq!(ada.post("/api/data/batch", &with("if_version", batch, number)).await.outcome(), expected);
    }
    for number in ["1.0", "10e-1", "0.1e1"] {
        assert_eq!(ada.patch("/api/account", &with("age", account, number)).await.outcome(), "200");
        assert_eq!(ada.post("/api/data/batch", &with("if_version", batch, number)).await.outcome(), "200");
    }
}

#[tokio::test]
async fn one_of_several_concurrent_registrations_of_a_username_succeeds() {
    let anonymous = in_process().anonymous();
    let outcomes = race(8, |index| {
        let (anonymous, name) = (anonymous.clone(), if index % 2 == 0 { "racer" } else { "RACER" });
        async move { anonymous.post("/api/register", &registration(name).body()).await }
    });
    let expected = [("201".to_owned(), 1), ("409 USERNAME_EXISTS".to_owned(), 7)];
    assert_eq!(outcomes.await, expected.into());
}

#[tokio::test]
async fn closed_registration_rejects_everyone_and_leaves_accounts_alone() {
    let service = in_process();
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    let closed = service.with_settings(Settings { registration_is_open: false, ..settings() });
    expect![[r#"
        403
        {
          "code": "REGISTRATION_CLOSED",
          "message": "Registration is closed. Ask the operator of this service for an account.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&closed.anonymous().post("/api/register", &registration("bob").body()).await.to_string());
    for body in [registration("ada").body(), "{".to_owned()] {
        // Neither a taken name nor a fault is told.
        assert_eq!(closed.anonymous().post("/api/register", &body).await.outcome(), "403 REGISTRATION_CLOSED");
    }
    assert_eq!(closed.anonymous().token_for("ada", password()).await.status, 200);
    assert_eq!(closed.anonymous().token_for("bob", password()).await.outcome(), "401 INVALID_CREDENTIALS");
}
