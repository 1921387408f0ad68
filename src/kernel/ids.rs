//! Row ids: 63-bit numbers that grow with time, made by the program, unique across nodes.
//!
//! From the top: 41 bits of milliseconds since 2025-01-01, 12 bits of sequence, 10 bits of node slot. Growing keys
//! append at the right edge of every index, which is what keeps a relayed request's rows cheap. The sequence carries into the
//! milliseconds when it runs over, so a burst or a clock that steps back never repeats an id.

use super::Clock;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// 2025-01-01T00:00:00Z in unix milliseconds.
const EPOCH_MS: i64 = 1_735_689_600_000;
const SLOT_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
/// How many nodes can make ids at the same time.
pub const SLOTS: i64 = 1 << SLOT_BITS;
/// Crockford's base 32: no I, L, O, U. Its order is the order of the numbers.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A row id. Prints as 13 letters of Crockford's base 32 that sort as the number does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub i64);

impl Id {
    /// The unix millisecond in which the id was made.
    pub fn made_at_ms(self) -> i64 {
        (self.0 >> (SLOT_BITS + SEQUENCE_BITS)) + EPOCH_MS
    }

    /// The smallest id that could have been made at `at_ms` or later: a bound for queries by time.
    pub fn first_at(at_ms: i64) -> Self {
        Self((at_ms - EPOCH_MS).clamp(0, (1 << 41) - 1) << (SLOT_BITS + SEQUENCE_BITS))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = [0u8; 13];
        let mut n = self.0 as u64;
        for slot in out.iter_mut().rev() {
            *slot = ALPHABET[(n & 31) as usize];
            n >>= 5;
        }
        f.write_str(std::str::from_utf8(&out).unwrap_or_default())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// The text is not an id: not 13 letters of the alphabet, or out of range.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an id")]
pub struct NotAnId;

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 13 {
            return Err(NotAnId);
        }
        let mut n: u64 = 0;
        for byte in text.bytes() {
            let digit = ALPHABET.iter().position(|&c| c == byte.to_ascii_uppercase()).ok_or(NotAnId)?;
            if n >> 59 != 0 {
                return Err(NotAnId);
            }
            n = n << 5 | digit as u64;
        }
        i64::try_from(n).map(Self).map_err(|_| NotAnId)
    }
}

impl serde::Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Makes ids for one node. Clones share the sequence.
#[derive(Clone, Debug)]
pub struct IdGen {
    clock: Clock,
    slot: i64,
    last: Arc<AtomicI64>,
}

impl IdGen {
    /// A generator for node `slot` (taken modulo 1024) that never goes under `not_before_ms`: the time at which an
    /// earlier holder of the slot was last seen.
    pub fn new(clock: Clock, slot: i64, not_before_ms: i64) -> Self {
        let slot = slot.rem_euclid(SLOTS);
        Self { clock, slot, last: Arc::new(AtomicI64::new(Id::first_at(not_before_ms).0 | slot)) }
    }

    /// The node slot that these ids carry.
    pub fn slot(&self) -> i64 {
        self.slot
    }

    /// The next id: greater than every earlier one of this generator.
    pub fn next(&self) -> Id {
        let from_clock = Id::first_at(self.clock.now_ms()).0 | self.slot;
        let step = |last: i64| Some(from_clock.max(last + SLOTS));
        let last = self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).unwrap_or_else(|last| last);
        Id(from_clock.max(last + SLOTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_even_when_the_clock_stands_still_or_two_nodes_share_the_millisecond() {
        let clock = Clock::manual(EPOCH_MS + 1000);
        let (a, b) = (IdGen::new(clock.clone(), 1, 0), IdGen::new(clock.clone(), 2, 0));
        let mut seen = std::collections::HashSet::new();
        let mut last = Id(0);
        for _ in 0..10_000 {
            let id = a.next();
            assert!(id > last);
            last = id;
            assert!(seen.insert(id) && seen.insert(b.next()));
        }
        assert_eq!(Id::first_at(EPOCH_MS + 1000).made_at_ms(), EPOCH_MS + 1000);
    }

    #[test]
    fn ids_print_and_parse() {
        for n in [0, 1, 31, 32, i64::MAX, 1 << 62] {
            assert_eq!(Id(n).to_string().parse(), Ok(Id(n)));
        }
        for bad in ["", "0", "ZZZZZZZZZZZZZ", "0000000000-00", "0000000000000U", "éééééé0"] {
            assert_eq!(bad.parse::<Id>(), Err(NotAnId), "{bad}");
        }
    }
}
