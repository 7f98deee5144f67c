//! `DATABASE_URL`.

use tokio_postgres::Config;

use super::SecretsError;

/// Options of other clients that this service does not have. An option that is not in this list may be a part of a password that
/// was not percent-encoded, so that no message may name it.
const FOREIGN: [&str; 18] = [
    "connection_limit",
    "currentSchema",
    "gssencmode",
    "passfile",
    "pgbouncer",
    "pool_timeout",
    "prepareThreshold",
    "schema",
    "search_path",
    "service",
    "socket_timeout",
    "ssl",
    "sslaccept",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslrootcert",
    "statement_cache_size",
];

/// Parses an address.
///
/// Every connection with TLS verifies the certificate and the name, so `sslmode=verify-full` and `sslmode=verify-ca` ask for
/// no more than `sslmode=require`.
///
/// # Errors
/// It is not an address, or it has an option of another client.
pub(super) fn parse(url: &str) -> Result<Config, SecretsError> {
    let url = url.trim();
    // As for the parser, the password ends at the first `@`.
    let host = url.find('@').unwrap_or(0);
    let query = url[host..].find('?').map_or(url.len(), |position| host + position);
    let (address, query) = (&url[..query], url[query..].trim_start_matches('?'));
    let options = query.split('&').filter(|option| !option.is_empty());
    let foreign = |option: &str| {
        let (name, _) = option.split_once('=')?;
        FOREIGN.into_iter().find(|foreign| foreign.eq_ignore_ascii_case(name))
    };
    let found = options.clone().find_map(foreign);
    let options = options.map(|option| match option {
        "sslmode=verify-full" | "sslmode=verify-ca" => "sslmode=require",
        option => option,
    });
    let options: Vec<&str> = options.filter(|option| foreign(option).is_none()).collect();
    let url = if options.is_empty() { address.to_owned() } else { format!("{address}?{}", options.join("&")) };
    // The parser's own message can quote a part of the password.
    let config = url.parse().map_err(|_| SecretsError::DatabaseUrl)?;
    found.map_or(Ok(config), |name| Err(SecretsError::DatabaseUrlOption(name)))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    fn ssl_mode(query: &str) -> Option<SslMode> {
        parse(&format!("postgres://user:password@host/name{query}")).ok().map(|config| config.get_ssl_mode())
    }

    #[test]
    fn a_mode_that_verifies_the_certificate_is_what_every_connection_has() {
        for mode in ["require", "verify-ca", "verify-full"] {
            assert_eq!(ssl_mode(&format!("?application_name=x&sslmode={mode}")), Some(SslMode::Require), "{mode}");
        }
        assert_eq!(ssl_mode("?sslmode=disable"), Some(SslMode::Disable));
        assert_eq!(ssl_mode(""), Some(SslMode::Prefer));
        assert_eq!(ssl_mode("?"), Some(SslMode::Prefer));
        for mode in ["allow", "verify", "verify-fully", ""] {
            assert_eq!(ssl_mode(&format!("?sslmode={mode}")), None, "{mode}");
        }
    }

    #[test]
    fn an_option_of_another_client_is_named() {
        for (query, name) in [
            ("?pgbouncer=true", "pgbouncer"),
            ("?sslmode=verify-full&sslrootcert=system", "sslrootcert"),
            ("?connect_timeout=3&schema=public", "schema"),
        ] {
            let error =
                parse(&format!("postgres://user:password@host/name{query}")).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(&format!("option {name}"))), "{error:?}");
        }
    }

    #[test]
    fn a_password_that_is_not_percent_encoded_is_not_taken_for_an_option() {
        for password in ["a?secret=1", "a?schema=1&", "a?sslmode=verify-full", "?&?=="] {
            let config = parse(&format!("postgres://user:{password}@host/name?sslmode=verify-full")).ok();
            let config = config.filter(|config| config.get_ssl_mode() == SslMode::Require);
            assert_eq!(
                config.and_then(|config| config.get_password().map(<[u8]>::to_vec)).as_deref(),
                Some(password.as_bytes())
            );
        }
        for password in ["a@b?secret=1", "a@b/?hunter2"] {
            let error = parse(&format!("postgres://user:{password}@host/name")).err().map(|error| error.to_string());
            assert!(error.is_some_and(|error| error.contains("Percent-encode")), "{password}");
        }
    }
}
