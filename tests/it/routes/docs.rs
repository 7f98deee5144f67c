//! Tests of `GET /api/docs` without a browser. `tests/clients/docs.mjs` tests the page in a browser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use crate::support::in_process;

#[tokio::test]
async fn the_content_security_policy_allows_only_the_style_and_script_of_the_page() {
    let answer = in_process().anonymous().get("/api/docs").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let policy = answer.header("content-security-policy").expect("a policy");
    for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
        let (_, rest) = answer.body.split_once(&format!("<{element}>")).expect("an inline element");
        let (text, _) = rest.split_once(&format!("</{element}>")).expect("an end tag");
        let expected = format!("{directive} 'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())));
        assert!(policy.split("; ").any(|given| given == expected), "{expected} in {policy}");
    }
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn the_page_is_compressed_and_not_sent_again_while_its_entity_tag_matches() {
    let service = in_process();
    let plain = service.anonymous().get("/api/docs").await;
    assert_eq!(plain.header("content-encoding"), None);
    let browser = service.anonymous().with_header("accept-encoding", "gzip, deflate, br, zstd");
    let compressed = browser.get("/api/docs").await;
    assert_eq!((compressed.status, compressed.header("content-encoding")), (200, Some("gzip")));
    assert!(compressed.body == plain.body, "the compressed page must equal the plain page");
    assert_eq!(compressed.header("vary"), Some("accept-encoding"));

    let tag = compressed.header("etag").expect("an entity tag").to_owned();
    for (known, status) in [(tag.as_str(), 304), ("*", 304), ("\"other\", W/\"another\"", 200), ("\"other\"", 200)] {
        let answer = browser.clone().with_header("if-none-match", known).get("/api/docs").await;
        assert_eq!((answer.status, answer.header("etag")), (status, Some(tag.as_str())), "{known}");
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    let strong = tag.trim_start_matches("W/");
    assert_eq!(browser.clone().with_header("if-none-match", strong).get("/api/docs").await.status, 304);
    assert_eq!(
        browser.with_header("if-none-match", "nonsense").get("/api/docs").await.outcome(),
        "400 INVALID_REQUEST"
    );
}
