//! Password hashing: the home of `bcrypt`.
//!
//! bcrypt uses 72 bytes, including a final NUL, and repeats shorter input cyclically, so that `a` and `a\0a` have the
//! same hash. A password of at most 71 bytes without NUL is hashed directly (`$2b$…`). Any other is first reduced to 44
//! characters by HMAC-SHA-256 with the salt as its key, in the format that passlib calls bcrypt-sha256 version 2:
//! `$bcrypt-sha256$v=2,t=2b,r=12$<salt>$<digest>`.

#![expect(clippy::disallowed_methods, reason = "the home of bcrypt")]

use std::str::FromStr;

use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use base64::{Engine, alphabet};
use ring::hmac;

use crate::domain::{Password, PasswordAttempt};

/// The default bcrypt cost of a new hash: 2¹² rounds, about 0.25 s on one core. OWASP recommends 10 or more.
pub const DEFAULT_COST: u32 = 12;
/// The lowest cost that can be configured (OWASP Password Storage Cheat Sheet).
pub const LOWEST_COST: u32 = 10;
/// The highest cost that can be configured: 4 s on one core, twice that if the hash is renewed. With a higher one
/// sign-ins would time out.
pub const HIGHEST_COST: u32 = 16;

/// Maximum bytes of a password that bcrypt uses completely. The 72nd byte is the final NUL.
const MAX_DIRECT_BYTES: usize = 71;
/// Bytes that other bcrypt implementations use of a longer password. Imported hashes were made this way.
const LEGACY_BYTES: usize = 72;
const PREHASHED: &str = "$bcrypt-sha256$v=2,t=2b,r=";

/// The result of a comparison with a stored hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is wrong, or the account does not exist.
    Wrong,
    /// The password is right.
    Right {
        /// Whether the method or the cost of the stored hash differs from those of a new one.
        outdated: bool,
    },
}

/// A hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// 60 to 80 ASCII characters that include the method, the cost, and the salt.
    pub text: String,
    /// The cost of bcrypt: 2^`cost` rounds.
    pub cost: u32,
}

/// A text that is not a hash to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// It is not one of bcrypt.
    #[error(
        "password_hash must be a bcrypt hash of 60 characters, such as $2b$10$…. Leave it out for a hash of another kind: the user \
         then sets a password by a mailed code"
    )]
    NotBcrypt,
    /// Its cost is too high.
    #[error("password_hash must have a cost from 4 to {HIGHEST_COST}")]
    Cost,
}

impl FromStr for PasswordHash {
    type Err = InvalidHash;

    /// Reads a hash that another service has made: `$2a$`, `$2b$`, or `$2y$`, which are the same method. Some libraries set the last
    /// bits of the salt and the digest, which encode nothing, and others reject them, so they are cleared.
    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let Parts { cost, salt, digest } = parts(text).map_err(|_| InvalidHash::NotBcrypt)?;
        // The parser of numbers also accepts `+9`.
        let has_form = text[4..6].bytes().all(|byte| byte.is_ascii_digit()) && text.as_bytes()[6] == b'$';
        if !has_form || !["$2a$", "$2b$", "$2y$"].iter().any(|version| text.starts_with(version)) {
            return Err(InvalidHash::NotBcrypt);
        }
        if !(4..=HIGHEST_COST).contains(&cost) {
            return Err(InvalidHash::Cost);
        }
        let decode = |text: &str| LENIENT.decode(text).map_err(|_| InvalidHash::NotBcrypt);
        let (salt, digest) = (LENIENT.encode(decode(salt)?), LENIENT.encode(decode(digest)?));
        Ok(Self { text: format!("{}{salt}{digest}", &text[..7]), cost })
    }
}

/// bcrypt's base64, with any last bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// When a stored hash whose password was right is outdated.
enum Renewal {
    Always,
    IfCostDiffers,
    Never,
}

