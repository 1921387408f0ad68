//! A prompt cache like those of the providers: what was sent before, from its beginning on, costs less to read again.
//!
//! It is off unless the switch `caching` is on. A prefix ends where a message ends. OpenAI and Gemini remember every prefix by themselves;
//! Anthropic remembers what the caller marked with `cache_control`. Nothing is forgotten by time, so that a test need not hurry.

use super::prompt::{Keep, Prompt, Unit};
use super::words::Dice;
use std::collections::HashSet;
use std::sync::Mutex;

/// More prefixes are not remembered: it starts anew.
const MOST_PREFIXES: usize = 100_000;

/// What the cache knew and learned, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hit {
    pub cached: u64,
    pub write_5m: u64,
    pub write_1h: u64,
}

/// The prefixes that are known.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<HashSet<u64>>);

impl Cache {
    /// Looks a prompt up and remembers it.
    pub fn read(&self, prompt: &Prompt) -> Hit {
        let kept = prompt.units.iter().rposition(|unit| unit.keep.is_some()).map_or(0, |last| last + 1);
        let units = if prompt.explicit_cache { &prompt.units[..kept] } else { &prompt.units[..] };
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if known.len() > MOST_PREFIXES {
            known.clear();
        }
        let (mut hit, mut hash, mut unbroken) = (Hit::default(), Dice::of(&prompt.model, 0).roll(), true);
        for (at, unit) in units.iter().enumerate() {
            hash = Dice::of(&unit.identity(), hash).roll();
            unbroken &= !known.insert(hash);
            match (unbroken, prompt.explicit_cache) {
                (true, _) => hit.cached += unit.tokens(),
                (false, true) if time_of(&units[at..]) == Keep::Hour => hit.write_1h += unit.tokens(),
                (false, true) => hit.write_5m += unit.tokens(),
                (false, false) => {}
            }
        }
        hit
    }
}

/// How long a unit is kept: as long as the next mark says.
fn time_of(from: &[Unit]) -> Keep {
    from.iter().find_map(|unit| unit.keep).unwrap_or(Keep::Minutes)
}
