//! Thoughts in a Chat message: `reasoning_content` has the words, `reasoning_details` the words with their seals.

use crate::relay::dialect::Dialect;
use crate::relay::dialect::canonical::{Signature, Thought};
use serde_json::{Map, Value, json};

/// An entry of `reasoning_details`.
pub(super) fn detail(thought: &Thought, index: usize) -> Value {
    let mut entry = match &thought.redacted {
        Some(data) => json!({"type": "reasoning.encrypted", "data": data.write(Dialect::Chat)}),
        None if thought.summary => json!({"type": "reasoning.summary", "summary": thought.text}),
        None => json!({"type": "reasoning.text", "text": thought.text}),
    };
    if let Some(signature) = &thought.signature {
        entry["signature"] = signature.write(Dialect::Chat).into();
    }
    if let Some(id) = &thought.id {
        entry["id"] = id.as_str().into();
    }
    entry["index"] = index.into();
    entry
}

/// Puts thoughts into a message.
pub(super) fn render(message: &mut Map<String, Value>, thoughts: &[&Thought]) {
    if thoughts.is_empty() {
        return;
    }
    let text: String = thoughts.iter().map(|thought| thought.text.as_str()).collect();
    message.insert("reasoning_content".to_owned(), text.into());
    let details = thoughts.iter().enumerate().map(|(at, thought)| detail(thought, at)).collect();
    message.insert("reasoning_details".to_owned(), Value::Array(details));
}

/// A piece of a thought and its number.
struct Piece {
    index: Option<u64>,
    thought: Thought,
}

fn piece(entry: &Value) -> Option<Piece> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let kind = text("type")?;
    let thought = Thought {
        id: text("id").map(str::to_owned),
        text: if kind == "reasoning.summary" { text("summary") } else { text("text") }.unwrap_or_default().to_owned(),
        summary: kind == "reasoning.summary",
        signature: text("signature").filter(|signature| !signature.is_empty()).map(|signature| Signature::read(Dialect::Chat, signature)),
        redacted: if kind == "reasoning.encrypted" { Some(Signature::read(Dialect::Chat, text("data")?)) } else { None },
    };
    ["reasoning.text", "reasoning.summary", "reasoning.encrypted"].contains(&kind).then(|| Piece { index: entry.get("index").and_then(Value::as_u64), thought })
}

/// The thoughts of a message, and the place of the first entry that is none. Clients that gathered a stream may send a thought in pieces of one number.
pub(super) fn read(content: Option<&str>, details: &[Value]) -> (Vec<Thought>, Option<usize>) {
    let pieces: Vec<Option<Piece>> = details.iter().map(piece).collect();
    let bad = pieces.iter().position(Option::is_none);
    let mut thoughts: Vec<Thought> = Vec::new();
    let mut last = None;
    for piece in pieces.into_iter().flatten() {
        let goes_on = |thought: &Thought| thought.signature.is_none() && thought.redacted.is_none() && thought.summary == piece.thought.summary;
        match thoughts.last_mut().filter(|thought| piece.index.is_some() && last == piece.index && piece.thought.redacted.is_none() && goes_on(thought)) {
            Some(thought) => {
                thought.text.push_str(&piece.thought.text);
                thought.signature = piece.thought.signature;
                thought.id = thought.id.take().or(piece.thought.id);
            }
            None => thoughts.push(piece.thought),
        }
        last = piece.index;
    }
    let has_words = thoughts.iter().any(|thought| thought.redacted.is_none());
    if let Some(text) = content.filter(|text| !text.is_empty() && !has_words) {
        thoughts.insert(0, Thought { text: text.to_owned(), ..Thought::default() });
    }
    (thoughts, bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(of: Dialect, value: &str) -> Option<Signature> {
        Some(Signature { of, value: value.to_owned() })
    }

    #[test]
    fn every_thought_comes_back_as_it_was() {
        let thoughts = [
            Thought { text: "plain".to_owned(), ..Thought::default() },
            Thought { text: "signed".to_owned(), signature: signed(Dialect::Messages, "sig"), ..Thought::default() },
            Thought { redacted: signed(Dialect::Messages, "xyz"), ..Thought::default() },
            Thought { id: Some("rs_1".to_owned()), summary: true, signature: signed(Dialect::Responses, "enc"), ..Thought::default() },
            Thought { text: "own".to_owned(), signature: signed(Dialect::Chat, "s"), ..Thought::default() },
        ];
        let mut message = Map::new();
        render(&mut message, &thoughts.iter().collect::<Vec<_>>());
        assert_eq!(message["reasoning_content"], "plainsignedown");
        let (back, bad) = read(message["reasoning_content"].as_str(), message["reasoning_details"].as_array().unwrap());
        assert_eq!((back.as_slice(), bad), (thoughts.as_slice(), None));
    }

    #[test]
    fn pieces_of_one_number_are_one_thought() {
        let details = json!([
            {"type": "reasoning.text", "text": "a", "index": 0},
            {"type": "reasoning.text", "text": "b", "index": 0},
            {"type": "reasoning.text", "signature": "s", "index": 0},
            {"type": "reasoning.text", "text": "c", "index": 1},
            {"type": "what"},
        ]);
        let (thoughts, bad) = read(Some("abc"), details.as_array().unwrap());
        let texts: Vec<_> = thoughts.iter().map(|thought| (thought.text.as_str(), thought.signature.is_some())).collect();
        assert_eq!((texts, bad), (vec![("ab", true), ("c", false)], Some(4)));
        assert_eq!(read(Some("only words"), &[]).0[0].text, "only words");
    }
}