/// The reason why a password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// bcrypt cannot parse the stored hash, or the system has no randomness.
    #[error("bcrypt rejected its input")]
    Bcrypt(#[from] bcrypt::BcryptError),
    /// The system has no randomness.
    #[error("no randomness for a salt")]
    Random(#[from] getrandom::Error),
    /// The stored hash has an unknown format. Sign-in to this account is impossible.
    #[error("the stored hash is neither bcrypt nor bcrypt-sha256")]
    Malformed,
}

/// Hashes a new password.
///
/// Takes 2^`cost` rounds on one core: call it on a thread that may block.
///
/// # Errors
/// The system has no randomness, or `cost` is outside bcrypt's 4–31.
pub fn hash(password: &Password, cost: u32) -> Result<PasswordHash, HashError> {
    Ok(PasswordHash { text: hash_bytes(password.as_bytes(), cost)?, cost })
}

/// Hashes a verified password again, as [`hash`] does.
///
/// # Errors
/// As for [`hash`].
pub fn renew(attempt: &PasswordAttempt, cost: u32) -> Result<PasswordHash, HashError> {
    Ok(PasswordHash { text: hash_bytes(attempt.normalized(), cost)?, cost })
}

fn hash_bytes(password: &[u8], cost: u32) -> Result<String, HashError> {
    if fits_bcrypt(password) {
        return Ok(bcrypt::non_truncating_hash(password, cost)?);
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)?;
    // bcrypt has its own base64 alphabet, so the salt's text is taken from a formatted hash.
    let salt_text = parts(&bcrypt::hash_with_salt("", 4, salt)?.to_string())?.salt.to_owned();
    let hash = bcrypt::non_truncating_hash_with_salt(prehash(password, &salt_text), cost, salt)?.to_string();
    let Parts { salt, digest, .. } = parts(&hash)?;
    Ok(format!("{PREHASHED}{cost}${salt}${digest}"))
}

/// Compares a password with a stored hash, or with nothing if the account does not exist. `cost` is that of new hashes, and
/// `highest_cost` is the highest of all stored ones.
///
/// Both take as many rounds on one core as a hash of the higher cost, for any cost of the stored hash, so that the
/// response time does not reveal whether an account exists (OWASP Authentication Cheat Sheet). A text that is not normalized
/// takes twice as long, because both of its forms are compared. Stored costs above
/// [`HIGHEST_COST`] are not imitated: one imported hash could otherwise make every sign-in time out.
///
/// # Errors
/// `stored` is not a bcrypt hash.
pub fn verify(
    attempt: &PasswordAttempt,
    stored: Option<&str>,
    cost: u32,
    highest_cost: u32,
) -> Result<Verdict, HashError> {
    let equal_cost = cost.max(highest_cost.min(HIGHEST_COST));
    for text in attempt.texts() {
        let Some(stored) = stored else {
            spend(text, equal_cost)?;
            continue;
        };
        match verify_text(text, stored, cost, equal_cost)? {
            Verdict::Wrong => {}
            // The hash is of the text as it was sent, and a new one is of the normalized text.
            Verdict::Right { outdated } => {
                let is_normalized = text == attempt.normalized();
                return Ok(Verdict::Right { outdated: outdated || !is_normalized && text.len() < LEGACY_BYTES });
            }
        }
    }
    Ok(Verdict::Wrong)
}

/// Compares a text with a stored hash, in the time of a hash of `equal_cost`.
fn verify_text(attempt: &[u8], stored: &str, cost: u32, equal_cost: u32) -> Result<Verdict, HashError> {
    let (right, stored_cost, renewal) = if let Some(rest) = stored.strip_prefix(PREHASHED) {
        let (stored_cost, rest) = rest.split_once('$').ok_or(HashError::Malformed)?;
        let (salt, digest) = rest.split_once('$').ok_or(HashError::Malformed)?;
        let stored_cost: u32 = stored_cost.parse().map_err(|_| HashError::Malformed)?;
        let right = bcrypt::verify(prehash(attempt, salt), &format!("$2b${stored_cost:02}${salt}{digest}"))?;
        (right, stored_cost, if fits_bcrypt(attempt) { Renewal::Always } else { Renewal::IfCostDiffers })
    } else {
        let stored_cost = parts(stored)?.cost;
        // An imported hash of a long password covers its first 72 bytes only. A password with a NUL never matches,
        // because bcrypt would accept other texts for it.
        let bytes = &attempt[..attempt.len().min(LEGACY_BYTES)];
        let right = bcrypt::verify(bytes, stored)? && !attempt.contains(&0);
        // Of a longer password, or a beginning of it with 72 bytes, only the covered part was compared. A new hash would make
        // what was typed the password.
        let covered = attempt.len() < LEGACY_BYTES;
        (right, stored_cost, if covered { Renewal::IfCostDiffers } else { Renewal::Never })
    };
    for missing in stored_cost..equal_cost {
        // 2^a + (2^a + … + 2^(b-1)) = 2^b: the cheaper hash and this padding take as long as a hash of `equal_cost`.
        spend(attempt, missing)?;
    }
    if !right {
        return Ok(Verdict::Wrong);
    }
    Ok(Verdict::Right {
        outdated: match renewal {
            Renewal::Always => true,
            Renewal::IfCostDiffers => stored_cost != cost,
            Renewal::Never => false,
        },
    })
}

/// Takes as long as one comparison and discards the result.
fn spend(attempt: &[u8], cost: u32) -> Result<(), HashError> {
    bcrypt::hash_with_salt(&attempt[..attempt.len().min(MAX_DIRECT_BYTES)], cost, [0; 16])?;
    Ok(())
}

fn fits_bcrypt(password: &[u8]) -> bool {
    password.len() <= MAX_DIRECT_BYTES && !password.contains(&0)
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

/// Splits `$2b$12$<22 characters of salt><31 of digest>`. Any letter may follow the 2.
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

    /// The lowest cost of bcrypt, to keep the tests fast.
    const COST: u32 = 4;

    fn new_hash(password: &str, cost: u32) -> Result<String, Box<dyn std::error::Error>> {
        Ok(hash(&crate::domain::PasswordPolicy::default().accept(password)?, cost)?.text)
    }

    fn attempt(text: &str) -> PasswordAttempt {
        let Ok(attempt) = text.parse();
        attempt
    }

    fn is_right(text: &str, stored: &str, cost: u32) -> Result<bool, HashError> {
        Ok(verify(&attempt(text), Some(stored), cost, cost)? != Verdict::Wrong)
    }

    /// Returns the renewed hash if the stored one is outdated, and checks that it is current.
    fn renewed(text: &str, stored: &str, cost: u32) -> Result<Option<String>, HashError> {
        if verify(&attempt(text), Some(stored), cost, cost)? != (Verdict::Right { outdated: true }) {
            return Ok(None);
        }
        let renewed = renew(&attempt(text), cost)?.text;
        assert_eq!(verify(&attempt(text), Some(&renewed), cost, cost)?, Verdict::Right { outdated: false });
        Ok(Some(renewed))
    }

    #[test]
    fn only_the_same_password_is_right() -> Outcome {
        for password in ["correct horse", &"x".repeat(71), &"x".repeat(72), &"x".repeat(1000), "with\0nul-inside"] {
            let hash = new_hash(password, COST)?;
            assert_eq!(
                verify(&attempt(password), Some(&hash), COST, COST)?,
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
    fn a_password_repeated_after_a_nul_is_wrong() -> Outcome {
        let hash = new_hash("passphrase", COST)?;
        assert!(!is_right("passphrase\0passphrase", &hash, COST)?);
        Ok(())
    }

    #[test]
    fn every_password_of_an_unknown_account_is_wrong() -> Outcome {
        for text in ["", "anything", &"x".repeat(5000), "a\0b"] {
            assert_eq!(verify(&attempt(text), None, COST, COST)?, Verdict::Wrong);
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

    /// An imported hash covers 72 bytes of a longer password, so the typed text need not be the password.
    #[test]
    fn an_imported_hash_that_may_cover_a_part_of_the_password_is_not_renewed() -> Outcome {
        let password = "x".repeat(100);
        let imported = bcrypt::hash_with_salt(&password[..72], COST, [7; 16])?.to_string();
        for typed in [password.as_str(), &password[..72], &password[..73], &format!("{}typo", &password[..96])] {
            assert!(is_right(typed, &imported, COST)?, "{typed}");
            assert_eq!(renewed(typed, &imported, COST + 1)?, None, "{typed}");
        }
        assert!(!is_right(&password[..71], &imported, COST)?);
        let shorter = bcrypt::hash_with_salt(&password[..71], COST, [7; 16])?.to_string();
        assert!(renewed(&password[..71], &shorter, COST + 1)?.is_some());
        Ok(())
    }

    #[test]
    fn a_hash_of_another_implementation_is_accepted() -> Outcome {
        // A test vector of crypt_blowfish.
        let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert!(is_right("U*U", hash, 5)?);
        Ok(())
    }

    /// Compares medians of interleaved runs, so that other load on the machine affects all of them equally.
    #[test]
    fn an_unknown_account_and_hashes_of_all_costs_take_the_same_time() -> Outcome {
        /// The cost of new hashes.
        const LOWER: u32 = 7;
        /// The highest cost in use.
        const COST: u32 = 8;
        let (new, cheap) = (new_hash("correct horse", COST)?, new_hash("correct horse", COST - 2)?);
        let kinds = [None, Some(new.as_str()), Some(cheap.as_str())];
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..25 {
            for (stored, times) in kinds.iter().zip(&mut times) {
                #[expect(clippy::disallowed_methods, reason = "the test measures real time")]
                let started = std::time::Instant::now();
                verify(&attempt("wrong horse"), *stored, LOWER, COST)?;
                times.push(started.elapsed());
            }
        }
        let [none, new, cheap] = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64()
        });
        for (kind, ratio) in [("an unknown account", none / new), ("a cheap hash", cheap / new)] {
            assert!((0.67..1.5).contains(&ratio), "{kind} takes {ratio:.2} times as long as a wrong password");
        }
        Ok(())
    }

    #[test]
    fn a_text_that_is_not_a_hash_is_an_error() {
        for stored in ["", "plain text", "$2b$12$short", "$bcrypt-sha256$v=2,t=2b,r=12$x", &"é".repeat(30)] {
            assert!(verify(&attempt("anything"), Some(stored), COST, COST).is_err(), "{stored:?}");
        }
    }

    /// The first hash is of libxcrypt. The others have the same salt and digest.
    #[test]
    fn a_hash_of_another_service_is_imported() -> Outcome {
        const HASH: &str = "$2b$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2";
        let a = HASH.replace("$2b$", "$2a$");
        let y = HASH.replace("$2b$", "$2y$");
        let last_bits_set = HASH.replace("tuuC", "tuvC");
        for text in [HASH, &a, &y, &last_bits_set] {
            let hash: PasswordHash = text.parse()?;
            assert_eq!(hash.cost, 10);
            assert!(is_right("correct horse battery", &hash.text, COST)?, "{text}");
        }
        for (text, error) in [
            ("", InvalidHash::NotBcrypt),
            ("correct horse battery", InvalidHash::NotBcrypt),
            (&HASH[..59], InvalidHash::NotBcrypt),
            (&HASH.replace("$2b$", "$2x$"), InvalidHash::NotBcrypt),
            (&HASH.replace("$10$a", "$10aa"), InvalidHash::NotBcrypt),
            (&HASH.replace("$10$", "$+9$"), InvalidHash::NotBcrypt),
            (&HASH.replace("Cj7", "Cj!"), InvalidHash::NotBcrypt),
            (&HASH.replace("$10$", "$17$"), InvalidHash::Cost),
            (&HASH.replace("$10$", "$03$"), InvalidHash::Cost),
            ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo", InvalidHash::NotBcrypt),
        ] {
            assert_eq!(text.parse::<PasswordHash>().err(), Some(error), "{text}");
        }
        Ok(())
    }
}
