//! Counting tokens here, with the real tokenizer: what a request is charged when the upstream sends no usage, and what it
//! needs when the balance is nearly out. The tokenizer is loaded on first use; a shop whose upstreams report usage never pays for it.

use tiktoken_rs::CoreBPE;

/// Text is cut into pieces of this many bytes, since a tokenizer's time can grow with the square of a piece. A cut may
/// split a token: the count is off by one or so per piece.
const PIECE: usize = 4096;
/// Tokens that the chat format puts around each message, as OpenAI's counting guide gives them.
const PER_MESSAGE: u64 = 4;
/// Tokens that open the answer.
const OPENING: u64 = 3;
/// What a part that is not text is taken to cost when nobody says.
pub const PER_MEDIA_PART: u64 = 1_500;

/// The tokenizer of a model; models of other families are counted with OpenAI's newest, an estimate.
fn tokenizer(model: &str) -> &'static CoreBPE {
    let older = ["gpt-4-", "gpt-3.5", "text-embedding"].iter().any(|prefix| model.starts_with(prefix)) || model == "gpt-4";
    if older { tiktoken_rs::cl100k_base_singleton() } else { tiktoken_rs::o200k_base_singleton() }
}

/// How many tokens a text has.
pub fn text(model: &str, text: &str) -> u64 {
    let bpe = tokenizer(model);
    let mut rest = text;
    let mut sum = 0;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut(rest));
        sum += bpe.encode_ordinary(piece).len() as u64;
        rest = after;
    }
    sum
}

/// Where the first piece ends: before its last space, since tokens begin with theirs; in the middle of a word only when there is no space.
fn cut(text: &str) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let longest = text.floor_char_boundary(PIECE);
    text.as_bytes()[1..longest].iter().rposition(|&b| b == b' ').map_or(longest, |at| at + 1)
}

/// How many input tokens a conversation has: its text, the format around each message, and a flat number for each part that
/// is not text.
pub fn input(model: &str, conversation: &str, messages: u64, media_parts: u64) -> u64 {
    text(model, conversation) + messages * PER_MESSAGE + OPENING + media_parts * PER_MEDIA_PART
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_the_real_tokenizer_does() {
        assert_eq!(text("gpt-4o", "hello world"), 2);
        assert_eq!(text("gpt-4", "hello world"), 2);
        assert_eq!(text("anything", ""), 0);
        assert_eq!(input("gpt-4o", "hello world", 1, 1), 2 + 4 + 3 + 1500);
    }

    #[test]
    fn a_long_text_is_counted_in_pieces_with_little_error() {
        let long = "the quick brown fox jumps over the lazy dog ".repeat(2000);
        let whole = tokenizer("gpt-4o").encode_ordinary(&long).len() as u64;
        let counted = text("gpt-4o", &long);
        assert!(counted.abs_diff(whole) <= long.len() as u64 / PIECE as u64 + 1, "{counted} for {whole}");
        assert!(text("gpt-4o", &"a".repeat(10 * PIECE)) > 0, "a word without end");
        assert!(text("gpt-4o", &"é".repeat(PIECE)) > 0);
    }
}
