//! Password hashing: the only home of `bcrypt`.
//!
//! bcrypt covers 72 bytes including a final NUL, and repeats what it is given cyclically, so that `a` and `a\0a` are one
//! password to it. A password it covers whole is hashed as it is (`$2b$…`). Any other is first brought to 44 characters by
//! HMAC-SHA-256 keyed with the salt, in the format that passlib calls bcrypt-sha256 version 2:
//! `$bcrypt-sha256$v=2,t=2b,r=12$<salt>$<digest>`.

#![expect(clippy::disallowed_methods, reason = "this is the home of bcrypt")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::domain::{Password, PasswordAttempt};

/// The bcrypt cost of a new hash unless configured: 2¹² rounds, about 0.25 s of a core. OWASP asks for 10 or more.
pub const DEFAULT_COST: u32 = 12;
/// The lowest cost that can be configured (OWASP Password Storage Cheat Sheet).
pub const LOWEST_COST: u32 = 10;
/// The highest cost that can be configured: 4 s of a core and as long again for a hash that is renewed, beyond which a
/// sign-in would time out.
pub const HIGHEST_COST: u32 = 16;

/// The longest password that bcrypt covers whole; the 72nd byte is the final NUL.
const MAX_BARE_BYTES: usize = 71;
/// What a bcrypt implementation looked at before anybody refused longer ones; imported hashes were made so.
const LEGACY_BYTES: usize = 72;
const PREHASHED: &str = "$bcrypt-sha256$v=2,t=2b,r=";

/// Whether a stored hash was made from the attempted password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was not, or there is no user to have made it.
    Wrong,
    /// It was.
    Right {
        /// Whether the stored hash is not as a new one would be, in its method or its cost.
        outdated: bool,
    },
}

