//! A cache of verified access tokens. A client sends the same token with every request of an hour, and the verification of a
//! public-key signature takes longer than all other work of a function for a request.
//!
//! Only tokens whose signature was verified are in it. Each use checks the time again, and another key ring empties it, so that the
//! tokens of a removed key are rejected. It does not know whether the session still exists: the statement of each request
//! checks that.

use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA256, digest};

use super::access_token::VerifiedToken;

/// The number of tokens: those of the users that one environment serves in some minutes. 20 KiB.
const SIZE: usize = 256;
/// Bytes of SHA-256.
const DIGEST: usize = 32;

/// A cache for the tokens of the ring `K`. The place of a token follows from its digest, so a token replaces another one and the
/// size is constant.
pub struct TokenCache<K>(Mutex<Entries<K>>);

struct Entries<K> {
    /// The ring that has verified the tokens.
    keys: Option<Arc<K>>,
    tokens: Vec<Option<Entry>>,
}

#[derive(Clone, Copy)]
struct Entry {
    digest: [u8; DIGEST],
    token: VerifiedToken,
}

impl<K> Default for TokenCache<K> {
    fn default() -> Self {
        Self(Mutex::new(Entries { keys: None, tokens: Vec::new() }))
    }
}

impl<K> TokenCache<K> {
    /// Returns a token that these keys have verified, or else calls `verify` and keeps what it returns.
    ///
    /// # Errors
    /// That of `verify`.
    pub fn get_or_verify<E>(
        &self,
        keys: &Arc<K>,
        token: &str,
        verify: impl FnOnce() -> Result<VerifiedToken, E>,
    ) -> Result<VerifiedToken, E> {
        // The digest, because a copy of memory then reveals no token.
        let digest: [u8; DIGEST] = digest(&SHA256, token.as_bytes()).as_ref().try_into().unwrap_or_default();
        let place = usize::from(digest[0]) % SIZE;
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !entries.keys.as_ref().is_some_and(|verified_by| Arc::ptr_eq(verified_by, keys)) {
            entries.keys = Some(Arc::clone(keys));
            entries.tokens.clear();
            entries.tokens.resize(SIZE, None);
        }
        if let Some(entry) = entries.tokens[place]
            && entry.digest == digest
        {
            return Ok(entry.token);
        }
        let token = verify()?;
        entries.tokens[place] = Some(Entry { digest, token });
        Ok(token)
    }
}
