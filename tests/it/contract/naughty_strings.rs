//! Texts that break programs, in each field and each part of a request. None of them causes a 5xx, and accepted texts come back as
//! they were sent.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::{Gateway, Response, in_process, password, registration};

const TEXTS: &[&str] = &[
    // Words that programs take for something else.
    "undefined",
    "null",
    "NULL",
    "(null)",
    "nil",
    "None",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-Infinity",
    "0",
    "-1",
    "1.0",
    "1e400",
    "0x10",
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "then",
    "\\",
    "\\\\",
    "/",
    "//",
    ".",
    "..",
    "...",
    "a/../b",
    "a//b",
    "CON",
    "NUL",
    "LPT1",
    "C:\\x",
    "~",
    "-rf",
    "--help",
    // Injection.
    "'",
    "''",
    "\"",
    "`",
    "' or 1=1 --",
    "'; drop table users; --",
    "$1",
    "$$",
    "%s%s%s%n",
    "%d",
    "{0}",
    "{{7*7}}",
    "${7*7}",
    "$(id)",
    "`id`",
    "; ls",
    "| cat",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "&amp;",
    "&#x0;",
    "<!DOCTYPE x [<!ENTITY y SYSTEM \"file:///etc/passwd\">]>",
    "]]>",
    "../../../../etc/passwd",
    "%2e%2e%2f",
    "%00",
    "%",
    "%zz",
    "%41",
    "%2541",
    "a\r\nSet-Cookie: x=y",
    "a%0d%0aX: y",
    "=cmd|' /C calc'!A0",
    "+1",
    "@SUM(1)",
    "jndi:ldap://127.0.0.1/a",
    // Unicode.
    "é",
    "e\u{301}",
    "ﬁ",
    "İ",
    "ı",
    "ß",
    "ẞ",
    "ς",
    "Ǆ",
    "K",
    "Å",
    "Ω",
    "\u{1e9b}\u{323}",
    "田中さん",
    "表ポあA鷗ŒéＢ逍Üßªąñ丂㐀𠀀",
    "사회과학원",
    "مُنَاقَشَةُ",
    "הָיְתָה",
    "ثم نفس",
    "ภาษาไทย",
    "हिन्दी",
    "தமிழ்",
    "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮",
    "❤️💔💌",
    "👨‍👩‍👧‍👦",
    "🏳️‍🌈",
    "🇺🇸🇷🇺",
    "👾🙇💁🏿",
    "１２３",
    "١٢٣",
    "½",
    "Ⅷ",
    "𝕿𝖍𝖊",
    "\u{202e}abc",
    "a\u{200b}b",
    "\u{feff}",
    "\u{2028}",
    "\u{2029}",
    "\u{85}",
    "\u{a0}",
    "\u{3000}",
    "\u{3164}",
    "\u{ad}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{10ffff}",
    "\u{1}",
    "\u{7f}",
    "\u{9f}",
    "\t",
    "\n",
    "\u{0}",
    "a\u{0}b",
    " ",
    "  a  ",
    "",
    // Structure.
    "{}",
    "[]",
    "{\"a\":1}",
    "[1,2",
    ",",
    ":",
    "?",
    "#",
    "&",
    "=",
    "a=b&c=d",
    "a?b#c",
    ";",
    "*",
    "W/\"1\"",
    "\"1\"",
    "Bearer x",
    "data:,x",
    "http://[::1]/",
];

fn texts() -> Vec<String> {
    let long = ["x".repeat(70_000), "é".repeat(300), "[".repeat(5000), "😀".repeat(100), "a b ".repeat(60)];
    TEXTS.iter().map(|text| (*text).to_owned()).chain(long).collect()
}

fn check(response: &Response, place: &str, text: &str) {
    let text: String = text.chars().take(50).collect();
    assert!((200..500).contains(&response.status), "{place} {text:?}: {} {}", response.status, response.body);
    if response.status >= 400 {
        assert!(response.json()["code"].is_string(), "{place} {text:?}: {}", response.body);
    }
}

