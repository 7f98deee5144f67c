//! Cursors of paginated lists.
//!
//! A cursor contains the last key of a page and a digest of the user, the prefix, and the key.
//!
//! The digest detects a cursor that is damaged or belongs to another list. It is not a signature: a client that forges
//! a cursor only reads its own list from another position.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use super::{Key, KeyPrefix, UserId};

/// A cursor that is damaged or belongs to another list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cursor must be the next_cursor of the previous page, with the same prefix")]
pub struct InvalidCursor;

const DIGEST_BYTES: usize = 8;

/// Returns the cursor that continues after `key`.
pub fn write(user: UserId, prefix: &KeyPrefix, key: &Key) -> String {
    URL_SAFE_NO_PAD.encode([&digest(user, prefix, key.as_str())[..], key.as_str().as_bytes()].concat())
}

/// Returns the key of a cursor.
///
/// # Errors
/// [`InvalidCursor`].
pub fn read(text: &str, user: UserId, prefix: &KeyPrefix) -> Result<Key, InvalidCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
    let (stated, key) = bytes.split_at_checked(DIGEST_BYTES).ok_or(InvalidCursor)?;
    let key = std::str::from_utf8(key).map_err(|_| InvalidCursor)?;
    // An imported key may break today's rules, but PostgreSQL rejects a NUL.
    if *stated != digest(user, prefix, key) || key.contains('\0') {
        return Err(InvalidCursor);
    }
    Ok(Key::from_stored(key.to_owned()))
}

fn digest(user: UserId, prefix: &KeyPrefix, key: &str) -> [u8; DIGEST_BYTES] {
    let prefix = prefix.as_str();
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [user.uuid().as_bytes().as_slice(), &prefix.len().to_be_bytes(), prefix.as_bytes(), key.as_bytes()] {
        context.update(part);
    }
    let mut short = [0; DIGEST_BYTES];
    short.copy_from_slice(&context.finish().as_ref()[..DIGEST_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_cursor_is_valid_only_for_its_list() -> Result<(), Box<dyn std::error::Error>> {
        let (user, other) = (UserId::new(UNIX_EPOCH), UserId::new(UNIX_EPOCH));
        let (prefix, key): (KeyPrefix, Key) = ("a".parse()?, "a/😀".parse()?);
        let text = write(user, &prefix, &key);
        assert_eq!(read(&text, user, &prefix), Ok(key));
        assert_eq!(read(&text, other, &prefix), Err(InvalidCursor));
        assert_eq!(read(&text, user, &KeyPrefix::default()), Err(InvalidCursor));
        for damaged in ["", "A", "AAAAAAAAAAA", &text[1..], &text[..text.len() - 1], &format!("{text}A"), "%", "é"] {
            assert_eq!(read(damaged, user, &prefix), Err(InvalidCursor), "{damaged:?}");
        }
        Ok(())
    }
}
