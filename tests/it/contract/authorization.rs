//! Tests that every protected route rejects requests without a valid access token, and of the checks of a token.

use expect_test::expect;
use serde_json::json;
use shared::http::Route;

use crate::support::{Client, Forged, Gateway, Mailbox, Response, Service, database, endpoints, in_process, password};

/// The routes that do not require an access token. Every other route must reject requests without a valid token. `routes::admin`
/// tests the admin routes, which require an operator.
const OPEN: [&str; 12] = [
    "POST /api/register",
    "POST /api/token",
    "POST /api/token/refresh",
    "POST /api/token/revoke",
    "POST /api/email-verification/confirm",
    "POST /api/password-reset",
    "POST /api/password-reset/confirm",
    "GET /.well-known/jwks.json",
    "GET /api/health",
    "GET /api/health/ready",
    "GET /api/openapi.json",
    "GET /api/docs",
];

fn protected() -> Vec<Route> {
    endpoints()
        .into_iter()
        .map(|(_, route)| route)
        .filter(|route| !OPEN.contains(&route.to_string().as_str()) && !route.path.starts_with("/api/admin/"))
        .collect()
}

async fn call(client: &Client, route: &Route) -> Response {
    let path = route.path.replace("{key+}", "key").replace("{id}", "01900000-0000-7000-8000-000000000000");
    match route.to_string().as_str() {
        "PUT /api/account/password" => {
            client
                .put(&path, &json!({ "current_password": password(), "new_password": "another password" }).to_string())
                .await
        }
        "POST /api/account/email" => {
            client.post(&path, &json!({ "email": "other@example.com", "password": password() }).to_string()).await
        }
        "POST /api/account/email/confirm" => {
            let handle = "9b2d6a0e-7a57-4f0e-9d67-3a1f5e0c8b21";
            client.post(&path, &json!({ "handle": handle, "code": "12345678" }).to_string()).await
        }
        "POST /api/email-verification" => client.post(&path, "").await,
        "DELETE /api/account" => client.delete_with(&path, &json!({ "password": password() }).to_string()).await,
        "PATCH /api/account" => client.patch(&path, r#"{"age":99}"#).await,
        "POST /api/data" => client.post(&path, r#"{"key":"other","value":1}"#).await,
        "POST /api/data/batch" => {
            client.post(&path, r#"{"operations":[{"op":"put","upsert":true,"key":"key","value":2}]}"#).await
        }
        "PUT /api/data/{key+}" => client.put(&path, r#"{"value":2}"#).await,
        route if route.starts_with("GET ") => client.get(&path).await,
        route if route.starts_with("DELETE ") => client.delete(&path).await,
        route => panic!("add a request for {route} to `call`"),
    }
}

#[test]
fn every_open_route_exists() {
    let routes: Vec<String> = endpoints().into_iter().map(|(_, route)| route.to_string()).collect();
    assert!(
        OPEN.iter().all(|open| routes.contains(&(*open).to_owned())),
        "OPEN lists a route that does not exist: remove it"
    );
}

#[tokio::test]
async fn a_request_without_credentials_gets_a_challenge_without_an_error() {
    let service = in_process();
    for route in protected() {
        let response = call(&service.anonymous(), &route).await;
        assert_eq!(response.outcome(), "401 INVALID_TOKEN", "{route}");
        assert_eq!(response.header("www-authenticate"), Some("Bearer"), "{route}");
    }
    expect![[r#"
        401
        www-authenticate: Bearer
        {
          "code": "INVALID_TOKEN",
          "message": "Send an access token in the header `Authorization: Bearer <token>`.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&service.anonymous().get("/api/data/key").await.to_string());
}

#[tokio::test]
async fn invalid_credentials_are_rejected_on_every_route() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    for authorization in [
        "Bearer x",
        "Bearer ",
        "Bearer",
        "bearer a.b.c",
        "Bearer a b",
        "Bearer a,Bearer b",
        "Bearer é",
        "Bearer ..",
        "",
    ] {
        for route in protected() {
            let response = call(&service.anonymous().with_header("authorization", authorization), &route).await;
            assert_eq!(response.outcome(), "401 INVALID_TOKEN", "{route} {authorization:?}");
            assert_eq!(
                response.header("www-authenticate"),
                Some(r#"Bearer error="invalid_token""#),
                "{authorization:?}"
            );
        }
    }
    let basic = service.anonymous().with_header("authorization", "Basic YWRhOng=").get("/api/data/key").await;
    assert_eq!(
        (basic.status, basic.header("www-authenticate")),
        (401, Some("Bearer")),
        "another scheme counts as a request without credentials"
    );
}

#[tokio::test]
async fn an_invalid_token_is_rejected_on_every_route() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let anonymous = service.anonymous();
    let ada = anonymous.clone().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let token = ada.token();
    let good = Forged::from(&token);
    let now = 1_767_225_600_i64;
    assert_eq!(
        call(&anonymous.clone().with_token(&good.sign()), &data_get::ROUTE).await.status,
        200,
        "a forged token that is valid must be accepted"
    );

    let unknown_id = "01900000-0000-7000-8000-000000000000";
    let bad = [
        ("unsigned", good.unsigned()),
        ("alg None", good.clone().with_header("alg", "None").unsigned()),
        ("alg hs256", good.clone().with_header("alg", "hs256").sign()),
        ("alg HS512", good.sign_hs512()),
        ("alg RS256", good.clone().with_header("alg", "RS256").sign()),
        ("no alg", good.clone().without_header("alg").sign()),
        ("another secret", good.clone().with_secret(b"another secret of some 32 bytes..").sign()),
        ("an empty secret", good.clone().with_secret(b"").sign()),
        ("no signature", token.rsplit_once('.').map(|(message, _)| format!("{message}.")).unwrap_or_default()),
        ("a truncated signature", token[..token.len() - 2].to_owned()),
        ("two parts", token.rsplit_once('.').map(|(message, _)| message.to_owned()).unwrap_or_default()),
        ("four parts", format!("{token}.x")),
        ("no typ", good.clone().without_header("typ").sign()),
        ("typ JWT", good.clone().with_header("typ", "JWT").sign()),
        ("no kid", good.clone().without_header("kid").sign()),
        ("unknown kid", good.clone().with_header("kid", "other").sign()),
        ("kid as a path", good.clone().with_header("kid", "../../../dev/null").sign()),
        ("kid as SQL", good.clone().with_header("kid", "' or '1'='1").sign()),
        ("kid is a number", good.clone().with_header("kid", 1).sign()),
        ("a kid of 10,000 characters", good.clone().with_header("kid", "x".repeat(10_000)).sign()),
        ("crit", good.clone().with_header("crit", json!(["exp"])).sign()),
        ("crit null", good.clone().with_header("crit", json!(null)).sign()),
        ("empty crit", good.clone().with_header("crit", json!([])).sign()),
        ("another iss", good.clone().with_claim("iss", "other").sign()),
        ("no iss", good.clone().without_claim("iss").sign()),
        ("another aud", good.clone().with_claim("aud", "other").sign()),
        ("no aud", good.clone().without_claim("aud").sign()),
        ("no sub", good.clone().without_claim("sub").sign()),
        ("sub is not a UUID", good.clone().with_claim("sub", "ada").sign()),
        ("sub of an unknown user", good.clone().with_claim("sub", unknown_id).sign()),
        ("no sid", good.clone().without_claim("sid").sign()),
        ("sid of an unknown session", good.clone().with_claim("sid", unknown_id).sign()),
        ("no exp", good.clone().without_claim("exp").sign()),
        ("expired", good.clone().with_claim("exp", now - 5).sign()),
        ("exp is a string", good.clone().with_claim("exp", (now + 60).to_string()).sign()),
        ("exp negative", good.clone().with_claim("exp", -1).sign()),
        ("exp fractional", good.clone().with_claim("exp", 1_767_225_700.5).sign()),
        ("exp above 2^64", good.clone().with_claim("exp", 1e300).sign()),
        ("nbf negative", good.clone().with_claim("nbf", -1).sign()),
        ("nbf is a string", good.clone().with_claim("nbf", now.to_string()).sign()),
        ("iat negative", good.clone().with_claim("iat", -1).sign()),
        ("iat huge", good.clone().with_claim("iat", u64::MAX).sign()),
        ("exp null", good.clone().with_claim("exp", json!(null)).sign()),
        ("no nbf", good.clone().without_claim("nbf").sign()),
        ("not yet valid", good.clone().with_claim("nbf", now + 6).sign()),
        ("issued in the future", good.clone().with_claim("iat", now + 6).sign()),
        ("nbf huge", good.clone().with_claim("nbf", u64::MAX).sign()),
        ("iat is an array", good.clone().with_claim("iat", json!([now])).sign()),
    ];
    for (case, token) in &bad {
        for route in protected() {
            let response = call(&anonymous.clone().with_token(token), &route).await;
            assert_eq!(response.outcome(), "401 INVALID_TOKEN", "{route}: {case}");
        }
    }
    assert_eq!(ada.get("/api/data/key").await.value_text(), "1", "a rejected request must not change the value");
}

#[tokio::test]
async fn a_valid_token_is_accepted_with_additional_members_and_in_other_spellings() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let token = ada.token();
    let good = Forged::from(&token);
    for (case, token) in [
        ("nbf within the leeway", good.clone().with_claim("nbf", 1_767_225_605).sign()),
        ("typ as a full media type", good.clone().with_header("typ", "application/AT+JWT").sign()),
        ("jku is not followed", good.clone().with_header("jku", "https://example.com/keys").sign()),
        ("x5u is not followed", good.clone().with_header("x5u", "https://example.com/chain").sign()),
        ("jwk is ignored", good.clone().with_header("jwk", json!({ "kty": "oct", "k": "AAAA" })).sign()),
        ("x5c is ignored", good.clone().with_header("x5c", json!(["AAAA"])).sign()),
        ("an additional claim", good.clone().with_claim("scope", "everything").sign()),
    ] {
        assert_eq!(service.anonymous().with_token(&token).get("/api/data/key").await.status, 200, "{case}");
    }
    for scheme in ["bearer", "BEARER", "Bearer "] {
        let client = service.anonymous().with_header("authorization", &format!("{scheme} {token}"));
        assert_eq!(client.get("/api/data/key").await.status, 200, "{scheme}");
    }
    assert_eq!(ada.behind(Gateway::CargoLambda).get("/api/data/key").await.status, 200);
}

#[tokio::test]
async fn a_token_in_the_query_or_the_body_is_ignored() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let token = ada.token();
    let response = service.anonymous().get(&format!("/api/data/key?access_token={token}")).await;
    assert_eq!(response.outcome(), "401 INVALID_TOKEN");
    let body = json!({ "key": "key", "value": 1, "access_token": token }).to_string();
    assert_eq!(service.anonymous().post("/api/data", &body).await.outcome(), "401 INVALID_TOKEN");
}

#[tokio::test]
async fn a_token_of_a_deleted_session_is_rejected_on_every_route() {
    let mailbox = Mailbox::default();
    let service = Service::new(database(), mailbox.settings());
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    service.database.connect().await.execute("delete from sessions", &[]).await.expect("the deletion of all sessions");
    for route in protected() {
        let response = call(&ada, &route).await;
        assert_eq!(response.outcome(), "401 INVALID_TOKEN", "{route}");
    }
    assert_eq!(
        ada.sign_in("ada").await.get("/api/data/key").await.value_text(),
        "1",
        "a rejected request must not change the value"
    );
}
