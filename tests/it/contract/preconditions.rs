//! Tests of entity tags and preconditions (RFC 9110 §13) beyond those of single routes.

use serde_json::json;

use crate::support::{Client, Response, endpoints, in_process};

async fn with_a_value() -> Client {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    ada
}

/// The outcome and the entity tag.
fn seen(response: &Response) -> (String, Option<&str>) {
    (response.outcome(), response.header("etag"))
}

#[tokio::test]
async fn a_failed_precondition_tells_the_stored_version() {
    let ada = with_a_value().await;
    ada.put("/api/data/key", r#"{"value":2}"#).await;
    let with = |name: &str, tags: &str| ada.clone().with_header(name, tags);
    let body = r#"{"value":3}"#;
    for response in [
        with("if-match", "\"1\"").get("/api/data/key").await,
        with("if-match", "\"1\"").put("/api/data/key", body).await,
        with("if-match", "\"1\"").delete("/api/data/key").await,
        with("if-none-match", "*").put("/api/data/key", body).await,
        with("if-none-match", "*").delete("/api/data/key").await,
        with("if-none-match", "W/\"2\"").delete("/api/data/key").await,
    ] {
        assert_eq!(seen(&response), ("412 PRECONDITION_FAILED".to_owned(), Some("\"2\"")));
    }
    let none = with("if-match", "\"1\"").put("/api/data/none?upsert=true", body).await;
    assert_eq!(seen(&none), ("412 PRECONDITION_FAILED".to_owned(), None));
    assert_eq!(ada.get("/api/data/key").await.value_text(), "2");
}

#[tokio::test]
async fn a_weak_tag_in_if_match_is_explained() {
    let ada = with_a_value().await;
    let weak = ada.clone().with_header("if-match", "W/\"1\"");
    for response in [
        weak.get("/api/data/key").await,
        weak.put("/api/data/key", r#"{"value":2}"#).await,
        weak.delete("/api/data/key").await,
    ] {
        assert_eq!(response.outcome(), "412 PRECONDITION_FAILED");
        assert_eq!(
            response.json()["message"],
            r#"A weak entity tag (W/"…") in If-Match never matches. Send it without W/, which a proxy may have added."#
        );
    }
    let both = ada.with_header("if-match", "W/\"7\", \"1\"");
    assert_eq!(both.put("/api/data/key", r#"{"value":2}"#).await.status, 200, "the strong one matches");
}

#[tokio::test]
async fn a_read_evaluates_if_match_before_if_none_match() {
    let ada = with_a_value().await;
    for (required, known, expected) in [
        ("\"1\"", None, "200"),
        ("*", None, "200"),
        ("\"2\"", None, "412 PRECONDITION_FAILED"),
        ("\"2\"", Some("\"1\""), "412 PRECONDITION_FAILED"),
        ("\"1\"", Some("\"1\""), "304"),
    ] {
        let mut client = ada.clone().with_header("if-match", required);
        if let Some(known) = known {
            client = client.with_header("if-none-match", known);
        }
        assert_eq!(client.get("/api/data/key").await.outcome(), expected, "{required} {known:?}");
        assert_eq!(client.head("/api/data/key").await.status.to_string(), expected[..3], "{required} {known:?}");
    }
    let missing = ada.with_header("if-match", "*").get("/api/data/none").await;
    assert_eq!(missing.outcome(), "404 KEY_NOT_FOUND");
}

#[tokio::test]
async fn a_value_is_deleted_unless_if_none_match_names_its_version() {
    let ada = with_a_value().await;
    let unless = |tags: &str| ada.clone().with_header("if-none-match", tags);
    assert_eq!(unless("\"1\"").delete("/api/data/key").await.outcome(), "412 PRECONDITION_FAILED");
    assert_eq!(unless("*").delete("/api/data/none").await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(unless("\"2\", \"3\"").delete("/api/data/key").await.outcome(), "200");
}

#[tokio::test]
async fn documents_have_entity_tags() {
    let service = in_process();
    for path in ["/api/openapi.json", "/.well-known/jwks.json", "/api/docs"] {
        let document = service.anonymous().get(path).await;
        let tag = document.header("etag").unwrap_or_else(|| panic!("{path} has an entity tag")).to_owned();
        let with = |name: &str, tags: &str| service.anonymous().with_header(name, tags);
        for known in [&tag, "*", &format!("\"other\", {tag}")] {
            let response = with("if-none-match", known).get(path).await;
            assert_eq!((response.status, response.header("etag"), response.body.as_str()), (304, Some(&*tag), ""));
            assert_eq!(response.header("cache-control"), document.header("cache-control"));
        }
        assert_eq!(with("if-none-match", "\"other\"").get(path).await.status, 200);
        assert_eq!(with("if-none-match", "other").get(path).await.outcome(), "400 INVALID_REQUEST");
        assert_eq!(with("if-match", "\"other\"").get(path).await.outcome(), "412 PRECONDITION_FAILED");
        assert_eq!(with("if-match", "*").get(path).await.status, 200);
        let strong = !tag.starts_with("W/");
        assert_eq!(with("if-match", &tag).get(path).await.status, if strong { 200 } else { 412 }, "{path}");
    }
}

/// Otherwise a client that protects a write against a lost update would not notice that it is not protected.
#[tokio::test]
async fn writes_of_resources_without_entity_tags_reject_a_list_of_tags() {
    let ada = with_a_value().await;
    let guarded = ada.clone().with_header("if-match", "\"1\"");
    let mut routes = 0;
    for (_, route) in endpoints().into_iter().filter(|(_, route)| !route.path.contains("{key+}")) {
        let path = route.path.replace("{id}", "01900000-0000-7000-8000-000000000000");
        let response = match route.method.as_str() {
            "POST" => guarded.post(&path, "{}").await,
            "PUT" => guarded.put(&path, "{}").await,
            "PATCH" => guarded.patch(&path, "{}").await,
            "DELETE" => guarded.delete_with(&path, "{}").await,
            _ => continue,
        };
        assert_eq!(response.outcome(), "412 PRECONDITION_FAILED", "{route}");
        assert_eq!(response.json()["message"], "This resource has no entity tags. Send the request without If-Match.");
        routes += 1;
    }
    assert!(routes > 10, "{routes}");
    let any = ada.clone().with_header("if-match", "*").with_header("if-none-match", "\"1\"");
    assert_eq!(any.patch("/api/account", r#"{"age":37}"#).await.status, 200, "`*` matches any resource");
    assert_eq!(ada.get("/api/account").await.status, 200, "no session was ended");
}
