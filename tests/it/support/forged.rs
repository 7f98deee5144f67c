//! Tokens that tests make themselves by RFC 7515.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::Value;

use super::SECRET;

/// A valid token, each part of which a test can change.
#[derive(Clone, Debug)]
pub struct Forged {
    header: Value,
    claims: Value,
    secret: Vec<u8>,
}

impl Forged {
    /// Decodes a token of the service.
    pub fn from(token: &str) -> Self {
        let part = |index: usize| {
            let text = token.split('.').nth(index).expect("three parts");
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
        };
        Self { header: part(0), claims: part(1), secret: SECRET.into() }
    }

    /// The claims.
    pub fn claims(&self) -> &Value {
        &self.claims
    }

    /// The header.
    pub fn header(&self) -> &Value {
        &self.header
    }

    /// Sets a header member.
    pub fn with_header(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.header[member] = value.into();
        self
    }

    /// Removes a header member.
    pub fn without_header(mut self, member: &str) -> Self {
        self.header.as_object_mut().expect("an object").remove(member);
        self
    }

    /// Sets a claim.
    pub fn with_claim(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims[claim] = value.into();
        self
    }

    /// Removes a claim.
    pub fn without_claim(mut self, claim: &str) -> Self {
        self.claims.as_object_mut().expect("an object").remove(claim);
        self
    }

    /// Sets the secret that signs the token.
    pub fn with_secret(mut self, secret: &[u8]) -> Self {
        self.secret = secret.to_owned();
        self
    }

    /// The token, signed with HMAC-SHA-256 regardless of its header.
    pub fn sign(&self) -> String {
        let message = self.message();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
    }

    /// The token, signed with HMAC-SHA-512.
    pub fn sign_hs512(&self) -> String {
        let message = self.clone().with_header("alg", "HS512").message();
        let key = hmac::Key::new(hmac::HMAC_SHA512, &self.secret);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
    }

    /// The token with `alg: none` and without a signature.
    pub fn unsigned(&self) -> String {
        format!("{}.", self.clone().with_header("alg", "none").message())
    }

    fn message(&self) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }
}
