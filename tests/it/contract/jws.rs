//! Access tokens against the attacks that are known on JSON Web Signatures (RFC 7515, RFC 8725). Each token is signed with the right
//! key, so that only the rule that it breaks rejects it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::support::{Client, Outcome, SECRET, in_process, private_key};

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Signs the texts of a header and claims with HMAC-SHA-256.
fn signed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes())))
}

/// Returns the texts of a token's header and claims.
fn parts(token: &str) -> (String, String) {
    let part = |index| {
        let text = token.split('.').nth(index).unwrap_or_default();
        String::from_utf8(URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("UTF-8")
    };
    (part(0), part(1))
}

async fn outcome(ada: &Client, token: &str) -> String {
    ada.clone().with_token(token).get("/api/account").await.outcome()
}

#[tokio::test]
async fn a_token_has_one_encoding() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let token = ada.token();
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let (header, claims) = message.split_once('.').expect("three parts");
    // The last character of 32 bytes has four bits, and two that a lenient decoder ignores.
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = ALPHABET.iter().position(|byte| Some(byte) == signature.as_bytes().last()).expect("base64url");
    let ignored_bits = char::from(ALPHABET[last ^ 1]);
    for (case, forged) in [
        ("padding of the signature", format!("{message}.{signature}=")),
        ("bits that are ignored", format!("{message}.{}{ignored_bits}", &signature[..signature.len() - 1])),
        ("a space", format!("{message}. {signature}")),
        ("a line feed", format!("{message}.{signature}%0A")),
        ("the other alphabet", format!("{message}.{}", signature.replace('-', "+").replace('_', "/")) + "/"),
        ("padding of the header", format!("{header}==.{claims}.{signature}")),
        ("an empty part", format!("{header}..{claims}.{signature}")),
        ("five parts, as of a JWE", format!("{header}.{claims}.{signature}.x.y")),
        (
            "the JSON serialization",
            json!({ "payload": claims, "protected": header, "signature": signature }).to_string(),
        ),
        ("a truncated MAC", format!("{message}.{}", &signature[..22])),
        ("an extended MAC", format!("{message}.{signature}AAAA")),
        ("two tokens", format!("{token},{token}")),
    ] {
        assert_eq!(outcome(&ada, &forged).await, "401 INVALID_TOKEN", "{case}: {forged}");
    }
    assert_eq!(outcome(&ada, &token).await, "200");
}

