//! Tests of `GET /api/data`: order of keys, prefixes, pages, cursors, and the size of a page.

use std::time::Duration;

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Client, Outcome, Response, in_process};

/// Percent-encodes every character that is not an ASCII letter or digit.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn keys(response: &Response) -> Vec<String> {
    let items = response.json()["data"]["items"].clone();
    let items = items.as_array().unwrap_or_else(|| panic!("no items in {}", response.body)).clone();
    items.iter().map(|item| item["key"].as_str().expect("a key").to_owned()).collect()
}

fn cursor(response: &Response) -> Option<String> {
    response.json()["data"]["next_cursor"].as_str().map(str::to_owned)
}

/// Fetches all pages of a list and returns the keys of each page.
async fn pages(client: &Client, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = String::new();
    loop {
        let response = client.get(&format!("/api/data?{query}{next}")).await;
        pages.push(keys(&response));
        match cursor(&response) {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return pages,
        }
    }
}

async fn store_all(client: &Client, keys: &[&str]) {
    for key in keys {
        assert_eq!(client.store(key, json!(key)).await.status, 201, "{key}");
    }
}

#[tokio::test]
async fn a_user_without_values_gets_an_empty_list() {
    let ada = in_process().anonymous().sign_up("ada").await;
    expect![[r#"
        200
        {
          "data": {
            "items": [],
            "next_cursor": null
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.get("/api/data").await.to_string());
    assert_eq!(ada.get("/api/data?prefix=x&values=true&limit=1").await.status, 200);
}

#[tokio::test]
async fn a_list_contains_the_keys_of_the_caller_and_on_request_their_values() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let bob = service.anonymous().sign_up("bob").await;
    bob.store("bob", json!(1)).await;
    ada.store("b", json!({ "big": [1, 2] })).await;
    ada.post("/api/data", r#"{"key":"a","value":1.0e+5,"expires_in":60}"#).await;
    expect![[r#"
        200
        {
          "data": {
            "items": [
              {
                "created_at": "2026-01-01T00:00:00.000Z",
                "expires_at": "2026-01-01T00:01:00.000Z",
                "key": "a",
                "updated_at": "2026-01-01T00:00:00.000Z",
                "version": 2
              },
              {
                "created_at": "2026-01-01T00:00:00.000Z",
                "key": "b",
                "updated_at": "2026-01-01T00:00:00.000Z",
                "version": 1
              }
            ],
            "next_cursor": null
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.get("/api/data").await.to_string());
    let with_values = ada.get("/api/data?values=true&limit=1").await;
    assert!(
        with_values.body.contains(r#""value":1.0e+5,"#),
        "the value must be returned byte for byte: {}",
        with_values.body
    );
    assert!(cursor(&with_values).is_some());
}

#[tokio::test]
async fn keys_are_ordered_by_their_bytes() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let all = [
        "!", "%", "A", "Z", "_", "a", "a b", "a!", "a/b", "a0", "aa", "b", "~", "é", "z\u{301}", "日本", "\u{ffee}",
        "😀",
    ];
    let mut sorted = all;
    sorted.sort_unstable();
    let mut reversed = all;
    reversed.reverse();
    store_all(&ada, &reversed).await;
    assert_eq!(pages(&ada, "").await.concat(), sorted);
    for limit in [1, 2, 5, 18, 19] {
        let pages = pages(&ada, &format!("limit={limit}")).await;
        assert_eq!(pages.concat(), sorted, "limit {limit}");
        assert!(pages.iter().all(|page| page.len() <= limit && !page.is_empty()), "limit {limit}: {pages:?}");
    }
}

#[tokio::test]
async fn a_prefix_is_matched_literally() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let all =
        ["a", "a%", "a%b", "a\\", "a_", "a_b", "ab", "abc", "a\u{10ffff}", "a\u{10ffff}b", "b", "😀", "😀a", "😁"];
    store_all(&ada, &all).await;
    for prefix in ["", "a", "a%", "a_", "a\\", "ab", "abcd", "a\u{10ffff}", "😀", "'", "b", "c", "a b"] {
        let mut expected: Vec<&str> = all.into_iter().filter(|key| key.starts_with(prefix)).collect();
        expected.sort_unstable();
        for limit in [1, 100] {
            let found = pages(&ada, &format!("limit={limit}&prefix={}", encoded(prefix))).await.concat();
            assert_eq!(found, expected, "{prefix:?}");
        }
    }
    assert_eq!(
        keys(&ada.get("/api/data?prefix=a+b").await),
        Vec::<String>::new(),
        "`+` in a query is decoded as a space"
    );
}

#[tokio::test]
async fn writes_between_pages_neither_repeat_nor_skip_existing_keys() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let existing: Vec<String> = (0..30).map(|number| format!("existing-{number:02}")).collect();
    store_all(&ada, &existing.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (mut seen, mut next) = (Vec::new(), String::new());
    for round in 0.. {
        let response = ada.get(&format!("/api/data?limit=4{next}")).await;
        seen.extend(keys(&response));
        let Some(cursor) = cursor(&response) else { break };
        next = format!("&cursor={cursor}");
        // Write before, after, and at the position of the cursor.
        ada.store(&format!("a-{round}"), json!(1)).await;
        ada.store(&format!("existing-{:02}-more", round * 4 + 5), json!(1)).await;
        ada.delete(&format!("/api/data/{}", seen.last().expect("a page"))).await;
        ada.store(seen.last().expect("a page"), json!(2)).await;
    }
    let mut found_existing: Vec<&String> = seen.iter().filter(|key| existing.contains(key)).collect();
    assert_eq!(found_existing.len(), existing.len(), "{seen:?}");
    found_existing.dedup();
    assert_eq!(found_existing.len(), existing.len(), "{seen:?}");
}

#[tokio::test]
async fn expired_values_are_not_listed() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    for (key, seconds) in [("a", 10), ("b", 20), ("c", 10), ("d", 30)] {
        ada.post("/api/data", &json!({ "key": key, "value": 1, "expires_in": seconds }).to_string()).await;
    }
    service.clock.advance(Duration::from_secs(10));
    assert_eq!(pages(&ada, "limit=1").await, [["b"], ["d"]]);
}

#[tokio::test]
async fn a_page_with_values_is_limited_to_1_mib() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let value = Value::from("x".repeat(200_000));
    for number in 0..12 {
        assert_eq!(ada.store(&format!("big-{number:02}"), value.clone()).await.status, 201);
    }
    let pages = pages(&ada, "values=true&limit=1000").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 2]);
    assert_eq!(keys(&ada.get("/api/data?limit=1000").await).len(), 12, "without values, all keys fit on one page");
}

#[tokio::test]
async fn the_rows_read_for_a_page_depend_on_its_size_and_not_on_the_number_of_keys() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key-0", json!(1)).await;
    let database = service.database.connect().await;
    let insert_keys = "insert into data_store (user_id, key, value, version, first_version, created_at, updated_at)
        select user_id, 'key-' || number, value, version, version, created_at, updated_at
        from data_store, generate_series(1, 20000) as number";
    database.execute(insert_keys, &[]).await?;
    database.execute("analyze data_store", &[]).await?;
    // PostgreSQL adds the rows that a connection has read to the statistics when the connection ends.
    let rows_read = async || -> Result<i64, tokio_postgres::Error> {
        let end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        database.query(end, &[]).await?;
        let sql = "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'data_store_pkey'";
        Ok(database.query_one(sql, &[]).await?.get(0))
    };
    let before = rows_read().await?;
    assert_eq!(keys(&ada.get("/api/data?prefix=key-&limit=10&values=true").await).len(), 10);
    let rows = rows_read().await? - before;
    assert!((10..=20).contains(&rows), "{rows} rows were read for a page of 10");
    Ok(())
}

