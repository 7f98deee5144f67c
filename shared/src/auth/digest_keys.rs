//! Keyed digests: of names that are throttled, and of mailed codes. The keys are derived from the signing keys, so they are outside
//! the database: a copy of it reveals neither the names that were guessed nor a code of eight digits.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::verifying_keys::{Verifies, VerifyingKeys};
use crate::domain::{Handle, MailedCode, Network};

/// The keys of a function that checks codes or lifts the throttle and signs nothing: the digest keys of a ring, and its keys that
/// verify access tokens.
pub struct DigestKeys {
    verifying: VerifyingKeys,
    /// Makes the subjects of the throttle.
    subjects: hmac::Key,
    /// Makes the digests of codes: one key for each key of the ring, so that a code survives a rotation.
    codes: Vec<hmac::Key>,
}

/// The keys of a function that makes keyed digests.
pub trait Digests {
    /// Returns the keys that make digests.
    fn digests(&self) -> &DigestKeys;
}

impl Digests for DigestKeys {
    fn digests(&self) -> &DigestKeys {
        self
    }
}

impl Verifies for DigestKeys {
    fn verifying(&self) -> &VerifyingKeys {
        &self.verifying
    }
}

impl DigestKeys {
    /// Derives the keys of a ring from the bytes of its signing keys, of which the first one signs.
    pub(super) fn derive(first: &[u8], others: &[&[u8]], verifying: VerifyingKeys) -> Self {
        let codes = [first].iter().chain(others).map(|key| derive(key, b"digests of mailed codes")).collect();
        Self { verifying, subjects: derive(first, b"subjects of the throttle"), codes }
    }

    /// Drops all keys but those that verify access tokens.
    pub(super) fn into_verifying(self) -> VerifyingKeys {
        self.verifying
    }

    /// Returns the text under which failed sign-ins for a name from a network are counted: a digest whose key is outside the
    /// database, because users type passwords into the name field by mistake. It does not tell whether the name has an
    /// account. A rotation of the keys starts the counts anew.
    pub fn throttle_subject(&self, canonical_name: &str, network: Option<&Network>) -> String {
        let mut digest = hmac::Context::with_key(&self.subjects);
        // The network goes first, because a name may contain any separator.
        digest.update(network.map_or("", Network::as_str).as_bytes());
        digest.update(b"\n");
        digest.update(canonical_name.as_bytes());
        URL_SAFE_NO_PAD.encode(digest.sign())
    }

    /// Returns the digests that the code of a handle may have in the database, one for each key. The first one is that of a new
    /// code.
    pub fn code_digests(&self, handle: Handle, code: &MailedCode) -> Vec<Vec<u8>> {
        let digest = |key| {
            let mut digest = hmac::Context::with_key(key);
            digest.update(handle.uuid().as_bytes());
            digest.update(code.as_str().as_bytes());
            digest.sign().as_ref().to_vec()
        };
        self.codes.iter().map(digest).collect()
    }
}

/// Derives a key for one use from a signing key.
fn derive(signing: &[u8], purpose: &[u8]) -> hmac::Key {
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, signing), purpose);
    hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"{"kid":"1","secret":"9f8a1c0d5be24f7a8e3b6c1d2f405968"}"#;
    const SECOND: &str = r#"{"kid":"2","secret":"00b4d1c7e9f2a3856471829304a5b6c7"}"#;

    fn keys(keys: &[&str]) -> DigestKeys {
        DigestKeys::parse(&format!(r#"{{"keys":[{}]}}"#, keys.join(","))).expect("a ring")
    }

    #[test]
    fn a_code_that_was_mailed_before_a_rotation_is_found_after_it() {
        let (handle, code) = (Handle::random().expect("randomness"), MailedCode::random().expect("randomness"));
        let before = keys(&[FIRST, SECOND]).code_digests(handle, &code);
        let after = keys(&[SECOND, FIRST]).code_digests(handle, &code);
        assert_ne!(before[0], after[0]);
        assert!(after.contains(&before[0]));
        assert!(!keys(&[SECOND]).code_digests(handle, &code).contains(&before[0]));
    }

    #[test]
    fn a_digest_is_bound_to_the_handle_and_the_code() {
        let keys = keys(&[FIRST]);
        let handles = [(); 2].map(|()| Handle::random().expect("randomness"));
        let codes: [MailedCode; 2] = ["00000001", "00000002"].map(|code| code.parse().expect("a code"));
        let digest = |handle, code| keys.code_digests(handle, code).remove(0);
        assert_eq!(digest(handles[0], &codes[0]), digest(handles[0], &codes[0]));
        assert_ne!(digest(handles[0], &codes[0]), digest(handles[0], &codes[1]));
        assert_ne!(digest(handles[0], &codes[0]), digest(handles[1], &codes[0]));
    }
}
