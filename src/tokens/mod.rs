//! Text into tokens, as OpenAI's models read it: byte pair encoding with the vocabularies that lie in the program. Pure.
//!
//! The words of a text are found by a pattern. A word that is a token by itself is one; any other begins as single bytes, and of all neighbours that
//! make up a token those with the lowest rank become one, again and again, until none do.

mod table;

use fancy_regex::Regex;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::LazyLock;

/// A tokenizer.
pub struct Tokenizer {
    /// Finds words.
    pattern: Regex,
    vocabulary: Vocabulary,
}

/// Of gpt-4, gpt-3.5 and the embeddings models.
pub static CL100K: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer {
    pattern: pattern(CL100K_WORDS),
    vocabulary: Vocabulary {
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/cl100k.bytes")),
        ends: include_bytes!(concat!(env!("OUT_DIR"), "/cl100k.ends")),
        slots: include_bytes!(concat!(env!("OUT_DIR"), "/cl100k.slots")),
    },
});

/// Of gpt-4o and what came after it.
pub static O200K: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer {
    pattern: pattern(O200K_WORDS),
    vocabulary: Vocabulary {
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/o200k.bytes")),
        ends: include_bytes!(concat!(env!("OUT_DIR"), "/o200k.ends")),
        slots: include_bytes!(concat!(env!("OUT_DIR"), "/o200k.slots")),
    },
});

/// The words of a text, as OpenAI publishes the patterns: <https://github.com/openai/tiktoken/blob/main/tiktoken_ext/openai_public.py>.
const CL100K_WORDS: &str =
    concat!(r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+", r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",);
const O200K_WORDS: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

fn pattern(words: &str) -> Regex {
    Regex::new(words).expect("the patterns are constants, and the tests compile them")
}

impl Tokenizer {
    /// How many tokens a text has.
    ///
    /// The time grows with its length, but for a word's: that of a word of n bytes is n times its logarithm.
    pub fn count(&self, text: &str) -> u64 {
        let mut count = 0;
        self.each(text, |_| count += 1);
        count
    }

    /// The tokens of a text. One may be a part of a character.
    pub fn split<'t>(&self, text: &'t str) -> Vec<&'t [u8]> {
        let mut tokens = Vec::new();
        self.each(text, |token| tokens.push(token));
        tokens
    }

    fn each<'t>(&self, text: &'t str, mut take: impl FnMut(&'t [u8])) {
        let mut merge = Merge::default();
        let mut done = 0;
        for word in self.pattern.find_iter(text).map_while(Result::ok) {
            let bytes = word.as_str().as_bytes();
            done = word.end();
            match self.vocabulary.rank(bytes) {
                Some(_) => take(bytes),
                None => merge.word(&self.vocabulary, bytes, &mut take),
            }
        }
        // The patterns match every text to its end, unless the engine gives up: then each byte is a token, which is no less than the truth.
        text.as_bytes()[done..].chunks(1).for_each(take);
    }
}

/// The tokens and their ranks, laid out as [`table`] says.
struct Vocabulary {
    bytes: &'static [u8],
    ends: &'static [u8],
    slots: &'static [u8],
}

impl Vocabulary {
    /// The rank of a token; `None` when the bytes are none.
    fn rank(&self, token: &[u8]) -> Option<u32> {
        let mask = self.slots.len() / 4 - 1;
        let mut at = table::hash(token) & mask;
        loop {
            let rank = word(self.slots, at)?.checked_sub(1)?;
            if self.token(rank)? == token {
                return Some(rank);
            }
            at = (at + 1) & mask;
        }
    }

    fn token(&self, rank: u32) -> Option<&'static [u8]> {
        let rank = rank as usize;
        let start = rank.checked_sub(1).map_or(Some(0), |before| word(self.ends, before))?;
        self.bytes.get(start as usize..word(self.ends, rank)? as usize)
    }
}

