//! Fuzz targets: functions that take any bytes and panic if a property does not hold. Every error must be one of the client.
//!
//! libFuzzer runs them (`tests/fuzz`), and `contract::corpus` replays the inputs that it has found. This file depends on `shared`
//! and on crates that both have.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::json;
use serde_json::value::RawValue;
use shared::auth::access_token::{self, TokenPolicy};
use shared::auth::refresh_token::RefreshToken;
use shared::auth::verifying_keys::VerifyingKeys;
use shared::domain::{
    Age, Email, FullName, Gender, Key, KeyPrefix, Lifetime, Limit, MailedCode, PasswordPolicy, SessionId,
    TrustedProxies, UserId, Username, Value, Verb, Version, VersionMatch, canonical_name, cursor,
};
use shared::error::{ApiError, Code};
use shared::http::{self, Body, Query, Request};

/// A function that panics if a property does not hold for an input.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("event", event),
    ("body", body),
    ("parameters", parameters),
    ("preconditions", preconditions),
    ("access_token", access_token),
    ("tokens", tokens),
    ("identity", identity),
    ("numbers", numbers),
];

/// The secret that signs the tokens of the corpus.
pub const SECRET: &str = "9f8a1c0d5be24f7a8e3b6c1d2f405968";

/// An event of the gateway, and all that handlers read from it.
pub fn event(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(request) = Request::from_event(text) {
        check(http::path::<Key>(&request, "key"));
        check(http::path::<SessionId>(&request, "id"));
        check(Query::of(&request).flag("upsert"));
        check(http::if_match(&request));
        check(Body::read(&request).and_then(|body| body.only_text::<Username>("username")));
    }
}

/// A body: an object in UTF-8 that another parser accepts too, whose value keeps its text.
pub fn body(input: &[u8]) {
    let request = request(json!({
        "headers": { "content-type": "application/json" },
        "body": STANDARD.encode(input),
        "isBase64Encoded": true,
    }));
    let Some(mut body) = check(Body::read(&request)) else { return };
    let text = str::from_utf8(input).expect("the body was accepted, so it is UTF-8").trim_start_matches('\u{feff}');
    let members: HashMap<String, &RawValue> = serde_json::from_str(text).expect("another parser accepts the object");
    if let Some(value) = body.value() {
        assert_eq!(value.as_str(), members["value"].get(), "the text of a value stays as it is");
        let stored = Value::from_stored(value.as_str().to_owned()).expect("what is accepted can be read again");
        assert_eq!(stored.as_str(), value.as_str());
    }
    let _: Option<Key> = body.text("key", Code::InvalidKey);
    let _: Option<Username> = body.text_or("username", Code::InvalidRequest, Code::MissingFields);
    let _: Option<Age> = body.number("age", Code::InvalidAge);
    let _ = (body.lifetime(), body.if_version(), body.flag("upsert"));
    let _ = body.new_password("password", PasswordPolicy { min_chars: 8 });
    let operations = body.each("operations", 100, |_, item| {
        let verb: Option<Verb> = item.text("op", Code::InvalidRequest);
        let key: Option<Key> = item.text("key", Code::InvalidKey);
        let _ = (item.value(), item.lifetime(), item.if_version(), item.flag("upsert"));
        verb.zip(key)
    });
    check(body.finish(operations));
}

/// A key in a path, the line before a query. A key in the path that the service makes of it is the same key.
pub fn parameters(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (path, query) = text.split_once('\n').unwrap_or((&text, ""));
    let as_sent = |value: &str| {
        request(
            json!({ "routeKey": "$default", "pathParameters": { "key": value, "id": value }, "rawQueryString": query }),
        )
    };
    let sent = as_sent(path);
    if let Some(key) = check(http::path::<Key>(&sent, "key")) {
        let made = http::data_path(&key);
        let again = as_sent(made.strip_prefix("/api/data/").expect("the path of a value"));
        assert_eq!(http::path::<Key>(&again, "key").ok().as_ref(), Some(&key));
    }
    if let Some(id) = check(http::path::<SessionId>(&sent, "id")) {
        assert!(path.eq_ignore_ascii_case(&id.to_string()) || path.contains('%'), "one form of an id");
    }
    let decoded = request(json!({
        "pathParameters": { "key": path },
        "rawPath": format!("/api/data/{path}"),
        "requestContext": { "http": { "method": "GET", "path": query } },
    }));
    check(http::path::<Key>(&decoded, "key"));
    let query = Query::of(&sent);
    check(query.flag("upsert"));
    check(query.get::<Limit>("limit"));
    let prefix = check(query.get::<KeyPrefix>("prefix")).flatten().unwrap_or_default();
    if let Some(end) = prefix.end() {
        assert!(end.as_str() > prefix.as_str());
    }
    check(query.get_by("cursor", |text| cursor::read(text, user(), &prefix)));
}

