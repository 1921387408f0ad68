//! Which proxies may say who the caller is, and in which header.

use crate::kernel::network;
use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;
use std::str::FromStr;

/// Why a text is not a list of networks.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an address or a network")]
pub struct BadNetwork;

/// The header in which the proxies say who called them. Only one: a proxy that writes one of them passes the other on as the caller invented it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

/// The proxies that stand before the shop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ProxyHeader,
}

impl TrustedProxies {
    /// These, with the header that they write.
    pub fn with_header(self, header: ProxyHeader) -> Self {
        Self { header, ..self }
    }

    /// The caller's address. Each proxy adds whom it saw at the end of the header (several of one name are one list), so it is read from there, and the first that
    /// is not one of our proxies is the caller. Whatever stands before it, the caller may have invented.
    pub fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut caller = peer.to_canonical();
        if self.networks.is_empty() {
            return caller;
        }
        let name = match self.header {
            ProxyHeader::XForwardedFor => "x-forwarded-for",
            ProxyHeader::Forwarded => "forwarded",
        };
        let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("unreadable")).collect();
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !network::is_in(&self.networks, caller) {
                break;
            }
            let address = match self.header {
                ProxyHeader::XForwardedFor => address_of(hop),
                ProxyHeader::Forwarded => forwarded_for(hop).and_then(address_of),
            };
            let Some(address) = address else { break };
            caller = address;
        }
        caller
    }
}

/// An address as proxies write it: some add the port, and RFC 7239 puts one of IPv6 in brackets.
fn address_of(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let alone = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|both| both.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    alone().or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

/// The `for` of one element of a `Forwarded` header. What hides its caller (`unknown`, `_name`) is no address later on.
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(value.trim().trim_matches('"'))
}

impl FromStr for TrustedProxies {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let parts = text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty());
        let networks = parts.map(|part| network::parse(part).ok_or(BadNetwork)).collect::<Result<_, _>>()?;
        Ok(Self { networks, header: ProxyHeader::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line.parse().unwrap());
        }
        headers
    }

    fn proxies() -> TrustedProxies {
        "10.0.0.0/8, 127.0.0.1 ::1".parse().unwrap()
    }

    #[test]
    fn a_caller_cannot_invent_an_address() {
        for (peer, lines, caller) in [
            ("203.0.113.9", &[][..], "203.0.113.9"),
            ("203.0.113.9", &["1.2.3.4"], "203.0.113.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("::ffff:127.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["1.2.3.4", "198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            ("127.0.0.1", &["1.2.3.4, 198.51.100.7:4711,10.9.9.9"], "198.51.100.7"),
            ("::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("127.0.0.1", &["nonsense"], "127.0.0.1"),
            ("127.0.0.1", &["1.2.3.4, nonsense, 10.9.9.9"], "10.9.9.9"),
            ("127.0.0.1", &["1.2.3.4", "10.9.9.9"], "1.2.3.4"),
        ] {
            assert_eq!(proxies().caller(ip(peer), &headers("x-forwarded-for", lines)), ip(caller), "{peer} {lines:?}");
        }
        assert_eq!(TrustedProxies::default().caller(ip("127.0.0.1"), &headers("x-forwarded-for", &["1.2.3.4"])), ip("127.0.0.1"));
        for wrong in ["10.0.0.0/33", "ten", "10.0.0.0/8 x"] {
            assert_eq!(wrong.parse::<TrustedProxies>(), Err(BadNetwork), "{wrong}");
        }
    }

    #[test]
    fn the_standard_header_is_read_when_it_is_the_one_that_the_proxies_write() {
        let proxies = proxies().with_header(ProxyHeader::Forwarded);
        for (lines, caller) in [
            (&["for=198.51.100.7"][..], "198.51.100.7"),
            (&["for=1.2.3.4, For=\"198.51.100.7:80\";proto=https;by=10.0.0.1"], "198.51.100.7"),
            (&["proto=http;for=\"[2001:db8::7]:4711\""], "2001:db8::7"),
            (&["for=1.2.3.4", "for=198.51.100.7, for=10.1.1.1"], "198.51.100.7"),
            (&["for=unknown"], "127.0.0.1"),
            (&["for=_hidden, for=10.1.1.1"], "10.1.1.1"),
            (&["proto=https"], "127.0.0.1"),
        ] {
            assert_eq!(proxies.caller(ip("127.0.0.1"), &headers("forwarded", lines)), ip(caller), "{lines:?}");
        }
        assert_eq!(proxies.caller(ip("127.0.0.1"), &headers("x-forwarded-for", &["1.2.3.4"])), ip("127.0.0.1"), "the other header is the caller's own word");
    }
}
