//! Events of the gateway and the values in them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::runtime_api::Events;

/// The address of the client in all other events.
const ADDRESS: &str = "203.0.113.7";

pub const USERNAME: &str = "bench";
pub const PASSWORD: &str = "correct horse battery staple";

/// Keys of the user whose requests are measured. Reads and writes take turns through the first hundred.
pub const OWN_KEYS: usize = 1000;
const KEYS_IN_USE: usize = 100;

/// A signed-in user.
#[derive(Clone)]
pub struct Account {
    pub access_token: String,
    /// One for each session, at least one.
    pub refresh_tokens: Vec<String>,
}

/// The parts of a request that differ.
#[derive(Default)]
pub struct Request<'a> {
    pub method: &'a str,
    pub route: &'a str,
    pub query: &'a str,
    pub key: Option<&'a str>,
    pub token: Option<&'a str>,
    pub body: Option<&'a str>,
}

/// The event of a request, as an HTTP API sends it.
pub fn event(request: &Request<'_>) -> String {
    let Request { method, route, query, .. } = request;
    let path = request.key.map_or_else(|| (*route).to_owned(), |key| route.replace("{key+}", key));
    let token = request.token.map_or_else(String::new, |token| format!(r#""authorization":"Bearer {token}","#));
    let content = request.body.map_or_else(String::new, |body| {
        format!(r#""content-length":"{}","content-type":"application/json","#, body.len())
    });
    let key = request.key.map_or_else(String::new, |key| format!(r#""pathParameters":{{"key":"{key}"}},"#));
    let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    let parameters: Vec<String> = parameters.map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
    let parameters = if parameters.is_empty() {
        String::new()
    } else {
        format!(r#""queryStringParameters":{{{}}},"#, parameters.join(","))
    };
    let body = request
        .body
        .map_or_else(String::new, |body| format!(r#""body":"{}","#, body.replace('\\', r"\\").replace('"', r#"\""#)));
    let host = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com";
    format!(
        r#"{{"version":"2.0","routeKey":"{method} {route}","rawPath":"{path}","rawQueryString":"{query}","headers":{{"accept":"application/json",{token}{content}"host":"{host}","user-agent":"curl/8.14.1","x-amzn-trace-id":"Root=1-6ae85818-5f0c3b000000000000000005","x-forwarded-for":"{ADDRESS}","x-forwarded-port":"443","x-forwarded-proto":"https"}},{parameters}"requestContext":{{"accountId":"123456789012","apiId":"a1b2c3d4e5","domainName":"{host}","domainPrefix":"a1b2c3d4e5","http":{{"method":"{method}","path":"{path}","protocol":"HTTP/1.1","sourceIp":"{ADDRESS}","userAgent":"curl/8.14.1"}},"requestId":"TZ05jgQkliAEJ1w=","routeKey":"{method} {route}","stage":"$default","time":"02/Nov/2026:09:30:00 +0000","timeEpoch":1793611800000}},{key}{body}"isBase64Encoded":false}}"#
    )
}

pub fn key(index: usize) -> String {
    format!("key-{index:04}")
}

/// A value of some 200 bytes.
pub fn value(index: usize) -> String {
    let theme = if index.is_multiple_of(2) { "dark" } else { "light" };
    format!(
        r#"{{"theme":"{theme}","revision":{index},"font":{{"family":"Inter","size":12,"weight":400}},"sidebar":{{"open":true,"width":280}},"recent":["overview","reports","settings","members"],"language":"en-GB"}}"#
    )
}

/// The body of a batch that stores `count` keys from `first` on.
pub fn batch_body(first: usize, count: usize, revision: usize) -> String {
    let operation = |index: usize| {
        let (key, value) = (key(index), value(revision + index));
        format!(r#"{{"op":"put","key":"{key}","value":{value},"upsert":true}}"#)
    };
    let operations: Vec<String> = (first..first + count).map(operation).collect();
    format!(r#"{{"operations":[{}]}}"#, operations.join(","))
}

/// Events that follow from nothing but their number.
pub struct Cycle<F>(usize, F);

impl<F: FnMut(usize) -> String + Send + 'static> Cycle<F> {
    pub fn boxed(make: F) -> Box<dyn Events> {
        Box::new(Self(0, make))
    }
}

impl<F: FnMut(usize) -> String + Send> Events for Cycle<F> {
    fn next(&mut self) -> String {
        self.0 += 1;
        (self.1)(self.0)
    }

    fn check(&mut self, response: &str) -> Result<(), String> {
        check_status(response)
    }
}

/// Given events; the last response is kept for the caller.
pub struct Given {
    pub events: std::vec::IntoIter<String>,
    pub response: Arc<Mutex<String>>,
}

impl Events for Given {
    fn next(&mut self) -> String {
        self.events.next().unwrap_or_default()
    }

    fn check(&mut self, response: &str) -> Result<(), String> {
        check_status(response)?;
        response.clone_into(&mut self.response.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// One event, whose response may have any status.
pub struct Any {
    pub event: Option<String>,
    pub response: Arc<Mutex<String>>,
}

impl Events for Any {
    fn next(&mut self) -> String {
        self.event.take().unwrap_or_default()
    }

    fn check(&mut self, response: &str) -> Result<(), String> {
        response.clone_into(&mut self.response.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// The service allows 120 at once.
pub const REFRESHES_OF_A_SESSION: usize = 100;

/// A chain of refreshes: each uses the token that the one before returned. After some, the next session has its turn.
struct Refresh {
    token: String,
    count: usize,
    others: Vec<String>,
}

impl Events for Refresh {
    fn next(&mut self) -> String {
        self.count += 1;
        if self.count.is_multiple_of(REFRESHES_OF_A_SESSION)
            && let Some(other) = self.others.pop()
        {
            self.token = other;
        }
        let body = format!(r#"{{"refresh_token":"{}"}}"#, self.token);
        event(&Request { method: "POST", route: "/api/token/refresh", body: Some(&body), ..Request::default() })
    }

    fn check(&mut self, response: &str) -> Result<(), String> {
        check_status(response)?;
        self.token = text(response, "refresh_token")?;
        Ok(())
    }
}

pub fn get(account: &Account) -> Box<dyn Events> {
    let token = account.access_token.clone();
    Cycle::boxed(move |count| {
        let key = key(count % KEYS_IN_USE);
        let (key, token) = (Some(key.as_str()), Some(token.as_str()));
        event(&Request { method: "GET", route: "/api/data/{key+}", key, token, ..Request::default() })
    })
}

pub fn put(account: &Account) -> Box<dyn Events> {
    let token = account.access_token.clone();
    Cycle::boxed(move |count| {
        let (key, body) = (key(count % KEYS_IN_USE), format!(r#"{{"value":{}}}"#, value(count)));
        let (key, token, body) = (Some(key.as_str()), Some(token.as_str()), Some(body.as_str()));
        event(&Request { method: "PUT", route: "/api/data/{key+}", key, token, body, ..Request::default() })
    })
}

pub fn list(account: &Account) -> Box<dyn Events> {
    let token = account.access_token.clone();
    Cycle::boxed(move |_| {
        let (query, token) = ("limit=100&values=true", Some(token.as_str()));
        event(&Request { method: "GET", route: "/api/data", query, token, ..Request::default() })
    })
}

pub fn batch(account: &Account) -> Box<dyn Events> {
    let token = account.access_token.clone();
    Cycle::boxed(move |count| {
        let body = batch_body(count % 10 * 10, 10, count);
        let (token, body) = (Some(token.as_str()), Some(body.as_str()));
        event(&Request { method: "POST", route: "/api/data/batch", token, body, ..Request::default() })
    })
}

pub fn refresh(account: &Account) -> Box<dyn Events> {
    let mut others = account.refresh_tokens.clone();
    let token = others.pop().unwrap_or_default();
    Box::new(Refresh { token, count: 0, others })
}

/// The event of a sign-in from an address.
pub fn sign_in_from(address: &str, username: &str, password: &str) -> String {
    let body = format!(r#"{{"username":"{username}","password":"{password}"}}"#);
    let event = event(&Request { method: "POST", route: "/api/token", body: Some(&body), ..Request::default() });
    event.replace(ADDRESS, address)
}

pub fn sign_in(_: &Account) -> Box<dyn Events> {
    let body = format!(r#"{{"username":"{USERNAME}","password":"{PASSWORD}"}}"#);
    Cycle::boxed(move |_| {
        event(&Request { method: "POST", route: "/api/token", body: Some(&body), ..Request::default() })
    })
}

fn check_status(response: &str) -> Result<(), String> {
    if [r#""statusCode":200"#, r#""statusCode":201"#].iter().any(|status| response.contains(status)) {
        return Ok(());
    }
    Err(format!("it answered {response}"))
}

/// Returns a text member of the response's body. Identifiers and tokens have no characters that JSON escapes.
pub fn text(response: &str, name: &str) -> Result<String, String> {
    let unescaped = response.replace(r#"\""#, "\"");
    let start = format!(r#""{name}":""#);
    let text = unescaped.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
    text.map(|(text, _)| text.to_owned()).ok_or_else(|| format!("its response has no {name}: {response}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_out_of_an_escaped_body() {
        let response = r#"{"statusCode":200,"body":"{\"data\":{\"refresh_token\":\"abc\",\"x\":1}}"}"#;
        assert_eq!(text(response, "refresh_token").as_deref(), Ok("abc"));
        assert!(text(response, "access_token").is_err());
    }

    #[test]
    fn a_body_is_escaped_in_its_event() {
        let event =
            event(&Request { method: "POST", route: "/api/token", body: Some(r#"{"a":"b"}"#), ..Request::default() });
        assert!(event.contains(r#""body":"{\"a\":\"b\"}","#), "{event}");
    }
}
