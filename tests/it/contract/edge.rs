//! Information from the gateway and from proxies in front of it: the address of the client, and HTTPS.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shared::settings::Settings;

use crate::support::{Client, Outcome, Service, database, in_process, password, registration, settings};

/// The network of the newest session.
async fn network(client: &Client) -> String {
    let sessions = client.get("/api/sessions").await.json();
    sessions["data"]["sessions"][0]["network"].as_str().unwrap_or_default().to_owned()
}

/// Signs in through proxies that report these addresses.
async fn network_of(service: &Arc<Service>, connection: &str, forwarded_for: &str) -> String {
    service.clock.advance(Duration::from_secs(1));
    let client = service.anonymous().at(connection).with_header("x-forwarded-for", forwarded_for);
    network(&client.sign_in("ada").await).await
}

#[tokio::test]
async fn forwarding_headers_are_ignored_unless_a_proxy_is_trusted() {
    let service = in_process();
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    assert_eq!(network_of(&service, "203.0.113.9", "198.51.100.1").await, "203.0.113.9");
    assert_eq!(network_of(&service, "203.0.113.9", "198.51.100.1, 203.0.113.9").await, "203.0.113.9");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_address_that_it_reports_counts() -> Outcome {
    let trusted_proxies = "203.0.113.0/24".parse()?;
    let service = Service::new(database(), Settings { trusted_proxies, ..settings() });
    service.anonymous().post("/api/register", &registration("ada").body()).await;
    for (connection, forwarded_for, expected) in [
        ("203.0.113.9", "198.51.100.1, 203.0.113.9", "198.51.100.1"),
        ("203.0.113.9", "10.0.0.1, 2001:db8::1", "2001:db8::/64"),
        ("203.0.113.9", "10.0.0.1, nonsense", "203.0.113.9"),
        ("192.0.2.1", "10.0.0.1", "192.0.2.1"),
    ] {
        assert_eq!(network_of(&service, connection, forwarded_for).await, expected, "{connection} {forwarded_for}");
    }
    // Gateways join headers of the same name. A client that sends one of its own does not choose its network.
    let guesser = |invented: u32| {
        let header = format!("10.0.0.{invented}, 198.51.100.7");
        service.anonymous().at("203.0.113.9").with_header("x-forwarded-for", &header)
    };
    for number in 0..5 {
        let response = guesser(number).token_for("ada", "a wrong guess").await;
        assert_eq!(response.outcome(), "401 INVALID_CREDENTIALS");
    }
    assert_eq!(guesser(6).token_for("ada", password()).await.outcome(), "429 TOO_MANY_ATTEMPTS");
    Ok(())
}

#[tokio::test]
async fn responses_over_https_require_https_and_json_cannot_act_as_a_page() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    const POLICY: Option<&str> = Some("default-src 'none'; frame-ancestors 'none'");
    for path in ["/api/data/key", "/api/data/none", "/api/health", "/api/openapi.json", "/.well-known/jwks.json"] {
        for (scheme, expected) in
            [("https", Some("max-age=63072000")), ("HTTPS", Some("max-age=63072000")), ("http", None)]
        {
            let response = ada.clone().with_header("x-forwarded-proto", scheme).get(path).await;
            assert_eq!(response.header("strict-transport-security"), expected, "{path} {scheme}");
            assert_eq!(response.header("content-security-policy"), POLICY, "{path}");
        }
        assert_eq!(ada.get(path).await.header("strict-transport-security"), None, "{path}");
    }
    let page = ada.with_header("x-forwarded-proto", "https").get("/api/docs").await;
    assert_eq!(page.header("strict-transport-security"), Some("max-age=63072000"));
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.contains("script-src")),
        "its own policy"
    );
}
