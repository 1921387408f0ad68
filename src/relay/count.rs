//! Counting tokens here, with the real tokenizer: what a request is charged when the upstream sends no usage, and what it
//! needs when the balance is nearly out. The tokenizer is loaded on first use; a shop whose upstreams report usage never pays for it.

use tiktoken_rs::CoreBPE;

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

/// The tokenizer of a model; models of other families are counted with OpenAI's newest, an estimate.
fn tokenizer(model: &str) -> &'static CoreBPE {
    let older = ["gpt-4-", "gpt-3.5", "text-embedding"].iter().any(|prefix| model.starts_with(prefix)) || model == "gpt-4";
    if older { tiktoken_rs::cl100k_base_singleton() } else { tiktoken_rs::o200k_base_singleton() }
}

/// How many tokens a text has.
pub fn text(model: &str, text: &str) -> u64 {
    let bpe = tokenizer(model);
    let (mut rest, beyond) = text.split_at(text.floor_char_boundary(EXACT));
    let mut sum = estimate(beyond.len());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut(rest));
        sum += bpe.encode_ordinary(piece).len() as u64;
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
pub fn input<'a>(model: &str, texts: impl Iterator<Item = &'a str>, messages: u64, media_parts: u64) -> u64 {
    let mut exact = EXACT;
    let count = |part: &'a str| {
        let left = exact;
        exact = exact.saturating_sub(part.len());
        if part.len() <= left { text(model, part) } else { estimate(part.len()) }
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
        assert_eq!(input("gpt-4o", ["user", "hello world"].into_iter(), 1, 1), 1 + 2 + 3 + 3 + 1500);
    }

    #[test]
    fn a_long_text_is_counted_in_pieces() {
        let long = "the quick brown fox jumps over the lazy dog ".repeat(2000);
        assert_eq!(text("gpt-4o", &long), tokenizer("gpt-4o").encode_ordinary(&long).len() as u64);
        let solid = "é".repeat(PIECE);
        let whole = tokenizer("gpt-4o").encode_ordinary(&solid).len() as u64;
        assert!((whole..=whole + 2).contains(&text("gpt-4o", &solid)));
    }

    #[test]
    fn a_huge_text_is_estimated() {
        let huge = "word ".repeat(EXACT / 5 + 100);
        let half = &huge[..EXACT / 2 + 4];
        assert_eq!(text("gpt-4o", &huge), text("gpt-4o", &huge[..EXACT]) + (huge.len() - EXACT) as u64 / 4);
        assert_eq!(input("gpt-4o", [half, half].into_iter(), 0, 0), text("gpt-4o", half) + half.len() as u64 / 4 + OPENING);
    }
}
