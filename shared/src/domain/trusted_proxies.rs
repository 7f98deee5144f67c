//! The address of a client behind proxies.

use std::net::IpAddr;
use std::str::FromStr;

use super::Network;

/// The proxies whose forwarding headers count, as ranges of addresses. Without one, the address of the connection counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Range>);

/// A range of addresses in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: IpAddr,
    prefix: u8,
}

/// A text that is not a list of ranges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a range of addresses such as 203.0.113.0/24 or 2001:db8::/32")]
pub struct InvalidRange(String);

impl TrustedProxies {
    /// Returns the network of the client. `connection` is the address of the connection, and `forwarded_for` the value of the
    /// header `X-Forwarded-For`, to which each proxy appends the address that it was connected from.
    ///
    /// The address of a trusted proxy is replaced by the one that it has appended, from right to left. Everything left of
    /// the first address that is not trusted may be invented by the client.
    pub fn client(&self, connection: &str, forwarded_for: Option<&str>) -> Option<Network> {
        let mut address = parse_address(connection)?;
        let mut forwarded = forwarded_for.unwrap_or_default().rsplit(',').map(str::trim).peekable();
        // API Gateway appends the address of the connection itself.
        forwarded.next_if(|text| parse_address(text) == Some(address));
        while self.trusts(address) {
            match forwarded.next().and_then(parse_address) {
                Some(previous) => address = previous,
                None => break,
            }
        }
        Some(Network::of(address))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }
}

/// Parses an address, which some proxies write with a port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
fn parse_address(text: &str) -> Option<IpAddr> {
    let parsed = text.parse().ok().or_else(|| text.parse().map(|socket: std::net::SocketAddr| socket.ip()).ok());
    let parsed = parsed.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    parsed.map(|address: IpAddr| address.to_canonical())
}

impl Range {
    fn contains(self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let ignored = 32 - u32::from(self.prefix);
                first.to_bits().checked_shr(ignored) == address.to_bits().checked_shr(ignored)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let ignored = 128 - u32::from(self.prefix);
                first.to_bits().checked_shr(ignored) == address.to_bits().checked_shr(ignored)
            }
            _ => false,
        }
    }
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let invalid = || InvalidRange(text.to_owned());
        let (first, prefix) = text.split_once('/').map_or((text, None), |(first, prefix)| (first, Some(prefix)));
        let first: IpAddr = first.parse().map_err(|_| invalid())?;
        let longest = if first.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= longest).ok_or_else(invalid)?,
        };
        Ok(Self { first, prefix })
    }
}

impl FromStr for TrustedProxies {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let ranges = text.split(',').map(str::trim).filter(|range| !range.is_empty());
        Ok(Self(ranges.map(str::parse).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, connection: &str, forwarded_for: &str) -> Option<String> {
        let proxies: TrustedProxies = proxies.parse().expect("ranges");
        let forwarded_for = Some(forwarded_for).filter(|text| !text.is_empty());
        proxies.client(connection, forwarded_for).map(|network| network.as_str().to_owned())
    }

    #[test]
    fn without_proxies_the_address_of_the_connection_counts() {
        for forwarded_for in ["", "198.51.100.1", "198.51.100.1, 203.0.113.1", "garbage"] {
            assert_eq!(client("", "203.0.113.1", forwarded_for).as_deref(), Some("203.0.113.1"), "{forwarded_for}");
        }
        assert_eq!(client("", "", "198.51.100.1"), None);
        assert_eq!(client("", "203.0.113.1, 198.51.100.1", ""), None);
    }

    #[test]
    fn behind_proxies_the_last_address_that_none_of_them_has_counts() {
        const PROXIES: &str = "203.0.113.0/24, 2001:db8:ffff::/48,";
        for (connection, forwarded_for, expected) in [
            // The gateway has appended the address of the connection, or it has not.
            ("203.0.113.9", "198.51.100.1, 203.0.113.9", "198.51.100.1"),
            ("203.0.113.9", "198.51.100.1", "198.51.100.1"),
            // Several proxies, and addresses that the client has invented.
            ("203.0.113.9", "10.0.0.1, 198.51.100.1, 203.0.113.7, 203.0.113.9", "198.51.100.1"),
            ("2001:db8:ffff::1", "10.0.0.1,2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            // Other forms of addresses.
            ("::ffff:203.0.113.9", "198.51.100.1:4711", "198.51.100.1"),
            ("203.0.113.9", "[2001:db8:1:2::1]:4711", "2001:db8:1:2::/64"),
            ("203.0.113.9", "[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
            // A text that is not an address ends the search at the last proxy.
            ("203.0.113.9", "198.51.100.1, unknown", "203.0.113.9"),
            ("203.0.113.9", "198.51.100.1,,", "203.0.113.9"),
            ("203.0.113.9", "", "203.0.113.9"),
            // A client that bypasses the proxies.
            ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
            ("192.0.2.1", "198.51.100.1, 203.0.113.9", "192.0.2.1"),
        ] {
            assert_eq!(client(PROXIES, connection, forwarded_for).as_deref(), Some(expected), "{forwarded_for}");
        }
    }

    #[test]
    fn a_range_may_have_any_prefix() {
        for (range, inside, outside) in [
            ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
            ("203.0.113.8/31", "203.0.113.9", "203.0.113.10"),
            ("0.0.0.0/0", "255.0.0.1", "::1"),
            ("::/0", "2001:db8::1", "203.0.113.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
        ] {
            let proxies: TrustedProxies = range.parse().expect("a range");
            assert!(proxies.trusts(inside.parse().expect("an address")), "{range} {inside}");
            assert!(!proxies.trusts(outside.parse().expect("an address")), "{range} {outside}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_range_is_rejected() {
        for text in
            ["203.0.113.0/33", "203.0.113.0/-1", "2001:db8::/129", "example.com", "203.0.113.0/24 203.0.114.0/24"]
        {
            assert!(text.parse::<TrustedProxies>().is_err(), "{text}");
        }
    }
}
