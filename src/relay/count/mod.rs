//! Counting tokens here: what a request is charged when the upstream sends no usage, and what it needs when the balance is nearly out. OpenAI's tokenizer is the
//! real one; for other families it is a measure with a stated margin ([`Family`]). Pictures count by their dimensions ([`image`]), and what stands encoded in
//! a request is told from its text ([`input_bound`]).

mod family;
mod image;
mod media;
mod sniff;
mod sound;

pub use family::Family;
pub use image::{Detail, image, largest_image};
pub use media::{InputBound, Media, REMOTE, input_bound, is_plain};
pub use sound::{USUAL_BYTES_PER_SECOND, encoded_len, encoded_sound_ms, sound_ms};

use crate::tokens::{CL100K, O200K, Tokenizer};

/// Text is cut into pieces of at most this many bytes, since a tokenizer's time can grow with the square of a word. Cuts are made
/// before spaces, where tokens begin anyway; a run of letters without any may count a token more for each cut.
const PIECE: usize = 2048;
/// Beyond this many bytes, more than any model reads, a text is taken to have a token for each four: nobody may keep the processor busy
/// for the price of sending a large body.
const EXACT: usize = 4 * 1024 * 1024;
/// Tokens that the chat format puts around each message, as OpenAI's counting guide gives them; the role counts as text.
const PER_MESSAGE: u64 = 3;
/// Tokens that open the answer.
const OPENING: u64 = 3;
/// What a part that is not text is taken to cost when nobody says.
pub const PER_MEDIA_PART: u64 = 1_500;

/// About how many tokens a text of so many bytes has, where counting is out of reach: four bytes each, as in English prose.
pub fn estimate(bytes: usize) -> u64 {
    bytes as u64 / 4
}

/// The tokenizer of a model; models of other families are measured with OpenAI's newest.
fn tokenizer(model: &str) -> &'static Tokenizer {
    let older = ["gpt-4-", "gpt-3.5", "text-embedding"].iter().any(|prefix| model.starts_with(prefix)) || model == "gpt-4";
    if older { &CL100K } else { &O200K }
}

/// What a count is for, where the tokenizer at hand is not the model's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// To hold and to charge: never under the truth.
    AtMost,
    /// To tell somebody who asks: near the truth.
    Likely,
}

/// How many tokens a text has, with this care.
pub fn text_with(model: &str, care: Care, text: &str) -> u64 {
    let (family, measured) = (Family::of(model), self::text(model, text));
    match care {
        Care::AtMost => family.at_most(measured, text),
        Care::Likely => family.likely(measured, text),
    }
}

/// How many tokens a text has at least. OpenAI's models are counted with their own tokenizer; for others, and for what no model reads of a request, such as the
/// names of its parts, a tenth is let go.
pub fn at_least(model: &str, text: &str) -> u64 {
    let counted = self::text(model, text);
    counted - counted / 10
}

/// How many tokens a text has by the tokenizer at hand: the truth for OpenAI's models, and seldom more than the truth for others. To see whether an upstream has lost its measure.
pub fn text(model: &str, text: &str) -> u64 {
    let bpe = tokenizer(model);
    let (mut rest, beyond) = text.split_at(text.floor_char_boundary(EXACT));
    let mut sum = estimate(beyond.len());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut(rest));
        sum += bpe.count(piece);
        rest = after;
    }
    sum
}

/// Where the first piece of a text ends.
fn cut(text: &str) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let longest = text.floor_char_boundary(PIECE);
    text[..longest].rfind(' ').filter(|at| *at > 0).unwrap_or(longest)
}

/// How many input tokens a conversation has: its texts, the format around each message, and a flat number for each part that
/// is not text.
pub fn input<'a>(model: &str, care: Care, texts: impl Iterator<Item = &'a str>, messages: u64, media_parts: u64) -> u64 {
    let mut exact = EXACT;
    let count = |part: &'a str| {
        let left = exact;
        exact = exact.saturating_sub(part.len());
        if part.len() <= left { text_with(model, care, part) } else { estimate(part.len()) }
    };
    texts.map(count).sum::<u64>() + messages * PER_MESSAGE + OPENING + media_parts * PER_MEDIA_PART
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_the_real_tokenizer_does() {
        assert_eq!(text("gpt-4o", "hello world"), 2);
        assert_eq!(text("gpt-4", "hello world"), 2);
        assert_eq!(text("anything", ""), 0);
        let claude = |care| text_with("claude-opus-4-6", care, "hello world");
        assert_eq!((text("claude-opus-4-6", "hello world"), claude(Care::Likely), claude(Care::AtMost)), (2, 3, 4));
        assert_eq!(input("gpt-4o", Care::AtMost, ["user", "hello world"].into_iter(), 1, 1), 1 + 2 + 3 + 3 + 1500);
    }

    #[test]
    fn published_counts_are_reached_and_never_missed() {
        // OpenAI's guide to counting: 124 tokens with gpt-4o, 129 with gpt-4.
        let turns = [
            ("system", "", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
            ("system", "example_user", "New synergies will help drive top-line growth."),
            ("system", "example_assistant", "Things working well together will increase revenue."),
            ("system", "example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
            ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
            ("user", "", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
        ];
        let texts = || turns.iter().flat_map(|(role, name, content)| [*role, *name, *content]);
        let names = turns.iter().filter(|(_, name, _)| !name.is_empty()).count() as u64;
        assert_eq!(input("gpt-4o", Care::AtMost, texts(), 6, 0) + names, 124);
        assert_eq!(input("gpt-4", Care::AtMost, texts(), 6, 0) + names, 129);
        // Anthropic's guide: 14 tokens. Google's: 10 or 11.
        assert!(input("claude-sonnet-4-5", Care::AtMost, ["You are a scientist", "user", "Hello, Claude"].into_iter(), 1, 0) >= 14);
        assert!(input("gemini-2.5-flash", Care::AtMost, ["The quick brown fox jumps over the lazy dog."].into_iter(), 0, 0) >= 11);
    }

    #[test]
    fn a_long_text_is_counted_in_pieces() {
        let long = "the quick brown fox jumps over the lazy dog ".repeat(2000);
        assert_eq!(text("gpt-4o", &long), tokenizer("gpt-4o").count(&long));
        let solid = "é".repeat(PIECE);
        let whole = tokenizer("gpt-4o").count(&solid);
        assert!((whole..=whole + 2).contains(&text("gpt-4o", &solid)));
    }

    #[test]
    fn a_huge_text_is_estimated() {
        let huge = "word ".repeat(EXACT / 5 + 100);
        let half = &huge[..EXACT / 2 + 4];
        assert_eq!(text("gpt-4o", &huge), text("gpt-4o", &huge[..EXACT]) + (huge.len() - EXACT) as u64 / 4);
        assert_eq!(input("gpt-4o", Care::AtMost, [half, half].into_iter(), 0, 0), text("gpt-4o", half) + half.len() as u64 / 4 + OPENING);
    }
}
