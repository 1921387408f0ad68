//! Thoughts that another provider has sealed, in a body that otherwise passes as it came. Where channels of several dialects serve a model, a conversation that
//! began at one goes on at another, and none takes a seal that it has not made: with our mark on it ([`super::canonical::Signature`]) it stays behind.

use super::Dialect;
use super::canonical::Signature;
use data_encoding::{BASE64, BASE64URL};
use serde_json::Value;

/// What a mark begins with, plain and in base64, at whose beginning no letter is shared.
const MARKS: [&[u8]; 2] = [b"\"farebox.", b"\"ZmFyZWJveC"];

/// The body without them; none when there are none, which takes no more than a search for the mark.
pub fn strip(dialect: Dialect, body: &[u8]) -> Option<Vec<u8>> {
    MARKS.iter().find(|mark| memchr::memmem::find(body, mark).is_some())?;
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let turns = match dialect {
        Dialect::Chat | Dialect::Messages => "messages",
        Dialect::Responses => "input",
        Dialect::Gemini => "contents",
    };
    let turns = value.get_mut(turns)?.as_array_mut()?;
    let mut stripped = false;
    for turn in turns.iter_mut() {
        stripped |= match dialect {
            Dialect::Chat => retain(turn, "reasoning_details", |entry| !is_sealed(dialect, entry, &["signature", "data"])),
            Dialect::Messages => retain(turn, "content", |block| !is_sealed(dialect, block, &["signature", "data"])),
            Dialect::Gemini => unseal(turn),
            Dialect::Responses => false,
        };
    }
    let before = turns.len();
    turns.retain(|turn| match dialect {
        Dialect::Responses => !is_sealed(dialect, turn, &["encrypted_content"]),
        // A turn of nothing but such thoughts says nothing.
        Dialect::Messages => !stripped || turn["content"].as_array().is_none_or(|blocks| !blocks.is_empty()),
        Dialect::Gemini => !stripped || turn["parts"].as_array().is_none_or(|parts| !parts.is_empty()),
        Dialect::Chat => true,
    });
    (stripped || turns.len() < before).then(|| value.to_string().into_bytes())
}

/// Takes entries out of a list. Whether there were any.
fn retain(turn: &mut Value, list: &str, keep: impl Fn(&Value) -> bool) -> bool {
    let Some(items) = turn.get_mut(list).and_then(Value::as_array_mut) else { return false };
    let before = items.len();
    items.retain(keep);
    items.len() < before
}

/// A part of Gemini's loses its seal; one that had nothing else, or thoughts, goes with it.
fn unseal(turn: &mut Value) -> bool {
    const SEALS: [&str; 2] = ["thoughtSignature", "thought_signature"];
    let Some(parts) = turn.get_mut("parts").and_then(Value::as_array_mut) else { return false };
    let mut stripped = false;
    parts.retain_mut(|part| {
        if !is_sealed(Dialect::Gemini, part, &SEALS) {
            return true;
        }
        stripped = true;
        let is_thought = part["thought"] == true || part["text"] == "";
        if let Some(fields) = part.as_object_mut() {
            SEALS.iter().for_each(|name| drop(fields.shift_remove(*name)));
        }
        !is_thought
    });
    stripped
}

