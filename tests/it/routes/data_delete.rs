//! Tests of `DELETE /api/data/{key}`, with and without `If-Match`.

use expect_test::expect;
use serde_json::json;

use crate::support::in_process;

#[tokio::test]
async fn a_deleted_value_is_not_found_and_can_be_created_again() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    expect![[r#"
        200
        {
          "message": "Value deleted",
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.delete("/api/data/key").await.to_string());
    assert_eq!(ada.get("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(ada.delete("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(ada.store("key", json!(2)).await.status, 201);
}

#[tokio::test]
async fn delete_with_if_match_requires_the_stored_version() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let with_if_match = |tags: &str| ada.clone().with_header("if-match", tags);
    assert_eq!(with_if_match("\"2\"").delete("/api/data/key").await.outcome(), "412 PRECONDITION_FAILED");
    assert_eq!(with_if_match("W/\"1\"").delete("/api/data/key").await.outcome(), "412 PRECONDITION_FAILED");
    assert_eq!(ada.get("/api/data/key").await.status, 200);
    assert_eq!(with_if_match("\"1\"").delete("/api/data/key").await.status, 200);
    assert_eq!(with_if_match("\"1\"").delete("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");
}
