//! `POST /v1/completions`, the older form: a text goes on. Several prompts make several choices each.

use super::super::answer::{Answer, Choice, compose, joined};
use super::super::job::{Job, Reply};
use super::super::prompt::{self, Prompt, Refused};
use super::super::script::Frame;
use super::super::switches::Report;
use super::super::words::name;
use super::{blocked, sse, usage_object};
use serde_json::{Value, json};

/// Reads a request. Prompts of token numbers are read as those numbers in words.
pub fn parse(body: &Value) -> Result<Prompt, Refused> {
    let prompts = inputs(&body["prompt"], "prompt")?;
    let each = prompt::count(body, "n", 1..=128)?.unwrap_or(1);
    Ok(Prompt {
        stream: prompt::flag(body, "stream")?,
        include_usage: body["stream_options"]["include_usage"] == true,
        max_tokens: Some(prompt::count(body, "max_tokens", 0..=u64::MAX)?.unwrap_or(16)),
        choices: each * prompts.len() as u64,
        stop: prompt::texts(&body["stop"]),
        ..Prompt::of_texts(prompt::model(body)?, &prompts)
    })
}

/// Inputs: a text, a list of texts, a list of tokens or a list of such lists; at least one.
pub fn inputs(value: &Value, param: &'static str) -> Result<Vec<String>, Refused> {
    let numbers = |list: &[Value]| list.iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
    let out = match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) if list.first().is_some_and(Value::is_number) => vec![numbers(list)],
        Value::Array(list) => list.iter().filter_map(|one| one.as_str().map(str::to_owned).or_else(|| Some(numbers(one.as_array()?)))).collect(),
        _ => Vec::new(),
    };
    if out.is_empty() {
        return Err(Refused::new(param, format!("{param}: a text or a list of texts is required")));
    }
    Ok(out)
}

/// What is handed over.
pub fn reply(job: &Job<'_>) -> Reply {
    if job.switches.blocked {
        return Reply::refused(400, &blocked());
    }
    let answer = compose(job);
    if job.prompt.stream {
        return Reply::events(frames(job, &answer), answer.usage);
    }
    let whole = |(index, one): (usize, &Choice)| choice(index, &joined(&one.text), Some(finish(one)));
    let mut out = envelope(job, answer.choices.iter().enumerate().map(whole).collect());
    if let Some(usage) = answer.usage {
        out["usage"] = usage_object(usage);
    }
    Reply::json(&out, answer.said(), answer.shown(), answer.usage)
}

fn finish(choice: &Choice) -> &'static str {
    super::chat::finish(&choice.finish)
}

fn choice(index: usize, text: &str, finish: Option<&str>) -> Value {
    json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish})
}

fn envelope(job: &Job<'_>, choices: Value) -> Value {
    json!({
        "id": name("cmpl-", &job.prompt.model, job.number),
        "object": "text_completion",
        "created": job.created,
        "model": job.prompt.model,
        "choices": choices,
        "system_fingerprint": "fp_demo",
    })
}

fn frames(job: &Job<'_>, answer: &Answer) -> Vec<Frame> {
    let mut frames = Vec::new();
    let chunk = |choices: Value, usage: Value| {
        let mut event = envelope(job, choices);
        if job.prompt.include_usage || !usage.is_null() {
            event["usage"] = usage;
        }
        sse(&event)
    };
    for (index, one) in answer.choices.iter().enumerate() {
        for piece in &one.text {
            frames.push(Frame::content(chunk(json!([choice(index, &piece.text, None)]), Value::Null), piece.text.clone(), piece.tokens));
        }
        let inline = answer.usage.filter(|_| answer.report == Report::Inline && index + 1 == answer.choices.len());
        frames.push(Frame::tail(chunk(json!([choice(index, "", Some(finish(one)))]), inline.map_or(Value::Null, usage_object))));
    }
    if let Some(usage) = answer.usage_at_end().filter(|_| job.prompt.include_usage) {
        frames.push(Frame::tail(chunk(json!([]), usage_object(usage))));
    }
    if !job.switches.no_done {
        frames.push(Frame::tail("data: [DONE]\n\n"));
    }
    frames
}
