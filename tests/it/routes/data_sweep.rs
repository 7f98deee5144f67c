//! Tests of the scheduled task `data-sweep`, and of writes that reclaim the quota of expired values.

use std::time::Duration;

use serde_json::json;

use crate::support::scenarios::sweep;
use crate::support::{Outcome, Service, fake_dsql_database, in_process, race, settings};

async fn rows(service: &Service) -> Result<i64, Box<dyn std::error::Error>> {
    let row = service.database.connect().await.query_one("select count(*) from data_store", &[]).await?;
    Ok(row.get(0))
}

#[tokio::test]
async fn expired_values_are_removed_and_no_longer_counted() -> Outcome {
    let service = in_process();
    let (ada, bob) = (service.anonymous().sign_up("ada").await, service.anonymous().sign_up("bob").await);
    for client in [&ada, &bob] {
        for (key, seconds) in [("soon", 10), ("later", 20)] {
            client.post("/api/data", &json!({ "key": key, "value": "xyz", "expires_in": seconds }).to_string()).await;
        }
        client.store("lasts", json!("xyz")).await;
    }
    service.clock.advance(Duration::from_secs(9));
    assert_eq!(sweep(&service).await?.removed, 0);
    service.clock.advance(Duration::from_secs(1));
    let report = sweep(&service).await?;
    assert_eq!((report.removed, report.finished, rows(&service).await?), (2, true, 4));
    assert_eq!(sweep(&service).await?.removed, 0);
    assert_eq!(ada.get("/api/data/later").await.status, 200);
    let database = service.database.connect().await;
    for row in database.query("select keys, bytes from user_counters", &[]).await? {
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 20));
    }
    Ok(())
}

#[tokio::test]
async fn more_expired_values_than_one_statement_removes_are_all_removed() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.post("/api/data", r#"{"key":"first","value":1,"expires_in":10}"#).await;
    let insert_expiring =
        "insert into data_store (user_id, key, value, version, first_version, created_at, updated_at, expires_at)
        select user_id, 'key-' || number, value, version, version, created_at, updated_at, expires_at
        from data_store, generate_series(1, 1200) as number";
    let database = service.database.connect().await;
    database.execute(insert_expiring, &[]).await?;
    database.execute("update user_counters set keys = 1201, bytes = 100000, keys_allowed = 2000", &[]).await?;
    service.clock.advance(Duration::from_secs(10));
    let report = sweep(&service).await?;
    assert_eq!((report.removed, report.finished, rows(&service).await?), (1201, true, 0));
    assert_eq!(database.query_one("select keys from user_counters", &[]).await?.get::<_, i64>(0), 0);
    Ok(())
}

#[tokio::test]
async fn events_of_accounts_are_removed_after_90_days() -> Outcome {
    let service = in_process();
    service.anonymous().sign_up("ada").await;
    service.clock.advance(Duration::from_hours(89 * 24));
    service.anonymous().sign_in("ada").await;
    assert_eq!(sweep(&service).await?.account_events, 0);
    service.clock.advance(Duration::from_hours(2 * 24));
    assert_eq!(sweep(&service).await?.account_events, 2, "the registration and the first sign-in");
    let remaining = service.database.connect().await.query_one("select count(*) from account_events", &[]).await?;
    assert_eq!(remaining.get::<_, i64>(0), 1);
    Ok(())
}

#[tokio::test]
async fn a_locked_row_is_skipped_and_removed_by_the_next_run() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    for key in ["held", "free"] {
        ada.post("/api/data", &json!({ "key": key, "value": 1, "expires_in": 10 }).to_string()).await;
    }
    service.clock.advance(Duration::from_secs(10));
    let mut database = service.database.connect().await;
    let holder = database.transaction().await?;
    holder.execute("select from data_store where key = 'held' for update", &[]).await?;
    assert_eq!(sweep(&service).await?.removed, 1);
    holder.rollback().await?;
    assert_eq!(sweep(&service).await?.removed, 1);
    Ok(())
}

