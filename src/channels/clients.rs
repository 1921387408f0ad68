//! The HTTP clients of the channels: one for each way of connecting, shared by every channel that connects so, with its pool of connections.

use std::collections::HashMap;
use std::time::Duration;

/// How connections are made: what makes two channels need two clients.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Way {
    /// Through which proxy, if any.
    pub(super) proxy_url: Option<String>,
    /// How long a connection may take.
    pub(super) connect_timeout: Duration,
}

/// The clients that were made so far.
#[derive(Default)]
pub(super) struct Clients(HashMap<Way, reqwest::Client>);

impl Clients {
    /// The client for a way, made when there is none yet.
    ///
    /// # Errors
    /// When the proxy's address is not one.
    pub(super) fn client(&mut self, way: &Way) -> Result<reqwest::Client, reqwest::Error> {
        if let Some(client) = self.0.get(way) {
            return Ok(client.clone());
        }
        let client = build(way)?;
        self.0.insert(way.clone(), client.clone());
        Ok(client)
    }

    /// Forgets the clients of other ways: their idle connections close.
    pub(super) fn keep(&mut self, ways: &[Way]) {
        self.0.retain(|way, _| ways.contains(way));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Redirects are never followed: a key must not travel to where an answer points. Proxies of the environment do not count.
fn build(way: &Way) -> Result<reqwest::Client, reqwest::Error> {
    // Everything that speaks TLS uses the same implementation; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .connect_timeout(way.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .no_proxy()
        .pool_max_idle_per_host(1024)
        .user_agent(concat!("farebox/", env!("CARGO_PKG_VERSION")));
    match &way.proxy_url {
        Some(url) => builder.proxy(reqwest::Proxy::all(url)?).build(),
        None => builder.build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ways_share_a_client_and_those_out_of_use_go() {
        let direct = Way { proxy_url: None, connect_timeout: Duration::from_secs(5) };
        let proxied = Way { proxy_url: Some("socks5://user:pass@127.0.0.1:1080".to_owned()), ..direct.clone() };
        let mut clients = Clients::default();
        for way in [&direct, &direct, &proxied] {
            clients.client(way).unwrap();
        }
        assert_eq!(clients.len(), 2);
        assert!(clients.client(&Way { proxy_url: Some("nowhere at all".to_owned()), ..direct.clone() }).is_err());
        clients.keep(&[direct]);
        assert_eq!(clients.len(), 1);
    }
}
