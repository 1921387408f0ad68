//! Which proxies may say who the caller is.

use std::net::IpAddr;
use std::str::FromStr;

/// An address with the number of leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an address or a network")]
pub struct BadNetwork;

impl Network {
    /// Whether `address` is inside. An IPv4 address that is written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.trim().parse().map_err(|_| BadNetwork)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |prefix| prefix.trim().parse()).map_err(|_| BadNetwork)?;
        if prefix > longest { Err(BadNetwork) } else { Ok(Self { address, prefix }) }
    }
}

/// The proxies that stand before the shop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// The caller's address. `forwarded_for` is the value of `X-Forwarded-For`: each proxy adds whom it saw at the end, so
    /// the list is read from there, and the first that is not one of our proxies is the caller. Whatever stands before it, the
    /// caller may have invented.
    pub fn caller(&self, peer: IpAddr, forwarded_for: Option<&str>) -> IpAddr {
        let mut caller = peer.to_canonical();
        for hop in forwarded_for.unwrap_or_default().rsplit(',') {
            if !self.0.iter().any(|network| network.contains(caller)) {
                break;
            }
            match hop.trim().parse::<IpAddr>() {
                Ok(address) => caller = address.to_canonical(),
                Err(_) => break,
            }
        }
        caller
    }
}

impl FromStr for TrustedProxies {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_what_their_prefix_says() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.8"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::1"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::1", "::1", "::2"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(ip(inside)), "{network:?} {inside}");
            assert!(!network.contains(ip(outside)), "{network:?} {outside}");
        }
        for wrong in ["", "10.0.0.0/33", "::/129", "ten", "10.0.0.0/", "10.0.0.0/-1", "10.0.0/8"] {
            assert_eq!(wrong.parse::<Network>(), Err(BadNetwork), "{wrong}");
        }
    }

    #[test]
    fn a_caller_cannot_invent_an_address() {
        let proxies: TrustedProxies = "10.0.0.0/8, 127.0.0.1".parse().unwrap();
        for (peer, forwarded_for, caller) in [
            ("203.0.113.9", None, "203.0.113.9"),
            ("203.0.113.9", Some("1.2.3.4"), "203.0.113.9"),
            ("127.0.0.1", None, "127.0.0.1"),
            ("::ffff:127.0.0.1", Some("198.51.100.7"), "198.51.100.7"),
            ("127.0.0.1", Some("1.2.3.4, 198.51.100.7"), "198.51.100.7"),
            ("127.0.0.1", Some("1.2.3.4, 198.51.100.7, 10.9.9.9"), "198.51.100.7"),
            ("127.0.0.1", Some("nonsense"), "127.0.0.1"),
            ("127.0.0.1", Some("1.2.3.4, nonsense, 10.9.9.9"), "10.9.9.9"),
        ] {
            assert_eq!(proxies.caller(ip(peer), forwarded_for), ip(caller), "{peer} {forwarded_for:?}");
        }
        assert_eq!(TrustedProxies::default().caller(ip("127.0.0.1"), Some("1.2.3.4")), ip("127.0.0.1"));
    }
}