#[tokio::test]
async fn an_invalid_parameter_is_reported_by_name() {
    let ada = in_process().anonymous().sign_up("ada").await;
    for query in [
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=99999999999999999999",
        "limit=ten",
        "limit=1.5",
        "limit=1&limit=2",
        "values=yes",
        "values=",
        "prefix=%00",
        "prefix=%0A",
        "prefix=%ff",
        "prefix=100%",
        "prefix=%zz",
        "prefix=a&prefix=b",
        "cursor=x",
        "cursor=%00",
        "cursor=AAAAAAAAAAAA",
    ] {
        let response = ada.get(&format!("/api/data?{query}")).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{query}");
        let name = query.split('=').next().unwrap_or_default();
        assert_eq!(response.json()["errors"][0]["field"], name, "{query}");
    }
    let long = format!("prefix={}", "k".repeat(901));
    assert_eq!(ada.get(&format!("/api/data?{long}")).await.outcome(), "400 INVALID_REQUEST");
    assert_eq!(ada.get("/api/data?limit=1000&unknown=x&&=").await.status, 200);
}

#[tokio::test]
async fn a_cursor_is_valid_only_for_its_user_and_prefix() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let bob = service.anonymous().sign_up("bob").await;
    for client in [&ada, &bob] {
        store_all(client, &["a", "b", "c"]).await;
    }
    let cursor = cursor(&ada.get("/api/data?limit=1").await).expect("more");
    assert_eq!(keys(&ada.get(&format!("/api/data?limit=1&cursor={cursor}")).await), ["b"]);
    assert_eq!(keys(&ada.get(&format!("/api/data?limit=3&values=true&cursor={cursor}")).await), ["b", "c"]);
    for (client, query) in [
        (&bob, format!("cursor={cursor}")),
        (&ada, format!("cursor={cursor}&prefix=a")),
        (&ada, format!("cursor={}", &cursor[1..])),
        (&ada, format!("cursor={cursor}A")),
    ] {
        assert_eq!(client.get(&format!("/api/data?{query}")).await.outcome(), "400 INVALID_REQUEST", "{query}");
    }
}

#[tokio::test]
async fn empty_parameters_count_as_absent_and_names_may_be_percent_encoded() {
    let ada = in_process().anonymous().sign_up("ada").await;
    for key in ["a", "b", "c"] {
        assert_eq!(ada.store(key, json!(1)).await.status, 201);
    }
    assert_eq!(keys(&ada.get("/api/data?limit=&cursor=&prefix=").await), ["a", "b", "c"]);
    assert_eq!(keys(&ada.get("/api/data?l%69mit=1").await), ["a"]);
    assert_eq!(ada.get("/api/data?limit=1&l%69mit=2").await.outcome(), "400 INVALID_REQUEST", "given twice");
}
