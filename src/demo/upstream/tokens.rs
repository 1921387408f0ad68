//! Counting tokens the way a provider does, and cutting text into them.

use crate::tokens::O200K;

/// Beyond this many bytes a text is not tokenized but taken to have one token for each four bytes: nobody bills a
/// simulation, and a test that sends tens of megabytes should not wait for it.
const EXACT_BYTES: usize = 200_000;

/// A bit of an answer that can be sent by itself: one token, or the few that make up one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub text: String,
    pub tokens: u64,
}

/// How many tokens a text has (o200k_base; a quarter of the bytes for very long texts).
pub fn count(text: &str) -> u64 {
    if text.len() > EXACT_BYTES {
        return (text.len() / 4) as u64;
    }
    O200K.count(text)
}

/// A text cut into pieces that join to the same text.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let (mut out, mut bytes, mut tokens) = (Vec::new(), Vec::new(), 0);
    for token in O200K.split(text) {
        bytes.extend_from_slice(token);
        tokens += 1;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            out.push(Piece { text: text.to_owned(), tokens });
            bytes.clear();
            tokens = 0;
        }
    }
    out
}

/// Keeps what fits into `limit` tokens; says whether something had to go.
pub(super) fn cut(pieces: &mut Vec<Piece>, limit: u64) -> bool {
    let mut sum = 0;
    let keep = pieces
        .iter()
        .take_while(|piece| {
            sum += piece.tokens;
            sum <= limit
        })
        .count();
    let cut = keep < pieces.len();
    pieces.truncate(keep);
    cut
}

/// The tokens of all pieces.
pub(super) fn total(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.tokens).sum()
}
