//! How customers reach the shop: the address in mails, in the quick start, and what decides whether cookies are Secure.

use super::reader::Reader;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use url::Url;

/// Scheme, host and port, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The address of a listener, for a shop that has no name yet. A listener on all addresses is reached on this machine.
    pub fn of_listener(listen: SocketAddr) -> Self {
        let host = match listen.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        };
        Self(format!("http://{}", SocketAddr::new(host, listen.port())))
    }

    /// The text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether customers come over https; then cookies are Secure.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// The whole address of a page. `path` begins with a slash.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a public address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be http:// or https:// and a host, without a path")]
pub struct BadPublicUrl;

impl FromStr for PublicUrl {
    type Err = BadPublicUrl;

    fn from_str(text: &str) -> Result<Self, BadPublicUrl> {
        let url = Url::parse(text).map_err(|_| BadPublicUrl)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none() && url.path() == "/";
        if !plain || !matches!(url.scheme(), "http" | "https") {
            return Err(BadPublicUrl);
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

pub(super) fn read(reader: &mut Reader, listen: SocketAddr) -> PublicUrl {
    let given = reader.parsed("PUBLIC_URL", "http:// or https:// and a host, without a path, such as https://shop.example.com");
    given.unwrap_or_else(|| PublicUrl::of_listener(listen))
}
