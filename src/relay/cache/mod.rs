//! The response cache: whole answers, kept for identical requests of models whose admin asked for it (`catalog::Caching`). In memory, bounded by bytes, on each node its own.
//!
//! The contract with the pipeline, in its order:
//! - After the key, the model and the limits were checked, and before anything is held: [`CacheKey::of`]. No key: the request is none that is kept.
//! - [`ResponseCache::look`]. A hit is answered at once with the kept bytes and content type and `x-farebox-cache: hit`, an answer as an answer, a stream as a stream. It is charged
//!   `caching.factor.of(prices.charge(&kept.usage))` at the prices of now, and leaves one usage row with `Outcome::Cached`, the kept usage and no channel.
//! - On a miss, a complete and successful answer goes to [`ResponseCache::keep`] after it was settled: the bytes as the client got them, but without what is of that one request (the
//!   `cost` that a caller may ask for). A stream is gathered in a [`Recording`] as it passes, comments left out, and kept when it has ended as its dialect says. Answers whose usage was
//!   counted here are not kept: they may be incomplete.
//!
//! What is in the key decides who gets what: nobody gets an answer of another customer's unless the model says so, nor one to a body that differs in more than the order of its
//! fields and [what nobody answers by](key).

mod key;

pub use key::{CacheKey, Question};

use crate::kernel::Usage;
use bytes::{Bytes, BytesMut};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use std::sync::Arc;

/// What an entry takes beside its body.
const OVERHEAD: u64 = 512;
/// No answer takes a larger share of the cache than one in so many.
const LARGEST_SHARE: u64 = 8;
/// About how large an answer is: only for how much room the tables are made with.
const USUAL: u64 = 8 * 1024;

/// An answer that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The whole of it; for a stream every event.
    pub body: Bytes,
    /// Its content type.
    pub content_type: String,
    /// What it used when an upstream gave it.
    pub usage: Usage,
    /// When that was, in unix milliseconds.
    pub kept_at_ms: i64,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<CacheKey, Arc<Kept>> for ByBytes {
    fn weight(&self, _: &CacheKey, kept: &Arc<Kept>) -> u64 {
        OVERHEAD + (kept.body.len() + kept.content_type.len()) as u64
    }
}

/// The kept answers of a node.
pub struct ResponseCache {
    entries: Cache<CacheKey, Arc<Kept>, ByBytes>,
    bytes: u64,
}

impl ResponseCache {
    /// One of so many bytes; of none, nothing is kept.
    pub fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX).clamp(16, 1 << 16);
        // One shard: a bound that is divided among several is none.
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(items).weight_capacity(bytes).shards(1);
        let options = options.build().expect("every option is set");
        let entries = Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), quick_cache::sync::DefaultLifecycle::default());
        Self { entries, bytes }
    }

    /// The answer that was kept for this request less than `ttl_ms` ago.
    pub fn look(&self, key: &CacheKey, now_ms: i64, ttl_ms: i64) -> Option<Arc<Kept>> {
        let kept = self.entries.get(key)?;
        if now_ms.saturating_sub(kept.kept_at_ms) < ttl_ms {
            return Some(kept);
        }
        self.entries.remove(key);
        None
    }

    /// Keeps an answer, if it is not too large. The newer of two to the same request stays.
    pub fn keep(&self, key: CacheKey, kept: Kept) {
        let kept = Arc::new(kept);
        if ByBytes.weight(&key, &kept) <= self.bytes / LARGEST_SHARE {
            self.entries.insert(key, kept);
        }
    }

    /// Gathers a stream that may be kept.
    pub fn recording(&self) -> Recording {
        let most = usize::try_from((self.bytes / LARGEST_SHARE).saturating_sub(OVERHEAD)).unwrap_or(usize::MAX);
        Recording { most, events: Some(BytesMut::new()) }
    }

    /// How many bytes are kept.
    pub fn weight(&self) -> u64 {
        self.entries.weight()
    }
}

/// A stream as it passes. One that grows too large is let go at once.
#[derive(Debug)]
pub struct Recording {
    most: usize,
    events: Option<BytesMut>,
}

impl Recording {
    /// What goes to the client next.
    pub fn add(&mut self, piece: &[u8]) {
        let fits = self.events.as_ref().is_some_and(|events| events.len() + piece.len() <= self.most);
        match &mut self.events {
            Some(events) if fits => events.extend_from_slice(piece),
            events => *events = None,
        }
    }

    /// The whole stream; none when it was too large.
    pub fn finish(self) -> Option<Bytes> {
        self.events.map(BytesMut::freeze)
    }
}

#[cfg(test)]
mod tests;