#[tokio::test]
async fn no_field_of_an_account_breaks_on_a_text() {
    let service = in_process();
    let anonymous = service.anonymous();
    let ada = anonymous.clone().sign_up("ada").await;
    for (index, text) in texts().iter().enumerate() {
        for field in ["username", "email", "password", "full_name", "gender", "age"] {
            let name = format!("user-{index}-{field}");
            let body = registration(&name).with(field, text.as_str()).body();
            let response = anonymous.post("/api/register", &body).await;
            check(&response, field, text);
            if response.status == 201 && field != "password" {
                assert_eq!(response.text(field), text.trim(), "{field}");
            }
        }
        let email = format!("{text}@example.com");
        check(
            &anonymous.post("/api/register", &registration(&format!("at-{index}")).with("email", email).body()).await,
            "email",
            text,
        );
        check(&anonymous.token_for(text, password()).await, "sign-in", text);
        check(&anonymous.refresh(text).await, "refresh", text);
        check(
            &anonymous.post("/api/token/revoke", &json!({ "refresh_token": text }).to_string()).await,
            "revoke",
            text,
        );
        let patch = ada.patch("/api/account", &json!({ "full_name": text, "gender": text }).to_string()).await;
        check(&patch, "PATCH", text);
        if patch.status == 200 {
            assert_eq!((patch.text("full_name").as_str(), patch.text("gender").as_str()), (text.trim(), text.trim()));
        }
    }
}

#[tokio::test]
async fn no_key_or_value_breaks_on_a_text() {
    for gateway in [Gateway::ApiGateway, Gateway::CargoLambda] {
        let ada = in_process().anonymous().behind(gateway).sign_up("ada").await;
        for text in &texts() {
            let stored = ada.store(text, json!(text)).await;
            check(&stored, "key", text);
            let path = format!("/api/data/{}", utf8_percent_encode(text, NON_ALPHANUMERIC));
            let read = ada.get(&path).await;
            check(&read, "path", text);
            if stored.status == 201 {
                assert_eq!(
                    (read.status, read.text("key"), read.text("value")),
                    (200, text.clone(), text.clone()),
                    "{gateway:?}"
                );
                let page = ada
                    .get(&format!("/api/data?values=true&prefix={}", utf8_percent_encode(text, NON_ALPHANUMERIC)))
                    .await;
                assert_eq!(page.json()["data"]["items"][0]["key"], *text, "{gateway:?}");
            }
            let put = ada
                .put("/api/data/value?upsert=true", &json!({ "value": { text.as_str(): [text] } }).to_string())
                .await;
            check(&put, "value", text);
            if put.status < 300 {
                let value: Value = serde_json::from_str(&ada.get("/api/data/value").await.value_text()).expect("JSON");
                assert_eq!(value, json!({ text.as_str(): [text] }));
            }
            let batch = json!({ "operations": [{ "op": text, "key": text }, { "op": "get", "key": text }] });
            check(&ada.post("/api/data/batch", &batch.to_string()).await, "batch", text);
            check(&ada.delete(&path).await, "path", text);
        }
    }
}

#[tokio::test]
async fn no_part_of_a_request_breaks_on_a_text() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    for text in &texts() {
        for name in [
            "accept",
            "accept-encoding",
            "authorization",
            "content-encoding",
            "content-type",
            "if-match",
            "if-none-match",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-proto",
            "traceparent",
            "x-amzn-trace-id",
        ] {
            let client = ada.clone().with_header(name, text);
            check(&client.put("/api/data/key", r#"{"value":1}"#).await, name, text);
            check(&client.get("/api/data/key").await, name, text);
        }
        for name in ["prefix", "limit", "cursor", "values", "upsert", text.as_str()] {
            check(&ada.get(&format!("/api/data?{name}={text}")).await, name, text);
            let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC);
            check(&ada.get(&format!("/api/data?{name}={encoded}")).await, name, text);
        }
        check(&ada.delete(&format!("/api/sessions/{}", utf8_percent_encode(text, NON_ALPHANUMERIC))).await, "id", text);
        check(&ada.post("/api/data", text).await, "body", text);
    }
}