/// The number at `index` of an array of little-endian ones.
fn word(words: &[u8], index: usize) -> Option<u32> {
    words.get(index * 4..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// A word on its way to tokens. Kept between words for its memory.
#[derive(Default)]
struct Merge {
    /// For each part that begins at a byte, where it ends, and where the one before it begins. Zero for a byte within a part.
    ends: Vec<u32>,
    before: Vec<u32>,
    /// Neighbours that make up a token: its rank, where the first begins, where the second ends. Some are no longer neighbours.
    pairs: BinaryHeap<Reverse<(u32, u32, u32)>>,
}

impl Merge {
    fn word<'t>(&mut self, vocabulary: &Vocabulary, word: &'t [u8], take: &mut impl FnMut(&'t [u8])) {
        let length = word.len() as u32;
        self.pairs.clear();
        self.ends.clear();
        self.ends.extend(1..=length);
        self.before.clear();
        self.before.extend((0..length).map(|at| at.saturating_sub(1)));
        for at in 0..length.saturating_sub(1) {
            self.offer(vocabulary, word, at, at + 2);
        }
        while let Some(Reverse((_, start, end))) = self.pairs.pop() {
            let middle = self.ends[start as usize];
            if middle == 0 || middle >= length || self.ends[middle as usize] != end {
                continue;
            }
            self.ends[start as usize] = end;
            self.ends[middle as usize] = 0;
            if end < length {
                self.before[end as usize] = start;
                self.offer(vocabulary, word, start, self.ends[end as usize]);
            }
            if start > 0 {
                self.offer(vocabulary, word, self.before[start as usize], end);
            }
        }
        let mut at = 0;
        while at < length {
            let end = self.ends[at as usize];
            take(&word[at as usize..end as usize]);
            at = end;
        }
    }

    fn offer(&mut self, vocabulary: &Vocabulary, word: &[u8], start: u32, end: u32) {
        if let Some(rank) = vocabulary.rank(&word[start as usize..end as usize]) {
            self.pairs.push(Reverse((rank, start, end)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The published tokenizer, which must agree.
    fn published(ours: &Tokenizer) -> &'static tiktoken_rs::CoreBPE {
        if std::ptr::eq(ours, &*CL100K) { tiktoken_rs::cl100k_base_singleton() } else { tiktoken_rs::o200k_base_singleton() }
    }

    fn agrees(ours: &Tokenizer, text: &str) {
        let theirs = published(ours);
        let tokens: Vec<Vec<u8>> = theirs.encode_ordinary(text).into_iter().map(|rank| theirs.decode_bytes(&[rank]).unwrap()).collect();
        assert_eq!(ours.split(text), tokens, "{text:?}");
        assert_eq!(ours.count(text), tokens.len() as u64);
    }

    #[test]
    fn every_token_has_its_rank() {
        for ours in [&*CL100K, &*O200K] {
            let theirs = published(ours);
            let tokens = (ours.vocabulary.ends.len() / 4) as u32;
            assert_eq!(ours.vocabulary.slots.len() / 4, (tokens as usize * 2).next_power_of_two());
            for rank in 0..tokens {
                let token = theirs.decode_bytes(&[rank]).unwrap();
                assert_eq!(ours.vocabulary.rank(&token), Some(rank));
            }
            assert!((0..=255).all(|byte| ours.vocabulary.rank(&[byte]).is_some()), "a single byte is always a token");
            assert_eq!(ours.vocabulary.rank(b"no token is as long as this text is, whatever it says"), None);
        }
        assert_eq!((CL100K.vocabulary.ends.len() / 4, O200K.vocabulary.ends.len() / 4), (100_256, 199_998));
    }

    #[test]
    fn texts_are_split_as_published() {
        let samples = [
            "",
            " ",
            "\n",
            "hello world",
            "Don't  you'LL\r\n\r\n see?  ",
            "    indented\n\tcode() { return 1234567; }\n",
            "深度求索的模型,2025年。",
            "naïve café ÀÉÎ",
            "🦀🦀👩‍👩‍👧",
            "<|endoftext|>",
            "a\u{0}b\u{7f}",
            "ﬁ ǅ ªº ٣٤٥",
            "{\"a\":[1,2,{\"b\":null}]}",
        ];
        for text in samples {
            agrees(&CL100K, text);
            agrees(&O200K, text);
        }
        for long in ["a".repeat(3000), "é".repeat(1500), "ab1 ".repeat(800), "=".repeat(2500), " ".repeat(1200), "我".repeat(900)] {
            agrees(&CL100K, &long);
            agrees(&O200K, &long);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_split_as_published(text in prop_oneof![".{0,60}", "[a-zA-Z' ]{0,80}", "[\\s\\S]{0,60}", "[ \\n\\r\\ta1/]{0,60}"]) {
            agrees(&CL100K, &text);
            agrees(&O200K, &text);
        }
    }
}