#[tokio::test]
async fn a_write_reclaims_the_quota_of_expired_values() -> Outcome {
    let mut settings = settings();
    settings.quota.keys = 2;
    let service = in_process().with_settings(settings);
    let ada = service.anonymous().sign_up("ada").await;
    for key in ["a", "b"] {
        ada.post("/api/data", &json!({ "key": key, "value": 1, "expires_in": 10 }).to_string()).await;
    }
    assert_eq!(ada.store("c", json!(1)).await.outcome(), "403 QUOTA_EXCEEDED");
    service.clock.advance(Duration::from_secs(10));
    assert_eq!(ada.store("c", json!(1)).await.outcome(), "201");
    assert_eq!(ada.put("/api/data/d?upsert=true", r#"{"value":1}"#).await.outcome(), "201");
    assert_eq!(ada.store("e", json!(1)).await.outcome(), "403 QUOTA_EXCEEDED");
    assert_eq!(rows(&service).await?, 2);
    Ok(())
}

#[tokio::test]
async fn concurrent_writes_use_the_whole_reclaimed_quota() {
    let mut settings = settings();
    settings.quota.keys = 8;
    let service = in_process().with_settings(settings);
    let ada = service.anonymous().sign_up("ada").await;
    for number in 0..8 {
        ada.post("/api/data", &json!({ "key": format!("old-{number}"), "value": 1, "expires_in": 10 }).to_string())
            .await;
    }
    service.clock.advance(Duration::from_secs(10));
    let outcomes = race(12, |number| {
        let ada = ada.clone();
        async move { ada.store(&format!("new-{number}"), json!(1)).await }
    })
    .await;
    assert_eq!(outcomes, [("201".to_owned(), 8), ("403 QUOTA_EXCEEDED".to_owned(), 4)].into());
}

async fn count(service: &Service, table: &str) -> Result<i64, Box<dyn std::error::Error>> {
    let row = service.database.connect().await.query_one(&format!("select count(*) from {table}"), &[]).await?;
    Ok(row.get(0))
}

#[tokio::test]
async fn expired_sessions_are_removed() -> Outcome {
    for service in [in_process(), Service::new(fake_dsql_database(), settings())] {
        let old = service.anonymous().sign_up("ada").await;
        service.anonymous().sign_up("bob").await;
        service.clock.advance(Duration::from_hours(24));
        service.anonymous().sign_in("ada").await;
        service.clock.advance(Duration::from_hours(29 * 24).saturating_sub(Duration::from_millis(1)));
        assert_eq!((sweep(&service).await?.sessions, count(&service, "sessions").await?), (0, 3));
        service.clock.advance(Duration::from_millis(1));
        assert_eq!(old.get("/api/sessions").await.outcome(), "401 INVALID_TOKEN");
        assert_eq!((sweep(&service).await?.sessions, count(&service, "sessions").await?), (2, 1));
        assert_eq!(sweep(&service).await?.sessions, 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_sweep_examines_thousands_of_sessions_and_skips_locked_ones() -> Outcome {
    let service = in_process();
    service.anonymous().sign_up("ada").await;
    service.anonymous().sign_up("bob").await;
    let mut database = service.database.connect().await;
    let insert_sessions =
        "insert into sessions (user_id, id, created_at, refreshed_at, expires_at, family_digest, current_digest)
        select user_id, gen_random_uuid(), created_at, refreshed_at,
            case when number % 2 = 0 then created_at else expires_at + interval '30 days' end, family_digest, current_digest
        from sessions, generate_series(1, 2500) as number";
    database.execute(insert_sessions, &[]).await?;
    let locking = database.transaction().await?;
    locking
        .batch_execute(
            "delete from sessions where ctid = (select min(ctid) from sessions where expires_at = created_at)",
        )
        .await?;
    assert_eq!(sweep(&service).await?.sessions, 2499);
    locking.rollback().await?;
    assert_eq!((sweep(&service).await?.sessions, count(&service, "sessions").await?), (1, 2502));
    Ok(())
}

#[tokio::test]
async fn outdated_counters_of_wrong_passwords_are_removed() -> Outcome {
    for service in [in_process(), Service::new(fake_dsql_database(), settings())] {
        let client = service.anonymous();
        for name in ["first", "second"] {
            assert_eq!(client.token_for(name, "a wrong guess").await.outcome(), "401 INVALID_CREDENTIALS");
            service.clock.advance(Duration::from_hours(1));
        }
        service.clock.advance(Duration::from_hours(2).saturating_sub(Duration::from_millis(1)));
        assert_eq!((sweep(&service).await?.sign_in_failures, count(&service, "sign_in_failures").await?), (0, 2));
        service.clock.advance(Duration::from_millis(1));
        assert_eq!((sweep(&service).await?.sign_in_failures, count(&service, "sign_in_failures").await?), (1, 1));
    }
    Ok(())
}
