//! What a request's conversation is recognised by, so that it stays on the channel whose upstream has its prompt in the cache.
//!
//! The same number must come out on every node and in every later build, so the hash is our own: FNV-1a, scattered at the end.

use super::chance::mix;
use crate::kernel::Id;
use axum::http::HeaderMap;

/// The header with which Codex names its session.
const SESSION: &str = "session_id";
/// How much of either end of a long text is read: enough to tell conversations apart, and never a cost.
const END: usize = 2_048;

/// What the body says about the conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    /// OpenAI's `prompt_cache_key`.
    pub prompt_cache_key: Option<&'a str>,
    /// Anthropic's `metadata.user_id`, which its clients make anew for each session.
    pub metadata_user_id: Option<&'a str>,
    /// The first system or developer message.
    pub system: &'a [u8],
    /// The first user message.
    pub first_user: &'a [u8],
}

/// The number of the conversation: from the first hint that is there, else from how it begins. It never puts two customers together.
pub fn of(user: Id, headers: &HeaderMap, hints: &Hints<'_>) -> Option<u64> {
    let text = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::as_bytes).map(ToOwned::to_owned);
    let header = || headers.get(SESSION).map(|value| value.as_bytes().to_owned()).filter(|value| !value.is_empty());
    let named = text(hints.prompt_cache_key).map(|name| (1, name)).or_else(|| text(hints.metadata_user_id).map(|name| (2, name)));
    let start = fnv(FNV, &user.0.to_be_bytes());
    let hash = match named.or_else(|| header().map(|name| (3, name))) {
        Some((source, name)) => ends(fnv(start, &[source]), &name),
        None if hints.system.is_empty() && hints.first_user.is_empty() => return None,
        None => ends(ends(fnv(start, &[4]), hints.system), hints.first_user),
    };
    Some(mix(hash))
}

const FNV: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The length and both ends.
fn ends(hash: u64, text: &[u8]) -> u64 {
    let hash = fnv(hash, &(text.len() as u64).to_be_bytes());
    if text.len() <= 2 * END {
        return fnv(hash, text);
    }
    fnv(fnv(hash, &text[..END]), &text[text.len() - END..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINNED: u64 = 13_851_269_617_033_223_906;

    fn with_session(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(SESSION.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn the_first_hint_counts_and_customers_stay_apart() {
        let none = HeaderMap::new();
        let key = Hints { prompt_cache_key: Some("k"), metadata_user_id: Some("u"), system: b"s", first_user: b"f" };
        let user = Hints { prompt_cache_key: Some(" "), ..key };
        let begin = Hints { prompt_cache_key: None, metadata_user_id: None, ..key };
        let all = [of(Id(1), &none, &key), of(Id(1), &none, &user), of(Id(1), &with_session("x"), &begin), of(Id(1), &none, &begin), of(Id(2), &none, &begin)];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(of(Id(1), &with_session("x"), &key), all[0]);
        assert_eq!(of(Id(1), &with_session("x"), &Hints::default()), all[2], "the session alone says it");
        assert_eq!(of(Id(1), &none, &Hints::default()), None);
    }

    #[test]
    fn a_conversation_is_its_beginning() {
        let at = |system: &[u8], first_user: &[u8]| of(Id(1), &HeaderMap::new(), &Hints { system, first_user, ..Hints::default() }).unwrap();
        assert_eq!(at(b"be kind", b"hi"), at(b"be kind", b"hi"));
        assert_ne!(at(b"be kind", b"hi"), at(b"be kin", b"dhi"));
        let long = vec![b'a'; 100_000];
        let mut other = long.clone();
        other[99_999] = b'b';
        assert_ne!(at(&long, b""), at(&other, b""));
        assert_ne!(at(&long, b""), at(&long[1..], b""));
        assert_eq!(at(b"system", b"user"), PINNED, "nodes of different builds agree on it");
    }
}