/// The values of `If-Match` and `If-None-Match`, and of `Accept`.
pub fn preconditions(input: &[u8]) {
    let value = String::from_utf8_lossy(input);
    let with = |value: &str| {
        request(
            json!({ "headers": { "If-Match": value, "if-none-match": value, "accept": value, "content-type": value } }),
        )
    };
    let sent = with(&value);
    check(Body::read(&sent).map(|_| ()));
    check(http::if_match(&sent));
    if let Some(Some(VersionMatch::Among(versions))) = check(http::if_none_match(&sent))
        && !versions.is_empty()
    {
        let tags: Vec<String> = versions.iter().map(|version| format!("\"{version}\"")).collect();
        let again = http::if_none_match(&with(&tags.join(", ")));
        assert_eq!(again.ok(), Some(Some(VersionMatch::Among(versions))));
    }
}

/// An access token. One that is accepted has the only encoding of its signature.
pub fn access_token(input: &[u8]) {
    let Ok(token) = str::from_utf8(input) else { return };
    if is_accepted(token) {
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        assert_eq!(signature, URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())));
    }
}

/// Whether an access token of the corpus is accepted.
pub fn is_accepted(token: &str) -> bool {
    let keys = VerifyingKeys::parse(SECRET).expect("a secret");
    let policy =
        TokenPolicy { issuer: "keyhold".to_owned(), audience: "keyhold".to_owned(), lifetime: access_token::LIFETIME };
    access_token::verify(&keys, &policy, token, now()).is_ok()
}

/// A refresh token, a cursor, a public key set, or a list of proxies.
pub fn tokens(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(token) = text.parse::<RefreshToken>() {
        assert_eq!(token.expose().as_str(), text, "one form of a refresh token");
    }
    let prefix = KeyPrefix::default();
    if let Ok(key) = cursor::read(text, user(), &prefix) {
        assert_eq!(cursor::write(user(), &prefix, &key), text, "one form of a cursor");
    }
    let _ = VerifyingKeys::parse(text);
    let (ranges, addresses) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(proxies) = ranges.parse::<TrustedProxies>() {
        let _ = proxies.client("203.0.113.1", Some(addresses));
    }
}

/// Names, addresses, and passwords of users.
pub fn identity(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(email) = text.parse::<Email>() {
        assert_eq!(email.canonical(), canonical_name(text), "a user who types the address signs in");
        assert_eq!(email.as_str(), text.trim());
    }
    let canonical = canonical_name(text);
    assert_eq!(canonical_name(&canonical), canonical, "the canonical form is its own");
    if let Ok(username) = text.parse::<Username>() {
        assert_eq!(username.canonical(), canonical);
    }
    let name = text.parse::<FullName>().ok().map(|name| name.as_str().to_owned());
    let gender = text.parse::<Gender>().ok().map(|gender| gender.as_str().to_owned());
    for readable in name.iter().chain(&gender) {
        assert!(!readable.trim().is_empty() && !readable.contains(char::is_control));
    }
    let _ = PasswordPolicy { min_chars: 8 }.accept(text);
    if let Ok(code) = text.parse::<MailedCode>() {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        assert_eq!((code.as_str(), digits.len()), (digits.as_str(), 8));
    }
}

/// Whole numbers in JSON.
pub fn numbers(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (Ok(approximate), Ok(_)) = (text.parse::<f64>(), serde_json::from_str::<serde_json::Number>(text)) else {
        return;
    };
    if let Ok(version) = text.parse::<Version>() {
        #[expect(clippy::cast_precision_loss, reason = "the comparison is approximate")]
        let difference = (version.number() as f64 - approximate).abs();
        assert!(difference <= approximate.abs() * 1e-15, "{version} {approximate}");
    } else {
        let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
        assert!(!is_whole || !(1.0..9_007_199_254_740_992.0).contains(&approximate), "{text}");
    }
    let age = text.parse::<Age>().ok().map(|age| u64::try_from(age.years()).expect("1 or more"));
    let lifetime = text.parse::<Lifetime>().ok().map(Lifetime::seconds);
    for number in age.into_iter().chain(lifetime) {
        #[expect(clippy::cast_precision_loss, reason = "the comparison is approximate")]
        let difference = (number as f64 - approximate).abs();
        assert!(difference < 1e-6, "{number} {approximate}");
    }
}

/// Returns the value of a result. An error must be one of the client.
fn check<T>(result: Result<T, ApiError>) -> Option<T> {
    result.inspect_err(|error| assert!(error.status().is_client_error(), "{error:?}")).ok()
}

/// A request with some members of an event.
fn request(members: serde_json::Value) -> Request {
    let mut event = json!({ "routeKey": "POST /api/data", "requestContext": { "http": { "method": "POST" } } });
    for (name, value) in members.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    Request::from_event(&event.to_string()).expect("an event")
}

fn user() -> UserId {
    "01900000-0000-7000-8000-000000000000".parse().expect("an id")
}

/// The time at which the tokens of the corpus are valid.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}
