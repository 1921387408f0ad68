//! `POST /v1/chat/completions` as chunks: the choices take turns, as they do when a provider works on them side by side.

use super::super::answer::{Answer, Choice};
use super::super::job::Job;
use super::super::script::Frame;
use super::super::switches::Report;
use super::super::usage::Usage;
use super::chat::{call_id, envelope, filter_results, finish};
use super::{azure, sse, usage_object};
use serde_json::{Value, json};

/// All chunks.
pub fn frames(job: &Job<'_>, answer: &Answer) -> Vec<Frame> {
    let stream = Stream { job, answer };
    let every = || answer.choices.iter().enumerate();
    let mut frames = Vec::new();
    if azure::applies(job) {
        frames.push(Frame::head(sse(&azure::first_chunk())));
    }
    frames.extend(every().map(|(index, choice)| stream.head(index, choice)));
    let contents: Vec<Vec<Delta>> = every().map(|(index, choice)| stream.deltas(index, choice)).collect();
    let mut sent = 0;
    for turn in 0..contents.iter().map(Vec::len).max().unwrap_or_default() {
        for (index, delta) in contents.iter().enumerate().filter_map(|(index, deltas)| Some((index, deltas.get(turn)?))) {
            sent += delta.tokens;
            frames.push(stream.content(index, delta, sent));
        }
    }
    frames.extend(every().map(|(index, choice)| stream.finish(index, choice)));
    if let Some(usage) = answer.usage_at_end().filter(|_| job.prompt.include_usage) {
        let mut event = envelope(job, "chat.completion.chunk", json!([]));
        event["usage"] = usage_object(usage);
        frames.push(Frame::tail(sse(&event)));
    }
    if !job.switches.no_done {
        frames.push(Frame::tail("data: [DONE]\n\n"));
    }
    frames
}

struct Stream<'a> {
    job: &'a Job<'a>,
    answer: &'a Answer,
}

/// A bit of one choice.
struct Delta {
    value: Value,
    text: String,
    tokens: u64,
}

impl Stream<'_> {
    fn chunk(&self, index: usize, delta: Value, finish: Option<&str>) -> Value {
        let choices = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        let mut event = envelope(self.job, "chat.completion.chunk", choices);
        if self.job.prompt.include_usage && self.answer.report != Report::Inline {
            event["usage"] = Value::Null;
        }
        event
    }

    fn head(&self, index: usize, choice: &Choice) -> Frame {
        let content = if choice.refused || (choice.text.is_empty() && !choice.calls.is_empty()) { Value::Null } else { json!("") };
        Frame::head(sse(&self.chunk(index, json!({"role": "assistant", "content": content, "refusal": null}), None)))
    }

    fn deltas(&self, index: usize, choice: &Choice) -> Vec<Delta> {
        let words = if choice.refused { "refusal" } else { "content" };
        let thoughts = choice.thoughts.iter().filter(|_| self.job.switches.reasoning_content);
        let thought =
            thoughts.map(|piece| Delta { value: json!({"reasoning_content": piece.text, "content": null}), text: String::new(), tokens: piece.tokens });
        let said = choice.text.iter().map(|piece| Delta { value: json!({words: piece.text}), text: piece.text.clone(), tokens: piece.tokens });
        thought.chain(said).chain(self.calls(index, choice)).collect()
    }

    fn calls(&self, index: usize, choice: &Choice) -> Vec<Delta> {
        let mut out = Vec::new();
        for (nth, call) in choice.calls.iter().enumerate() {
            let function = json!({"name": call.name, "arguments": ""});
            let first = json!({"tool_calls": [{"index": nth, "id": call_id(self.answer, index, nth), "type": "function", "function": function}]});
            out.push(Delta { value: first, text: String::new(), tokens: call.tokens });
            out.extend(call.arguments.iter().map(|piece| {
                let value = json!({"tool_calls": [{"index": nth, "function": {"arguments": piece.text}}]});
                Delta { value, text: piece.text.clone(), tokens: piece.tokens }
            }));
        }
        out
    }

    fn content(&self, index: usize, delta: &Delta, sent: u64) -> Frame {
        let mut event = self.chunk(index, delta.value.clone(), None);
        if azure::applies(self.job) && delta.value["content"].is_string() {
            event["choices"][0]["content_filter_results"] = azure::fine();
        }
        if self.job.reports_everywhere() {
            event["usage"] = usage_object(Usage { completion: sent as i64, reasoning: 0, ..self.answer.truth });
        }
        Frame::content(sse(&event), delta.text.clone(), delta.tokens)
    }

    fn finish(&self, index: usize, choice: &Choice) -> Frame {
        let mut event = self.chunk(index, json!({}), Some(finish(&choice.finish)));
        let last = index + 1 == self.answer.choices.len();
        if let Some(usage) = self.answer.usage.filter(|_| last && matches!(self.answer.report, Report::Inline | Report::Every)) {
            event["usage"] = usage_object(usage);
        }
        if azure::applies(self.job) {
            event["choices"][0]["content_filter_results"] = filter_results(choice);
        }
        Frame::tail(sse(&event))
    }
}
