//! Channels made without a database, for the tests of this room and of the relay's choice.

use super::channel::{Opened, fingerprint};
use super::clients::Clients;
use super::health::Registry;
use super::{Channel, Kind, Options, store};
use crate::kernel::secrets::Secret;
use crate::kernel::{Clock, Id, Random};
use std::sync::OnceLock;
use std::time::Duration;
use url::Url;

/// Made once: it takes a while.
static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();

/// A channel in the making.
pub(crate) struct Sample {
    id: i64,
    kind: Kind,
    keys: Vec<String>,
    priority: i64,
    weight: i64,
    options: Options,
    clock: Clock,
}

/// One of kind `openai` with one key, at priority 0 and weight 1.
pub(crate) fn channel(id: i64) -> Sample {
    Sample { id, kind: Kind::OpenAi, keys: vec!["key".to_owned()], priority: 0, weight: 1, options: Options::default(), clock: Clock::manual(0) }
}

impl Sample {
    pub(crate) fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    pub(crate) fn keys(self, keys: &[&str]) -> Self {
        Self { keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..self }
    }

    pub(crate) fn priority(self, priority: i64) -> Self {
        Self { priority, ..self }
    }

    pub(crate) fn weight(self, weight: i64) -> Self {
        Self { weight, ..self }
    }

    pub(crate) fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    pub(crate) fn clock(self, clock: &Clock) -> Self {
        Self { clock: clock.clone(), ..self }
    }

    pub(crate) fn open(self) -> Channel {
        let mut registry = Registry::new(self.clock.clone(), Random::seeded(1));
        self.open_in(&mut registry)
    }

    /// With the health that a registry has for it.
    pub(in crate::channels) fn open_in(self, registry: &mut Registry) -> Channel {
        let keys: Vec<Secret<String>> = self.keys.into_iter().map(Secret::new).collect();
        let fingerprints: Vec<u64> = keys.iter().map(fingerprint).collect();
        let health = registry.of(Id(self.id), "here", &fingerprints);
        let base_url = Url::parse("https://upstream.example/v1").expect("an address");
        let opened = Opened { kind: self.kind, base_url, keys, options: self.options };
        let client = CLIENT.get_or_init(|| Clients::default().client(&opened.way(Duration::from_secs(5))).expect("a client")).clone();
        let row = store::Row {
            id: Id(self.id),
            name: format!("channel {}", self.id),
            kind: self.kind.word().to_owned(),
            base_url: String::new(),
            sealed: String::new(),
            private: String::new(),
            models: Vec::new(),
            priority: self.priority,
            weight: self.weight,
            enabled: true,
            options: String::new(),
            created_at: 0,
            updated_at: 0,
        };
        opened.into_channel(&row, client, health).expect("a channel")
    }
}