/// A stored hash could not be read: no login is possible with it, and something else wrote it.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// bcrypt does not know the form, or the system has no randomness.
    #[error("bcrypt refused its input")]
    Bcrypt(#[from] bcrypt::BcryptError),
    /// The system has no randomness.
    #[error("no random salt could be made")]
    Random(#[from] getrandom::Error),
    /// The form of a pre-hashed password is not the one this module writes.
    #[error("the stored hash is neither bcrypt nor bcrypt-sha256")]
    Malformed,
}

/// Hashes a new password: 60 to 80 characters of ASCII that tell their own method and cost.
///
/// Takes 2^`cost` rounds of a core; run it where that blocks nobody.
///
/// # Errors
/// The system has no randomness, or `cost` is outside bcrypt's 4–31.
pub fn hash(password: &Password, cost: u32) -> Result<String, HashError> {
    hash_bytes(password.as_bytes(), cost)
}

/// Hashes a password that was found right anew, as [`hash`] does.
///
/// # Errors
/// As for [`hash`].
pub fn renew(attempt: &PasswordAttempt, cost: u32) -> Result<String, HashError> {
    hash_bytes(attempt.as_bytes(), cost)
}

fn hash_bytes(password: &[u8], cost: u32) -> Result<String, HashError> {
    if is_covered(password) {
        return Ok(bcrypt::non_truncating_hash(password, cost)?);
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)?;
    // bcrypt writes the salt in its own base64; the formatted hash is where to read it.
    let salt_text = parts(&bcrypt::hash_with_salt("", 4, salt)?.to_string())?.salt.to_owned();
    let hash = bcrypt::non_truncating_hash_with_salt(prehash(password, &salt_text), cost, salt)?.to_string();
    let Parts { salt, digest, .. } = parts(&hash)?;
    Ok(format!("{PREHASHED}{cost}${salt}${digest}"))
}

/// Compares an attempt with a stored hash, or with none at all, in the time of a hash of `cost` either way.
///
/// The time does not tell whether there is a user, nor whether their hash is an old, cheaper one (RFC 6749 §10.10 and
/// OWASP Authentication Cheat Sheet ask for as much); but one that is dearer takes its own time, until its owner signs in
/// and has it renewed. Takes 2^`cost` rounds of a core.
///
/// # Errors
/// `stored` was not written by this module or by another bcrypt.
pub fn verify(attempt: &PasswordAttempt, stored: Option<&str>, cost: u32) -> Result<Verdict, HashError> {
    let attempt = attempt.as_bytes();
    let Some(stored) = stored else {
        spend(attempt, cost)?;
        return Ok(Verdict::Wrong);
    };
    let (right, stored_cost, current_method) = if let Some(rest) = stored.strip_prefix(PREHASHED) {
        let (stored_cost, rest) = rest.split_once('$').ok_or(HashError::Malformed)?;
        let (salt, digest) = rest.split_once('$').ok_or(HashError::Malformed)?;
        let stored_cost: u32 = stored_cost.parse().map_err(|_| HashError::Malformed)?;
        let right = bcrypt::verify(prehash(attempt, salt), &format!("$2b${stored_cost:02}${salt}{digest}"))?;
        (right, stored_cost, !is_covered(attempt))
    } else {
        let stored_cost = parts(stored)?.cost;
        // An imported hash of a long password covers its first 72 bytes only. A NUL never matches: it would let other
        // texts pass for the password.
        let bytes = &attempt[..attempt.len().min(LEGACY_BYTES)];
        let right = bcrypt::verify(bytes, stored)? && !attempt.contains(&0);
        (right, stored_cost, is_covered(attempt))
    };
    for missing in stored_cost..cost {
        // 2^a + (2^a + … + 2^(b-1)) = 2^b: a cheap hash and its padding together cost what a new one does.
        spend(attempt, missing)?;
    }
    if !right {
        return Ok(Verdict::Wrong);
    }
    Ok(Verdict::Right { outdated: stored_cost != cost || !current_method })
}

/// Does the work of one comparison for nothing.
fn spend(attempt: &[u8], cost: u32) -> Result<(), HashError> {
    bcrypt::hash_with_salt(&attempt[..attempt.len().min(MAX_BARE_BYTES)], cost, [0; 16])?;
    Ok(())
}

fn is_covered(password: &[u8]) -> bool {
    password.len() <= MAX_BARE_BYTES && !password.contains(&0)
}

fn prehash(password: &[u8], salt: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
    STANDARD.encode(hmac::sign(&key, password))
}

struct Parts<'a> {
    cost: u32,
    salt: &'a str,
    digest: &'a str,
}

