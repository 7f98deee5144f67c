//! Tests that keys and values are returned as they were sent, and that invalid keys are rejected.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::support::{Client, Gateway, in_process};

const GATEWAYS: [Gateway; 2] = [Gateway::ApiGateway, Gateway::CargoLambda];

async fn signed_in(gateway: Gateway) -> Client {
    in_process().anonymous().behind(gateway).sign_up("ada").await
}

#[tokio::test]
async fn a_key_identifies_the_same_value_on_every_route() {
    for gateway in GATEWAYS {
        let ada = signed_in(gateway).await;
        for key in [
            "plain",
            "with space",
            "a/b/c",
            "50%",
            "%41",
            "%2F",
            "a+b",
            "a_b",
            "\\",
            "'; drop table users; --",
            "\"quoted\"",
            "?query=1",
            "#fragment",
            "a&b=c",
            "naïve",
            "日本語",
            "😀",
            "\u{10ffff}",
            "\u{fffd}",
            "...",
            ".hidden",
            "a..b",
            "~user",
            "a:b@c",
            "[x]",
            "{y}",
            "|",
            "^",
            "`",
            "e\u{301}",
            "\u{e9}",
            &"k".repeat(255),
        ] {
            let created = ada.store(key, json!("created")).await;
            assert_eq!(created.status, 201, "{gateway:?} {key:?}: {}", created.body);
            assert_eq!(created.text("key"), key);
            let encoded = format!("/api/data/{}", utf8_percent_encode(key, NON_ALPHANUMERIC));
            let location = created.header("location").expect("a location").to_owned();
            for path in [&encoded, &location] {
                let read = ada.get(path).await;
                assert_eq!((read.status, read.text("key").as_str()), (200, key), "{gateway:?} {path}");
            }
            assert_eq!(
                ada.put(&encoded, r#"{"value":"changed"}"#).await.text("value"),
                "changed",
                "{gateway:?} {key:?}"
            );
            assert_eq!(ada.delete(&location).await.status, 200, "{gateway:?} {key:?}");
            assert_eq!(ada.get(&encoded).await.status, 404, "{gateway:?} {key:?}");
        }
    }
}

#[tokio::test]
async fn keys_that_differ_in_one_byte_are_distinct() {
    let ada = signed_in(Gateway::ApiGateway).await;
    let keys = ["a", "A", "a ", "e\u{301}", "\u{e9}", "ｅ"];
    for key in keys {
        assert_eq!(ada.store(key, json!(key)).await.status, 201, "{key:?}");
    }
    for key in keys {
        let path = format!("/api/data/{}", utf8_percent_encode(key, NON_ALPHANUMERIC));
        assert_eq!(ada.get(&path).await.text("value"), key);
    }
}

#[tokio::test]
async fn invalid_keys_are_rejected_on_every_route() {
    for gateway in GATEWAYS {
        let ada = signed_in(gateway).await;
        let long = "k".repeat(256);
        for key in
            ["", "/", "a//b", "/a", "a/", ".", "..", "a/../b", "a/./b", "a\0b", "a\nb", "\u{7f}", "\u{85}", &long]
        {
            assert_eq!(ada.store(key, json!(1)).await.outcome(), "400 INVALID_KEY", "{key:?}");
            let path = format!("/api/data/{}", utf8_percent_encode(key, NON_ALPHANUMERIC));
            for response in [ada.get(&path).await, ada.put(&path, r#"{"value":1}"#).await, ada.delete(&path).await] {
                assert_eq!(response.outcome(), "400 INVALID_KEY", "{gateway:?} {key:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_with_invalid_percent_encoding_is_rejected() {
    // API Gateway decodes path parameters. cargo-lambda passes them on as they were sent.
    let ada = signed_in(Gateway::CargoLambda).await;
    for path in ["%", "a%", "a%2", "%zz", "%+1", "%ff", "%c3%28", "%ed%a0%80"] {
        assert_eq!(ada.get(&format!("/api/data/{path}")).await.outcome(), "400 INVALID_KEY", "{path}");
    }
}

#[tokio::test]
async fn a_value_is_returned_byte_for_byte() {
    let ada = signed_in(Gateway::ApiGateway).await;
    for (index, value) in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "\"\"",
        "[]",
        "{}",
        "1.0",
        "1e2",
        "1E+2",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827",
        "1e999999",
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"\":null}",
        "[ 1 ,\n\t2 ]",
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\ud83d\ude00""#,
        r#""\/\b\f\n\r\t\\\"""#,
        "\"é😀\u{2028}\"",
        r#"{"value":{"value":null}}"#,
        "\"]]}}\"",
    ]
    .iter()
    .enumerate()
    {
        let created = ada.post("/api/data", &format!("{{\"key\":\"k{index}\",\"value\": {value} }}")).await;
        assert_eq!(created.status, 201, "{value}: {}", created.body);
        assert_eq!(created.value_text(), *value);
        assert_eq!(ada.get(&format!("/api/data/k{index}")).await.value_text(), *value);
        let changed = ada.put(&format!("/api/data/k{index}"), &format!("{{\"value\":[{value}]}}")).await;
        assert_eq!(changed.value_text(), format!("[{value}]"));
        assert_eq!(ada.get(&format!("/api/data/k{index}")).await.value_text(), format!("[{value}]"));
    }
}

/// An HTTP API is reported to cut the path at a decoded `?`. The request for a value must not reach another one.
#[tokio::test]
async fn a_key_that_the_gateway_has_cut_is_rejected() {
    let ada = signed_in(Gateway::ApiGateway).await;
    ada.store("a", json!(1)).await;
    for (raw_path, context_path) in [
        ("/api/data/a", "/api/data/a?b"),
        ("/api/data/a?b", "/api/data/a"),
        ("/api/data/a%3Fb", "/api/data/a%3Fb"),
        ("/api/data/b/a?", "/api/data/b/a?"),
        ("/api/data/ba", "/api/data/ba"),
    ] {
        let response = ada.send_altered("DELETE", "/api/data/a", |event| {
            event["rawPath"] = json!(raw_path);
            event["requestContext"]["http"]["path"] = json!(context_path);
        });
        let response = response.await;
        assert_eq!(response.outcome(), "400 INVALID_KEY", "{raw_path} {context_path}");
        assert!(response.body.contains("POST /api/data/batch"), "{}", response.body);
    }
    for (raw_path, context_path) in [("/api/data/a", "/prod/api/data/a"), ("/v1/api/data/%61", "/api/data/a")] {
        let response = ada.send_altered("GET", "/api/data/a", |event| {
            event["rawPath"] = json!(raw_path);
            event["requestContext"]["http"]["path"] = json!(context_path);
        });
        assert_eq!(response.await.status, 200, "{raw_path} {context_path}");
    }
    let without = ada.send_altered("GET", "/api/data/a", |event| {
        event["rawPath"] = json!(null);
        event["requestContext"]["http"]["path"] = json!(null);
    });
    assert_eq!(without.await.status, 200);
}