#[tokio::test]
async fn a_header_or_claims_that_parsers_read_differently_are_rejected() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let (header, claims) = parts(&ada.token());
    let secret = SECRET.as_bytes();
    assert_eq!(outcome(&ada, &signed(&header, &claims, secret)).await, "200");
    let with = |text: &str, members: &str| text.replacen('{', &format!("{{{members},"), 1);
    for (case, header) in [
        ("alg twice, none first", with(&header, r#""alg":"none""#)),
        ("alg twice, none last", header.replacen('}', r#","alg":"none"}"#, 1)),
        ("alg twice, escaped", with(&header, r#""al\u0067":"none""#)),
        ("kid twice", with(&header, r#""kid":"other""#)),
        ("typ twice", with(&header, r#""typ":"JWT""#)),
        ("crit b64", with(&header, r#""b64":false,"crit":["b64"]"#)),
        ("crit of an unknown name", with(&header, r#""crit":["http://example.com/x"],"http://example.com/x":true"#)),
        ("crit twice", with(&header, r#""crit":[],"crit":["exp"]"#)),
        ("crit is a text", with(&header, r#""crit":"exp""#)),
        ("alg null", header.replace(r#""HS256""#, "null")),
        ("alg is a list", header.replace(r#""HS256""#, r#"["HS256"]"#)),
        ("alg with a blank", header.replace(r#""HS256""#, r#""HS256 ""#)),
        ("alg ES256 for a secret", header.replace(r#""HS256""#, r#""ES256""#)),
        ("a byte order mark", format!("\u{feff}{header}")),
        ("text after the object", format!("{header}{{}}")),
        ("a comment", header.replacen('{', "{/**/", 1)),
        ("an array", format!("[{header}]")),
        ("a text", json!(header).to_string()),
        ("nothing", String::new()),
        ("null", "null".to_owned()),
        ("deep", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
    ] {
        assert_eq!(outcome(&ada, &signed(&header, &claims, secret)).await, "401 INVALID_TOKEN", "{case}");
    }
    for (case, claims) in [
        ("sub twice", with(&claims, r#""sub":"01900000-0000-7000-8000-000000000000""#)),
        ("exp twice", with(&claims, r#""exp":99999999999"#)),
        ("aud as a list", claims.replace(r#""aud":"keyhold""#, r#""aud":["keyhold","other"]"#)),
        ("exp as a text", claims.replace(r#""exp":"#, r#""exp":"1","x":"#)),
        ("a byte order mark", format!("\u{feff}{claims}")),
        ("text after the object", format!("{claims} x")),
        ("an array", format!("[{claims}]")),
        ("nothing", String::new()),
    ] {
        assert_eq!(outcome(&ada, &signed(&header, &claims, secret)).await, "401 INVALID_TOKEN", "{case}");
    }
    assert_eq!(outcome(&ada, &signed(b"\xff{}", &claims, secret)).await, "401 INVALID_TOKEN");
}

/// The names of header members that carry or locate a key are not followed (RFC 8725 §3.9, §3.10).
#[tokio::test]
async fn a_key_in_the_token_does_not_verify_it() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let (header, claims) = parts(&ada.token());
    let own = b"a secret of the attacker, 32 byte";
    let jwk = json!({ "kty": "oct", "k": encode(own), "alg": "HS256", "kid": "own" });
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/chain")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
    ] {
        let mut header: Value = serde_json::from_str(&header).expect("JSON");
        header[name] = value;
        let token = signed(header.to_string(), &claims, own);
        assert_eq!(outcome(&ada, &token).await, "401 INVALID_TOKEN", "{name}");
    }
    // The example of RFC 7515 A.1.
    let example = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(outcome(&ada, example).await, "401 INVALID_TOKEN");
}

#[tokio::test]
async fn a_public_key_and_malformed_signatures_verify_nothing() -> Outcome {
    let service = in_process().with_ring(&private_key());
    let ada = service.anonymous().sign_up("ada").await;
    let token = ada.token();
    let (header, claims) = parts(&token);
    let (message, signature) = token.rsplit_once('.').ok_or("three parts")?;
    let signature = URL_SAFE_NO_PAD.decode(signature)?;
    let keys = service.anonymous().get("/.well-known/jwks.json").await;
    let key = keys.json()["keys"][0].clone();
    let point = [
        vec![4],
        URL_SAFE_NO_PAD.decode(key["x"].as_str().ok_or("x")?)?,
        URL_SAFE_NO_PAD.decode(key["y"].as_str().ok_or("y")?)?,
    ]
    .concat();
    let hs256 = header.replace("ES256", "HS256");
    for secret in [
        &point,
        &point[1..].to_vec(),
        &key.to_string().into_bytes(),
        &keys.body.clone().into_bytes(),
        &private_key().into_bytes(),
        &Vec::new(),
    ] {
        for header in [&header, &hs256] {
            assert_eq!(outcome(&ada, &signed(header, &claims, secret)).await, "401 INVALID_TOKEN");
        }
    }
    let der = PrivatePkcs8KeyDer::from_pem_slice(private_key().as_bytes())?;
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.secret_pkcs8_der(), &random)
        .map_err(|_| "a key")?;
    let asn1 = pair.sign(&random, message.as_bytes()).map_err(|_| "a signature")?;
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    for (case, forged) in [
        ("empty", Vec::new()),
        ("r = s = 0 (CVE-2022-21449)", vec![0; 64]),
        ("r = s = n", [order, order].concat()),
        ("r = 0", [&[0; 32], &signature[32..]].concat()),
        ("s = 0", [&signature[..32], &[0; 32]].concat()),
        ("ASN.1", asn1.as_ref().to_vec()),
        ("s and r", [&signature[32..], &signature[..32]].concat()),
        ("one byte less", signature[..63].to_vec()),
        ("one byte more", [&signature[..], &[0]].concat()),
        ("48 bytes for each, as of ES384", [&[0; 16], &signature[..32], &[0; 16], &signature[32..]].concat()),
    ] {
        let token = format!("{message}.{}", encode(forged));
        assert_eq!(outcome(&ada, &token).await, "401 INVALID_TOKEN", "{case}");
    }
    let other = format!("{}.{}", encode(header), encode(claims.replace("keyhold", "other")));
    assert_eq!(outcome(&ada, &format!("{other}.{}", encode(&signature))).await, "401 INVALID_TOKEN", "other claims");
    assert_eq!(outcome(&ada, &token).await, "200");
    Ok(())
}