/// Takes `$2b$12$<22 characters of salt><31 of digest>` apart, whatever the letter after the 2.
fn parts(hash: &str) -> Result<Parts<'_>, HashError> {
    if hash.len() != 60 || !hash.is_ascii() || !hash.starts_with("$2") {
        return Err(HashError::Malformed);
    }
    Ok(Parts { cost: hash[4..6].parse().map_err(|_| HashError::Malformed)?, salt: &hash[7..29], digest: &hash[29..] })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// bcrypt's lowest: what is tested here does not depend on the cost.
    const COST: u32 = 4;

    fn new_hash(password: &str, cost: u32) -> Result<String, Box<dyn std::error::Error>> {
        Ok(hash(&crate::domain::PasswordPolicy::default().accept(password)?, cost)?)
    }

    fn attempt(text: &str) -> PasswordAttempt {
        let Ok(attempt) = text.parse();
        attempt
    }

    fn is_right(text: &str, stored: &str, cost: u32) -> Result<bool, HashError> {
        Ok(verify(&attempt(text), Some(stored), cost)? != Verdict::Wrong)
    }

    /// The hash that a sign-in stores anew, which has to be of the current kind.
    fn renewed(text: &str, stored: &str, cost: u32) -> Result<Option<String>, HashError> {
        if verify(&attempt(text), Some(stored), cost)? != (Verdict::Right { outdated: true }) {
            return Ok(None);
        }
        let renewed = renew(&attempt(text), cost)?;
        assert_eq!(verify(&attempt(text), Some(&renewed), cost)?, Verdict::Right { outdated: false });
        Ok(Some(renewed))
    }

    #[test]
    fn a_password_is_right_and_every_other_is_wrong() -> Outcome {
        for password in ["correct horse", &"x".repeat(71), &"x".repeat(72), &"x".repeat(1000), "with\0nul-inside"] {
            let hash = new_hash(password, COST)?;
            assert_eq!(
                verify(&attempt(password), Some(&hash), COST)?,
                Verdict::Right { outdated: false },
                "{password:?}"
            );
            for other in [&format!("{password}y"), &format!("{password}\0"), &password[..password.len() - 1], "", "\0"]
            {
                assert!(!is_right(other, &hash, COST)?, "{password:?} {other:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn what_a_nul_repeats_is_another_password() -> Outcome {
        let hash = new_hash("passphrase", COST)?;
        assert!(!is_right("passphrase\0passphrase", &hash, COST)?);
        Ok(())
    }

    #[test]
    fn without_a_user_every_password_is_wrong() -> Outcome {
        for text in ["", "anything", &"x".repeat(5000), "a\0b"] {
            assert_eq!(verify(&attempt(text), None, COST)?, Verdict::Wrong);
        }
        Ok(())
    }

    #[test]
    fn a_hash_of_another_cost_is_right_and_renewed() -> Outcome {
        let hash = new_hash("correct horse", COST)?;
        assert!(renewed("correct horse", &hash, COST + 1)?.is_some_and(|hash| hash.starts_with("$2b$05$")));
        assert!(renewed("correct horse", &new_hash("correct horse", COST + 1)?, COST)?.is_some());
        assert!(!is_right("wrong horse", &hash, COST + 1)?);
        Ok(())
    }

    #[test]
    fn an_imported_hash_of_a_long_password_is_right_and_renewed() -> Outcome {
        let password = "x".repeat(100);
        let imported = bcrypt::hash_with_salt(&password[..72], COST, [7; 16])?.to_string();
        let whole = renewed(&password, &imported, COST)?.ok_or("no new hash")?;
        assert!(is_right(&password[..72], &imported, COST)? && !is_right(&password[..72], &whole, COST)?);
        assert!(!is_right(&password[..71], &imported, COST)?);
        Ok(())
    }

    #[test]
    fn a_hash_of_another_implementation_is_understood() -> Outcome {
        // crypt_blowfish's own test vector.
        let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert!(is_right("U*U", hash, 5)?);
        Ok(())
    }

    /// Medians of interleaved runs, so that whatever else the machine does falls on all alike.
    #[test]
    fn no_user_a_new_hash_and_a_cheap_one_take_the_same_time() -> Outcome {
        const COST: u32 = 8;
        let (new, cheap) = (new_hash("correct horse", COST)?, new_hash("correct horse", COST - 2)?);
        let kinds = [None, Some(new.as_str()), Some(cheap.as_str())];
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..25 {
            for (stored, times) in kinds.iter().zip(&mut times) {
                #[expect(clippy::disallowed_methods, reason = "it is the time of the work that counts here")]
                let started = std::time::Instant::now();
                verify(&attempt("wrong horse"), *stored, COST)?;
                times.push(started.elapsed());
            }
        }
        let [none, new, cheap] = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64()
        });
        for (what, ratio) in [("no user", none / new), ("a cheap hash", cheap / new)] {
            assert!((0.67..1.5).contains(&ratio), "{what} takes {ratio:.2} times as long as a wrong password");
        }
        Ok(())
    }

    #[test]
    fn what_is_no_hash_is_an_error() {
        for stored in ["", "plain text", "$2b$12$short", "$bcrypt-sha256$v=2,t=2b,r=12$x", &"é".repeat(30)] {
            assert!(verify(&attempt("anything"), Some(stored), COST).is_err(), "{stored:?}");
        }
    }
}
