//! Messages as events, in the order that the real ones keep.

use super::super::answer::Answer;
use super::super::job::Job;
use super::super::script::Frame;
use super::super::words::seal;
use super::{Block, blocks, ending, message, usage_object};
use serde_json::{Value, json};

/// All events.
pub fn frames(job: &Job<'_>, answer: &Answer) -> Vec<Frame> {
    let mut opening = message(job, json!([]));
    if let Some(usage) = answer.usage {
        opening["usage"] = usage_object(usage, usage.completion.signum()); // one token is under way when the message starts
    }
    let mut frames = vec![Frame::head(event(json!({"type": "message_start", "message": opening})))];
    let blocks = blocks(job, answer);
    for (index, block) in blocks.iter().enumerate() {
        frames.push(Frame::head(event(json!({"type": "content_block_start", "index": index, "content_block": block.opening()}))));
        if index == 0 {
            frames.push(Frame::head(event(json!({"type": "ping"}))));
        }
        let delta = |delta: &Value| event(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        frames.extend(block.deltas().into_iter().map(|(value, text, tokens)| Frame::content(delta(&value), text, tokens)));
        let stop = event(json!({"type": "content_block_stop", "index": index}));
        frames.push(if index + 1 == blocks.len() { Frame::tail(stop) } else { Frame::head(stop) });
    }
    let mut last = json!({"type": "message_delta", "delta": ending(&answer.choices[0])});
    if let Some(usage) = answer.usage {
        last["usage"] = if job.switches.lean_usage { json!({"output_tokens": usage.completion}) } else { cumulative(usage_object(usage, usage.completion)) };
    }
    frames.push(Frame::tail(event(last)));
    frames.push(Frame::tail(event(json!({"type": "message_stop"}))));
    frames
}

/// At the end the sums so far are said again, without their parts.
fn cumulative(mut usage: Value) -> Value {
    if let Some(usage) = usage.as_object_mut() {
        usage.remove("cache_creation");
        usage.remove("service_tier");
    }
    usage
}

/// What a delta says, the words for the log, and its tokens.
type Delta = (Value, String, u64);

impl Block<'_> {
    fn opening(&self) -> Value {
        match self {
            Self::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Self::Redacted { .. } => self.whole(),
            Self::Text(_) => json!({"type": "text", "text": ""}),
            Self::Call { call, id } => json!({"type": "tool_use", "id": id, "name": call.name, "input": {}}),
        }
    }

    fn deltas(&self) -> Vec<Delta> {
        match self {
            Self::Thinking { text, choice, omitted } => {
                let shown = choice.thoughts.iter().filter(|_| !omitted);
                let thought = shown.map(|piece| (json!({"type": "thinking_delta", "thinking": piece.text}), String::new(), piece.tokens));
                thought.chain([(json!({"type": "signature_delta", "signature": seal(text)}), String::new(), 0)]).collect()
            }
            Self::Redacted { .. } => Vec::new(),
            Self::Text(choice) => {
                let said = choice.text.iter();
                said.map(|piece| (json!({"type": "text_delta", "text": piece.text}), piece.text.clone(), piece.tokens)).collect()
            }
            Self::Call { call, .. } => {
                let delta = |text: &str, tokens| (json!({"type": "input_json_delta", "partial_json": text}), text.to_owned(), tokens);
                let rest = call.arguments.iter().map(|piece| delta(&piece.text, piece.tokens));
                std::iter::once(delta("", call.tokens)).chain(rest).collect()
            }
        }
    }
}

fn event(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}
