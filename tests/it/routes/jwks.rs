//! Tests of `GET /.well-known/jwks.json`, and of access tokens that are signed with a key pair.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use expect_test::expect;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::support::{Forged, Outcome, SECRET, SECRET_ID, in_process, private_key};

/// Returns the public key of a JWK as an uncompressed point: 4, x, y.
fn point(key: &Value) -> Vec<u8> {
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().expect("a text")).expect("base64url");
    [vec![4], coordinate("x"), coordinate("y")].concat()
}

#[tokio::test]
async fn without_a_key_pair_the_key_set_is_empty() {
    let answer = in_process().anonymous().get("/.well-known/jwks.json").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"keys":[]}"#));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
}

#[tokio::test]
async fn the_published_key_verifies_an_access_token() -> Outcome {
    let service =
        in_process().with_ring(&json!({ "keys": [{ "kid": "pair", "private_key": private_key() }] }).to_string());
    let ada = service.anonymous().sign_up("ada").await;
    let keys = service.anonymous().get("/.well-known/jwks.json").await.json();
    let members: Vec<&String> = keys["keys"][0].as_object().ok_or("a key")?.keys().collect();
    expect![[r#"
        [
            "alg",
            "crv",
            "kid",
            "kty",
            "use",
            "x",
            "y",
        ]
    "#]]
    .assert_debug_eq(&members);
    let token = ada.token();
    assert_eq!(*Forged::from(&token).header(), json!({ "alg": "ES256", "typ": "at+jwt", "kid": "pair" }));
    let (message, signature) = token.rsplit_once('.').ok_or("three parts")?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(&keys["keys"][0]))
        .verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?)
        .map_err(|_| "the published key does not verify the signature")?;
    assert_eq!(ada.get("/api/account").await.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_single_private_key_is_accepted_as_a_key_ring() {
    let service = in_process().with_ring(&private_key());
    assert_eq!(service.anonymous().sign_up("ada").await.get("/api/account").await.status, 200);
}

/// RFC 8725 §2.1: verification must not use a public key as a secret, or accept an algorithm other than the key's.
#[tokio::test]
async fn a_token_signed_with_the_wrong_kind_of_key_is_rejected() {
    let ring = json!({ "keys": [
        { "kid": "pair", "private_key": private_key() }, { "kid": SECRET_ID, "secret": SECRET },
    ] });
    let service = in_process().with_ring(&ring.to_string());
    let ada = service.anonymous().sign_up("ada").await;
    let key = service.anonymous().get("/.well-known/jwks.json").await.json()["keys"][0].clone();
    let token = ada.token();
    let good = Forged::from(&token);
    let valid = good.clone().with_header("alg", "HS256").with_header("kid", SECRET_ID);
    assert_eq!(
        ada.clone().with_token(&valid.sign()).get("/api/account").await.status,
        200,
        "a forged token that is valid must be accepted"
    );
    let hs256 = good.clone().with_header("alg", "HS256");
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    for (case, forged) in [
        ("signed with the public key as the secret", hs256.clone().with_secret(&point(&key)).sign()),
        ("signed with the JWK as the secret", hs256.clone().with_secret(key.to_string().as_bytes()).sign()),
        ("signed with the secret of another key", hs256.sign()),
        ("alg ES256 with an HS256 signature", good.clone().sign()),
        ("alg ES256 with the kid of a secret", good.clone().with_header("kid", SECRET_ID).sign()),
        ("alg es256", good.clone().with_header("alg", "es256").sign()),
        ("alg ES384", good.clone().with_header("alg", "ES384").sign()),
        ("unsigned", good.clone().unsigned()),
        ("no signature", format!("{message}.")),
        ("a signature of zeros", format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("a truncated signature", format!("{message}.{}", &signature[..84])),
        ("a jwk in the header", good.clone().with_header("jwk", key.clone()).with_header("alg", "HS256").sign()),
    ] {
        let answer = ada.clone().with_token(&forged).get("/api/account").await;
        assert_eq!(answer.outcome(), "401 INVALID_TOKEN", "{case}");
    }
}
