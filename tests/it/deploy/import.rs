//! The import of the original service, with the statements in `migrations/README.md`.

use std::fs;
use std::sync::Arc;

use serde_json::json;

use crate::support::workspace::root;
use crate::support::{Outcome, Service, in_process, password, race, settings};

/// The tables as the original service created them. The hashes of `correct horse battery` were computed by libxcrypt.
const ORIGINAL: &str = r#"
    create schema original;
    create table original.users (
        id serial primary key, username text not null, email text not null, password text not null,
        full_name text not null, age integer not null, gender text not null
    );
    create table original.data_store (
        id serial primary key, user_id integer not null references original.users (id), key text not null, value text
    );
    insert into original.users (username, email, password, full_name, age, gender) values
        ('Ada', 'Ada@Example.com', '$2b$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2', 'Ada Lovelace', 36, 'female'),
        ('ada@example.com', 'b@example.com', '$2b$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2', '', 200, ''),
        ('c d', 'c@example.com', '$2b$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2', 'C', 30, 'male');
    insert into original.data_store (user_id, key, value) values
        (1, 'motto', 'that brain of mine'), (1, 'quoted', 'a "quote" \ and a' || chr(10) || 'line'), (2, 'motto', 'other');
"#;

async fn imported() -> Result<Arc<Service>, Box<dyn std::error::Error>> {
    let readme = fs::read_to_string(root().join("migrations/README.md"))?;
    let (_, rest) = readme.split_once("```sql\n").ok_or("the README has no statements")?;
    let (statements, _) = rest.split_once("```").ok_or("the statements have no end")?;
    let mut settings = settings();
    settings.bcrypt_cost = 11;
    let service = in_process().with_settings(settings);
    let database = service.database.connect().await;
    database.batch_execute(ORIGINAL).await?;
    database.batch_execute(statements).await?;
    Ok(service)
}

#[tokio::test]
async fn imported_users_sign_in_with_their_passwords_and_read_their_values() -> Outcome {
    let service = imported().await?;
    let ada = service.anonymous().sign_in("ada").await;
    assert_eq!(ada.get("/api/account").await.text("full_name"), "Ada Lovelace");
    assert_eq!(ada.get("/api/data/motto").await.value_text(), r#""that brain of mine""#);
    assert_eq!(ada.get("/api/data/quoted").await.json()["data"]["value"], "a \"quote\" \\ and a\nline");
    assert_eq!(ada.get("/api/data/motto").await.header("etag"), Some("\"1\""));
    assert_eq!(
        ada.store("new", json!(1)).await.header("etag"),
        Some("\"3\""),
        "versions continue after the imported ones"
    );
    assert_eq!(ada.delete("/api/data/motto").await.status, 200);
    Ok(())
}

#[tokio::test]
async fn imported_accounts_may_break_the_rules_for_new_ones() -> Outcome {
    let service = imported().await?;
    let account = service.anonymous().sign_in("ada@example.com").await.get("/api/account").await;
    assert_eq!(account.text("email"), "b@example.com", "a username has precedence over an email address");
    assert_eq!(account.json()["data"]["age"], 200);
    assert_eq!(service.anonymous().sign_in("C D").await.get("/api/account").await.text("username"), "c d");
    Ok(())
}

#[tokio::test]
async fn the_first_sign_in_renews_the_hash_and_concurrent_sign_ins_succeed() -> Outcome {
    let service = imported().await?;
    let client = service.anonymous();
    let outcomes = race(4, |_| {
        let client = client.clone();
        async move { client.token_for("ada", password()).await }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 4)].into());
    let database = service.database.connect().await;
    let row = database.query_one("select password from users where username = 'Ada'", &[]).await?;
    let renewed: String = row.get(0);
    assert!(renewed.starts_with("$2b$11$"), "{renewed}");
    Ok(())
}