/// Whether one of these fields has the seal of another provider's.
fn is_sealed(dialect: Dialect, part: &Value, fields: &[&str]) -> bool {
    fields.iter().filter_map(|name| part.get(name)?.as_str()).any(|written| {
        let decoded = [BASE64, BASE64URL].iter().find_map(|alphabet| String::from_utf8(alphabet.decode(written.as_bytes()).ok()?).ok());
        let plain = decoded.as_deref().filter(|text| dialect == Dialect::Gemini && text.starts_with("farebox.")).unwrap_or(written);
        plain.starts_with("farebox.")
            && (plain.starts_with("farebox.redacted.") || plain.starts_with("farebox.call.") || Signature::read(dialect, plain).of != dialect)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::canonical::{Answer, Part, Request, Stop, Thought, ToolCall};
    use crate::relay::dialect::{Closing, Echo, parse_request, render_answer};
    use crate::relay::report::UsageReport;
    use serde_json::json;
    use std::sync::Arc;

    fn stripped(dialect: Dialect, body: &Value) -> Value {
        strip(dialect, body.to_string().as_bytes()).map_or_else(|| body.clone(), |body| serde_json::from_slice(&body).unwrap())
    }

    /// What a caller of `dialect` gets of an answer that was made elsewhere, as it sends it back.
    fn sent_back(dialect: Dialect, parts: Vec<Part>) -> Value {
        let echo = Echo { request: Arc::new(Request::default()), model: "m".to_owned(), id: "r".to_owned(), created: 0, include_usage: true, input_tokens: 1 };
        let answer = Answer { id: None, parts, stop: Stop::ToolUse, usage: UsageReport::Absent };
        let answer: Value = serde_json::from_slice(&render_answer(dialect, &answer, &echo, &Closing::default())).unwrap();
        let user = json!({"role": "user", "content": "hi"});
        match dialect {
            Dialect::Chat => json!({"model": "m", "messages": [user, answer["choices"][0]["message"]]}),
            Dialect::Messages => json!({"model": "m", "max_tokens": 9, "messages": [user, {"role": "assistant", "content": answer["content"]}]}),
            Dialect::Gemini => json!({"contents": [{"parts": [{"text": "hi"}]}, answer["candidates"][0]["content"]]}),
            Dialect::Responses => {
                let items = [user].into_iter().chain(answer["output"].as_array().unwrap().iter().cloned());
                json!({"model": "m", "input": items.collect::<Vec<_>>()})
            }
        }
    }

    fn parts(of: Dialect) -> Vec<Part> {
        let seal = || Some(Signature { of, value: "c2VhbA==".to_owned() });
        let arguments = "{}".to_owned();
        vec![
            Part::Thought(Thought {
                text: "thinking".to_owned(),
                summary: of == Dialect::Gemini || of == Dialect::Responses,
                signature: seal(),
                ..Thought::default()
            }),
            Part::Thought(Thought { redacted: seal(), ..Thought::default() }),
            Part::Text("words".into()),
            Part::ToolCall(ToolCall {
                id: "c".to_owned(),
                name: "f".to_owned(),
                arguments,
                custom: false,
                signature: seal().filter(|_| of == Dialect::Gemini),
                cache: None,
            }),
        ]
    }

    #[test]
    fn what_others_sealed_stays_behind_and_all_else_goes_on() {
        for dialect in Dialect::ALL {
            for of in Dialect::ALL.into_iter().filter(|of| *of != dialect) {
                let body = stripped(dialect, &sent_back(dialect, parts(of)));
                let text = body.to_string();
                assert!(!text.contains("farebox.") && !text.contains("ZmFyZWJveC"), "{of:?} to {dialect:?}: {text}");
                let request = parse_request(dialect, text.as_bytes(), "m", false).unwrap();
                let said: Vec<&Part> = request.messages.iter().flat_map(|message| &message.parts).collect();
                assert!(said.contains(&&Part::Text("words".into())) && said.iter().any(|part| matches!(part, Part::ToolCall(_))), "{text}");
            }
        }
    }

    #[test]
    fn a_providers_own_seals_pass_untouched() {
        for dialect in Dialect::ALL {
            let mut own = parts(dialect);
            if matches!(dialect, Dialect::Gemini | Dialect::Responses) {
                // They know no withheld words.
                own.remove(1);
            }
            assert!(strip(dialect, sent_back(dialect, own).to_string().as_bytes()).is_none(), "{dialect:?}");
        }
        let spoken = json!({"model": "m", "messages": [{"role": "user", "content": "farebox.messages.x"}]});
        for dialect in [Dialect::Chat, Dialect::Messages] {
            assert!(strip(dialect, spoken.to_string().as_bytes()).is_none());
        }
    }
}
