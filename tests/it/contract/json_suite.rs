//! JSON parsing (RFC 8259): texts that every parser must accept or reject, and the decisions on those that it may do either with.
//! Accepted values come back byte for byte.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Client, in_process};

/// Texts that are values.
const VALID: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1.5",
    "-0.0",
    "1e1",
    "1E+2",
    "1e-2",
    "0e1",
    "0.0e-0",
    "123456789012345678901234567890",
    "-123456789.123456789",
    "0.1000000000000000055511151231257827",
    "\"\"",
    "\" \"",
    "\"a\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0000\"",
    "\"\\u00e9\"",
    "\"\\uD834\\uDd1e\"",
    "\"\\ud83d\\ude39\\ud83d\\udc8d\"",
    "\"\\u0012\"",
    "\"\\u2028\\u2029\"",
    "\"\u{2028}\u{2029}\"",
    "\"\u{7f}\"",
    "\"é\"",
    "\"日本語\"",
    "\"😀\"",
    "\"\u{fffe}\"",
    "\"\u{10ffff}\"",
    "\"\u{feff}\"",
    "\"\\uFDD0\"",
    "\"/*not a comment*/\"",
    "\"\\/\"",
    "\"\\\\u0000\"",
    "\"\\u002c\"",
    "\"asd \"",
    "[]",
    "[ ]",
    "[[]]",
    "[null]",
    "[1,null,null,2]",
    "[\"\"]",
    "[true , false]",
    "[ 1 ]",
    "[1\n]",
    "[1\t,\r\n2]",
    "{}",
    "{ }",
    "{\"\":0}",
    "{\"a\":[]}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1,\"\\u0061\":1}",
    "{\"\\u0000\":0}",
    "{\"a\" : 1 , \"b\":2}",
    "{\"b\":1,\"a\":2}",
    "{\"__proto__\":1}",
    "{\"x\":[{\"id\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}],\"id\":\"x\"}",
    "{\"asd\":\"sdf\",\n\"dfg\":\"fgh\"}",
];

