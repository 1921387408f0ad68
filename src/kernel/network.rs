//! Addresses and networks as people write them: `203.0.113.7`, `10.0.0.0/8`, `2001:db8::/32`.

use ipnet::IpNet;
use std::net::IpAddr;

/// Reads an address, which stands for itself alone, or a network. Bits beyond the prefix do not count and are cleared, and an IPv4 address that is written as IPv6 is
/// IPv4.
pub fn parse(text: &str) -> Option<IpNet> {
    let network = match text.split_once('/') {
        None => IpNet::from(text.trim().parse::<IpAddr>().ok()?.to_canonical()),
        Some((address, prefix)) => IpNet::new(address.trim().parse().ok()?, prefix.trim().parse().ok()?).ok()?,
    };
    Some(canonical(network).trunc())
}

/// An IPv6 network within `::ffff:0:0/96` is one of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let (IpNet::V6(v6), Some(prefix)) = (network, network.prefix_len().checked_sub(96)) else { return network };
    v6.addr().to_ipv4_mapped().and_then(|v4| IpNet::new(v4.into(), prefix).ok()).unwrap_or(network)
}

/// Whether an address is in one of the networks. An IPv4 address that is written as IPv6 counts as IPv4.
pub fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// As people write it: an address alone without its prefix.
pub fn display(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() { network.addr().to_string() } else { network.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_their_prefix_says() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.8"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::/0", "2001:db8::1", "8.8.8.8"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::1"),
            ("::ffff:10.0.0.0/104", "10.2.3.4", "11.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::1", "::1", "::2"),
        ] {
            let parsed = parse(network).unwrap();
            assert!(is_in(&[parsed], inside.parse().unwrap()), "{network} {inside}");
            assert!(!is_in(&[parsed], outside.parse().unwrap()), "{network} {outside}");
        }
        for wrong in ["", "10.0.0.0/33", "::/129", "ten", "10.0.0.0/", "10.0.0.0/-1", "10.0.0/8", "/8", "10.0.0.1 10.0.0.2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(!is_in(&[], "::1".parse().unwrap()));
    }

    #[test]
    fn they_are_written_as_people_write_them() {
        for (typed, written) in [(" 10.1.2.3/8", "10.0.0.0/8"), ("192.168.1.7/32", "192.168.1.7"), ("2001:DB8::1", "2001:db8::1"), ("::/0", "::/0")] {
            assert_eq!(display(&parse(typed).unwrap()), written);
        }
    }
}
