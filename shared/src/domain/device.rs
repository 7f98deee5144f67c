//! The origin of a sign-in, by which users recognize a session in the list.

use std::net::{IpAddr, Ipv6Addr};

/// Network and program that a request comes from, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Network of the client.
    pub network: Option<Network>,
    /// Program of the client.
    pub user_agent: Option<UserAgent>,
}

/// A network: an IPv4 address such as `203.0.113.7`, or the first 64 bits of an IPv6 address such as
/// `2001:db8:1:2::/64`, because a device may change the other 64 (RFC 8981).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network(String);

impl Network {
    /// Returns the network of an address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("{}/64", Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A `User-Agent`: its first 200 characters, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAgent(String);

impl UserAgent {
    const MAX_CHARS: usize = 200;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for UserAgent {
    fn from(text: &str) -> Self {
        Self(text.chars().filter(|character| !character.is_control()).take(Self::MAX_CHARS).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_ipv4_address_or_64_bits_of_ipv6() {
        let network = |text: &str| Network::of(text.parse().expect("an address")).0;
        assert_eq!(network("203.0.113.7"), "203.0.113.7");
        assert_eq!(network("::ffff:203.0.113.7"), "203.0.113.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }

    #[test]
    fn a_user_agent_has_at_most_200_printable_characters() {
        assert_eq!(UserAgent::from("curl/8\u{7f}.14").as_str(), "curl/8.14");
        assert_eq!(UserAgent::from("x".repeat(5000).as_str()).as_str().len(), 200);
    }
}