/// Texts that are not JSON.
const INVALID: &[&str] = &[
    // Arrays.
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[,]",
    "[1 2]",
    "[1true]",
    "[1:2]",
    "[\"a\" \"b\"]",
    "[3[4]]",
    "[\"\": 1]",
    "[x",
    "[1}",
    "[1]x",
    "[][]",
    "[a",
    "[*]",
    "[\"",
    "[\"a",
    "[\"a\",4\n,1,",
    "[<null>]",
    // Numbers.
    "+1",
    "-",
    "-a",
    "--2.",
    "-01",
    "01",
    "012",
    "0x1",
    "0x42",
    "1.",
    ".5",
    "-.5",
    "1.e1",
    "-2.",
    "1e",
    "1e+",
    "1eE2",
    "0.1.2",
    "0.3e",
    "0e",
    "0e+",
    "1+2",
    "1_000",
    "1 000",
    "1a",
    "-1x",
    "2.e3",
    "9.e+",
    "Inf",
    "-Inf",
    "Infinity",
    "-Infinity",
    "NaN",
    "-NaN",
    "+Inf",
    "1ea",
    "0E",
    "0E+",
    "٣",
    "１",
    "-foo",
    "- 1",
    "++1234",
    ".-1",
    ".2e-3",
    "1.2a-3",
    "1.8011670033376514H-308",
    "0xFF",
    // Words.
    "nul",
    "nulll",
    "Null",
    "TRUE",
    "tru",
    "fals",
    "truefalse",
    "undefined",
    "None",
    "nan",
    // Strings.
    "\"",
    "\"a",
    "'a'",
    "a",
    "\"\\\"",
    "\"\\",
    "\"\\x\"",
    "\"\\a\"",
    "\"\\u\"",
    "\"\\u1\"",
    "\"\\u123\"",
    "\"\\u123g\"",
    "\"\\U0041\"",
    "\"\\u{41}\"",
    "\"\\x00\"",
    "\"\\0\"",
    "\"\\'\"",
    "\"\t\"",
    "\"\n\"",
    "\"\u{0}\"",
    "\"\u{1f}\"",
    "\"\\\t\"",
    "\"\\\u{1f300}\"",
    "\"\\uD834\\u\"",
    "\"\\uD800\\x\"",
    "abc\"",
    "\"a\"b",
    "\u{e9}",
    "“a”",
    // Objects.
    "{",
    "}",
    "{]",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{\"a\":1,,}",
    "{,}",
    "{,\"a\":1}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{\"a\":1 \"b\":2}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{[]:1}",
    "{\"a\":1;}",
    "{\"a\"=1}",
    "{\"a\",\"b\"}",
    "{\"a\":1}}",
    "{\"a\":1}#",
    "{\"a\":\"a",
    "{\"a\":'a'}",
    "{\"x\", null}",
    "{key: 'value'}",
    "{9999E9999:1}",
    "{\"id\":0,,,,,}",
    "{\"asd\":\"asd\"",
    "{\"a\":/*c*/1}",
    "{\"a\":1}//",
    "{\"a\":1}/**/",
    "{\"a\" b}",
    "{:\"b\"}",
    "{\"a\":b}",
    "{🇨🇭}",
    // Structure.
    "",
    " ",
    "\u{feff}",
    "<.>",
    "[<null>]",
    "1]",
    "2@",
    "{}}",
    "*",
    "#",
    "\\u0061",
    "a\u{e5}",
    "\u{2060}",
    "\u{a0}1",
    "[\u{a0}1]",
    "\u{c}1",
    "[\u{c}]",
    "[1]\u{85}",
    "\u{b}1",
    "1//c",
    "/*c*/1",
    "true\u{0}",
    "\u{0}true",
    "<null>",
    "[open",
    "[{",
    "{\"\":[",
];

/// Texts that parsers may accept or reject, and the decision.
const IMPLEMENTATION_DEFINED: &[(&str, &str)] = &[
    ("1e400", "kept"),
    ("-1e-400", "kept"),
    ("123123e100000", "kept"),
    ("0.4e006699999999999999999999999999999999", "kept"),
    ("-123123123123123123123123123123", "kept"),
    ("100000000000000000000", "kept"),
    // The grammar allows a half of a surrogate pair. A value is not decoded, so it is kept.
    ("\"\\uD800\"", "kept"),
    ("\"\\uDC00\"", "kept"),
    ("\"\\uD800\\uD800\"", "kept"),
    ("\"\\uDd1e\\uD834\"", "kept"),
    ("\"\\uD800abc\"", "kept"),
    ("{\"\\uDFAA\":0}", "kept"),
];

/// Bytes that are not UTF-8, in a string.
const NOT_UTF8: &[&[u8]] = &[
    b"\xff",
    b"\xc0\x80",
    b"\xc0\xaf",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xc3",
    b"\xe6\x97",
    b"\xf0\x9f\x98",
    b"\x80",
    b"\xe4",
    b"\xfc\x83\xbf\xbf\xbf\xbf",
    b"a\xe5b",
];

async fn put(ada: &Client, value: &str) -> String {
    let response = ada.put("/api/data/key?upsert=true", &format!("{{\"value\":{value}}}")).await;
    if response.status >= 300 {
        return response.outcome();
    }
    assert_eq!(ada.get("/api/data/key").await.value_text(), value.trim_matches([' ', '\n', '\r', '\t']));
    "kept".to_owned()
}

#[tokio::test]
async fn every_json_value_is_kept_byte_for_byte() {
    let ada = in_process().anonymous().sign_up("ada").await;
    for value in VALID {
        assert_eq!(put(&ada, value).await, "kept", "{value:?}");
        assert_eq!(put(&ada, &format!(" \n{value}\r\t ")).await, "kept", "{value:?}");
    }
}

#[tokio::test]
async fn a_text_that_is_not_json_is_rejected() {
    let ada = in_process().anonymous().sign_up("ada").await;
    for value in INVALID {
        assert_eq!(put(&ada, value).await, "400 INVALID_REQUEST", "{value:?}");
    }
    for value in INVALID {
        // As the whole body. None of them is an object with a value.
        let response = ada.put("/api/data/key?upsert=true", value).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{value:?}");
    }
    assert_eq!(ada.get("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND", "nothing was stored");
}

#[tokio::test]
async fn texts_that_parsers_treat_differently_have_a_stated_outcome() {
    let ada = in_process().anonymous().sign_up("ada").await;
    for (value, expected) in IMPLEMENTATION_DEFINED {
        assert_eq!(put(&ada, value).await, *expected, "{value:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_rejected() {
    let ada = in_process().anonymous().sign_up("ada").await;
    for bytes in NOT_UTF8 {
        let body = [br#"{"key":"key","value":""#.as_slice(), bytes, br#""}"#].concat();
        let response = ada.post_base64("/api/data", &STANDARD.encode(body)).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{bytes:?}");
    }
    for encoded in [
        "\u{feff}{\"key\":\"key\",\"value\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
        "{\"key\":\"key\",\"value\":1}".encode_utf16().flat_map(u16::to_be_bytes).collect(),
    ] {
        let response = ada.post_base64("/api/data", &STANDARD.encode(encoded)).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "UTF-16");
    }
}
