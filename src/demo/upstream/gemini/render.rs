//! Content as one object, as events, and as the elements of one JSON array.

use super::super::answer::{Answer, Call, Choice, Finish, joined};
use super::super::job::Job;
use super::super::script::Frame;
use super::super::switches::Ending;
use super::super::tokens;
use super::super::usage::Usage;
use super::super::words::{name, seal};
use serde_json::{Value, json};

/// The answer as one object.
pub fn whole(job: &Job<'_>, answer: &Answer) -> Value {
    let render = Render { job, answer };
    let mut out = if job.switches.blocked {
        json!({"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings(true)}})
    } else {
        let candidate = |(index, choice)| render.candidate(index, &render.parts(choice), Some(choice));
        json!({"candidates": answer.choices.iter().enumerate().map(candidate).collect::<Vec<_>>()})
    };
    render.surround(&mut out, answer.usage);
    out
}

/// The answer as chunks.
pub fn frames(job: &Job<'_>, answer: &Answer) -> Vec<Frame> {
    let render = Render { job, answer };
    if job.switches.blocked {
        return vec![Frame::content(framed(job, &whole(job, answer), 0, true), "", 0)];
    }
    let mut sent = Usage { completion: 0, ..answer.truth };
    let mut chunks = Vec::new();
    for (index, choice) in answer.choices.iter().enumerate() {
        sent.completion += tokens::total(&choice.thoughts) as i64; // the thoughts of a model count from its first chunk on
        for (part, text, tokens) in render.pieces(choice) {
            sent.completion += tokens as i64;
            let mut chunk = json!({"candidates": [render.candidate(index, &[part], None)]});
            render.surround(&mut chunk, job.told(sent));
            chunks.push((chunk, Some((text, tokens))));
        }
        let mut chunk = json!({"candidates": [render.candidate(index, &render.closing(choice), Some(choice))]});
        let last = index + 1 == answer.choices.len();
        render.surround(&mut chunk, if last { answer.usage } else { job.told(sent) });
        chunks.push((chunk, None));
    }
    let most = chunks.len();
    let frame = |(at, (chunk, content)): (usize, (Value, Option<(String, u64)>))| {
        let bytes = framed(job, &chunk, at, at + 1 == most);
        match content {
            Some((text, tokens)) => Frame::content(bytes, text, tokens),
            None if at + 1 == most => Frame::tail(bytes),
            None => Frame::head(bytes),
        }
    };
    chunks.into_iter().enumerate().map(frame).collect()
}

fn framed(job: &Job<'_>, chunk: &Value, at: usize, last: bool) -> String {
    if job.call.sse {
        return format!("data: {chunk}\r\n\r\n");
    }
    format!("{}{chunk}{}", if at == 0 { "[" } else { ",\r\n" }, if last { "]" } else { "" })
}

struct Render<'a> {
    job: &'a Job<'a>,
    answer: &'a Answer,
}

impl Render<'_> {
    fn surround(&self, out: &mut Value, usage: Option<Usage>) {
        out["modelVersion"] = json!(self.job.prompt.model);
        out["responseId"] = json!(name("", &self.job.prompt.model, self.answer.number));
        if let Some(usage) = usage {
            out["usageMetadata"] = usage_object(usage);
        }
    }

    fn candidate(&self, index: usize, parts: &[Value], end: Option<&Choice>) -> Value {
        let mut out = json!({"index": index, "content": {"parts": parts, "role": "model"}});
        if let Some(choice) = end {
            let reason = finish_reason(&choice.finish);
            out["finishReason"] = json!(reason);
            if reason == "SAFETY" {
                out["safetyRatings"] = ratings(true);
            }
        }
        out
    }

    /// All parts of a candidate. A signature stands on the first call, or else on the words.
    fn parts(&self, choice: &Choice) -> Vec<Value> {
        let mut out = Vec::new();
        if self.job.prompt.show_thoughts && !choice.thoughts.is_empty() {
            out.push(json!({"text": joined(&choice.thoughts), "thought": true}));
        }
        if !choice.text.is_empty() {
            let mut part = json!({"text": joined(&choice.text)});
            if let Some(signature) = self.signature(choice).filter(|_| choice.calls.is_empty()) {
                part["thoughtSignature"] = json!(signature);
            }
            out.push(part);
        }
        out.extend(choice.calls.iter().enumerate().map(|(nth, call)| self.call(choice, nth, call)));
        out
    }

    /// The parts of a candidate one by one, the words token by token: each with the words for the log and its tokens.
    fn pieces(&self, choice: &Choice) -> Vec<(Value, String, u64)> {
        let shown = choice.thoughts.iter().filter(|_| self.job.prompt.show_thoughts);
        let thoughts = shown.map(|piece| (json!({"text": piece.text, "thought": true}), String::new(), 0));
        let words = choice.text.iter().map(|piece| (json!({"text": piece.text}), piece.text.clone(), piece.tokens));
        let calls = choice.calls.iter().enumerate().map(|(nth, call)| (self.call(choice, nth, call), joined(&call.arguments), call.size()));
        thoughts.chain(words).chain(calls).collect()
    }

    /// The last part of a stream: empty, and with the signature when nothing else carried it.
    fn closing(&self, choice: &Choice) -> Vec<Value> {
        let mut part = json!({"text": ""});
        if let Some(signature) = self.signature(choice).filter(|_| choice.calls.is_empty()) {
            part["thoughtSignature"] = json!(signature);
        }
        vec![part]
    }

    fn call(&self, choice: &Choice, nth: usize, call: &Call) -> Value {
        let arguments: Value = serde_json::from_str(&joined(&call.arguments)).unwrap_or_else(|_| json!({})); // cut short by the cap
        let mut function = json!({"name": call.name, "args": arguments});
        if self.job.switches.call_ids {
            function["id"] = json!(name("", &nth.to_string(), self.answer.number));
        }
        let mut part = json!({"functionCall": function});
        if let Some(signature) = self.signature(choice).filter(|_| nth == 0) {
            part["thoughtSignature"] = json!(signature);
        }
        part
    }

    fn signature(&self, choice: &Choice) -> Option<String> {
        (!choice.thoughts.is_empty()).then(|| seal(&joined(&choice.thoughts)))
    }
}

fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Stop(_) | Finish::Tool | Finish::Other(Ending::PauseTurn) => "STOP",
        Finish::Length | Finish::Other(Ending::ContextFull) => "MAX_TOKENS",
        Finish::Other(Ending::Filtered) => "SAFETY",
        Finish::Other(Ending::Recitation) => "RECITATION",
        Finish::Other(Ending::MalformedCall) => "MALFORMED_FUNCTION_CALL",
    }
}

fn ratings(blocked: bool) -> Value {
    json!([{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": blocked}])
}

/// Thoughts stand beside the candidates, cached tokens inside the prompt. What is zero is left out.
fn usage_object(usage: Usage) -> Value {
    let text = usage.prompt - usage.image_in - usage.audio_in;
    let modality = |(name, count): (&str, i64)| (count != 0).then(|| json!({"modality": name, "tokenCount": count}));
    let details: Vec<Value> = [("TEXT", text), ("IMAGE", usage.image_in), ("AUDIO", usage.audio_in)].into_iter().filter_map(modality).collect();
    let mut out = json!({
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": usage.completion - usage.reasoning,
        "totalTokenCount": usage.total(),
        "promptTokensDetails": details,
    });
    if usage.cached != 0 {
        out["cachedContentTokenCount"] = json!(usage.cached);
        out["cacheTokensDetails"] = json!([{"modality": "TEXT", "tokenCount": usage.cached}]);
    }
    if usage.reasoning != 0 {
        out["thoughtsTokenCount"] = json!(usage.reasoning);
    }
    out
}
