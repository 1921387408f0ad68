//! The OpenAI dialect: chat completions, streamed and not.

use super::answer::{Answer, Choice, Finish, Usage, joined};
use super::prompt::{self, Prompt, Refused, Tool, ToolChoice};
use super::script::Frame;
use super::words::name;
use serde_json::{Value, json};

/// Reads the body of `POST /v1/chat/completions`.
pub(super) fn parse(body: &Value) -> Result<Prompt, Refused> {
    let messages = prompt::messages(body)?;
    let newer = prompt::count(body, "max_completion_tokens", 1..=u64::MAX)?;
    let older = prompt::count(body, "max_tokens", 1..=u64::MAX)?;
    Ok(Prompt {
        model: prompt::model(body)?,
        stream: prompt::flag(body, "stream")?,
        include_usage: body["stream_options"]["include_usage"] == true,
        max_tokens: newer.or(older),
        choices: prompt::count(body, "n", 1..=128)?.unwrap_or(1),
        stop: prompt::texts(&body["stop"]),
        tools: body["tools"].as_array().into_iter().flatten().filter_map(|tool| offered(&tool["function"])).collect(),
        tool_choice: tool_choice(&body["tool_choice"]),
        tool_has_answered: messages.last().is_some_and(|message| message["role"] == "tool"),
        question: prompt::question(messages),
        tokens: prompt::tokens_of(messages, &Value::Null, &body["tools"]),
    })
}

fn offered(function: &Value) -> Option<Tool> {
    Some(Tool { name: function["name"].as_str()?.to_owned(), schema: function["parameters"].clone() })
}

fn tool_choice(choice: &Value) -> ToolChoice {
    match (choice.as_str(), choice["function"]["name"].as_str()) {
        (Some("none"), _) => ToolChoice::None,
        (Some("required"), _) => ToolChoice::Required,
        (_, Some(name)) => ToolChoice::Named(name.to_owned()),
        _ => ToolChoice::Auto,
    }
}

/// The answer as one object.
pub(super) fn whole(prompt: &Prompt, answer: &Answer) -> Value {
    let choices: Vec<Value> = answer.choices.iter().enumerate().map(|(index, choice)| whole_choice(answer, index, choice)).collect();
    let mut out = frame_of(prompt, answer, "chat.completion", choices.into());
    if let Some(usage) = answer.usage {
        out["usage"] = usage_object(usage);
    }
    out
}

fn whole_choice(answer: &Answer, index: usize, choice: &Choice) -> Value {
    let mut message = json!({"role": "assistant", "content": joined(&choice.text), "refusal": null, "annotations": []});
    if let Some(call) = &choice.call {
        message["content"] = Value::Null;
        message["tool_calls"] =
            json!([{"id": call_id(answer, index), "type": "function", "function": {"name": call.name, "arguments": joined(&call.arguments)}}]);
    }
    json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish(&choice.finish)})
}

fn frame_of(prompt: &Prompt, answer: &Answer, object: &str, choices: Value) -> Value {
    json!({
        "id": name("chatcmpl-", &prompt.model, answer.number),
        "object": object,
        "created": answer.created,
        "model": prompt.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    })
}

fn call_id(answer: &Answer, index: usize) -> String {
    name("call_", &index.to_string(), answer.number)
}

fn finish(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Stop(_) => "stop",
        Finish::Length => "length",
        Finish::Tool => "tool_calls",
    }
}

fn usage_object(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt.saturating_add(usage.completion),
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

/// The answer as chunks: the choices take turns, as they do when a provider works on them side by side.
pub(super) fn stream(prompt: &Prompt, answer: &Answer) -> Vec<Frame> {
    let stream = Stream { prompt, answer };
    let every = || answer.choices.iter().enumerate();
    let mut frames: Vec<Frame> = every().map(|(index, choice)| stream.head(index, choice)).collect();
    let contents: Vec<Vec<Frame>> = every().map(|(index, choice)| stream.contents(index, choice)).collect();
    for turn in 0..contents.iter().map(Vec::len).max().unwrap_or_default() {
        frames.extend(contents.iter().filter_map(|frames| frames.get(turn).cloned()));
    }
    frames.extend(every().map(|(index, choice)| stream.finish(index, choice)));
    if let Some(usage) = answer.usage.filter(|_| prompt.include_usage && !answer.inline_usage) {
        let mut event = frame_of(prompt, answer, "chat.completion.chunk", json!([]));
        event["usage"] = usage_object(usage);
        frames.push(Frame::tail(sse(&event)));
    }
    frames.push(Frame::tail("data: [DONE]\n\n"));
    frames
}

fn sse(event: &Value) -> String {
    format!("data: {event}\n\n")
}

struct Stream<'a> {
    prompt: &'a Prompt,
    answer: &'a Answer,
}

impl Stream<'_> {
    fn chunk(&self, index: usize, delta: Value, finish: Option<&str>) -> Value {
        let choices = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        let mut event = frame_of(self.prompt, self.answer, "chat.completion.chunk", choices);
        if self.prompt.include_usage && !self.answer.inline_usage {
            event["usage"] = Value::Null;
        }
        event
    }

    fn head(&self, index: usize, choice: &Choice) -> Frame {
        let content = if choice.call.is_some() { Value::Null } else { json!("") };
        Frame::head(sse(&self.chunk(index, json!({"role": "assistant", "content": content, "refusal": null}), None)))
    }

    fn contents(&self, index: usize, choice: &Choice) -> Vec<Frame> {
        let said = choice.text.iter().map(|piece| (json!({"content": piece.text}), piece.text.clone(), piece.tokens));
        let called = choice.call.iter().flat_map(|call| {
            let function = json!({"name": call.name, "arguments": ""});
            let first = json!({"tool_calls": [{"index": 0, "id": call_id(self.answer, index), "type": "function", "function": function}]});
            let delta = |text: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]});
            let rest = call.arguments.iter().map(move |piece| (delta(&piece.text), piece.text.clone(), piece.tokens));
            [(first, String::new(), call.tokens)].into_iter().chain(rest)
        });
        said.chain(called).map(|(delta, text, tokens)| Frame::content(sse(&self.chunk(index, delta, None)), text, tokens)).collect()
    }

    fn finish(&self, index: usize, choice: &Choice) -> Frame {
        let mut event = self.chunk(index, json!({}), Some(finish(&choice.finish)));
        if let Some(usage) = self.answer.usage.filter(|_| self.answer.inline_usage && index + 1 == self.answer.choices.len()) {
            event["usage"] = usage_object(usage);
        }
        Frame::tail(sse(&event))
    }
}

/// The list of models.
pub(super) fn models(names: &[&str], created: i64) -> Value {
    let list: Vec<Value> = names.iter().map(|id| json!({"id": id, "object": "model", "created": created, "owned_by": "demo"})).collect();
    json!({"object": "list", "data": list})
}

/// An error answer. It names things of the provider's own on purpose: a customer of the shop must never get to see them.
pub(super) fn error(status: u16, model: &str) -> Value {
    let (kind, code, message) = match status {
        401 => ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-upst***ream.".to_owned()),
        402 => ("insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.".to_owned()),
        403 => ("permission_error", "access_terminated", "Organization org-upstream has no access.".to_owned()),
        404 => ("invalid_request_error", "model_not_found", format!("The model `{model}` does not exist or you do not have access to it.")),
        413 => ("invalid_request_error", "request_too_large", "Request too large.".to_owned()),
        429 => ("requests", "rate_limit_exceeded", format!("Rate limit reached for {model} in organization org-upstream on requests per min (RPM).")),
        400..500 => ("invalid_request_error", "bad_request", "The request is not valid.".to_owned()),
        503 => ("server_error", "overloaded", "That model is currently overloaded with other requests.".to_owned()),
        _ => ("server_error", "internal_error", "The server had an error while processing your request in org-upstream. Sorry about that!".to_owned()),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// The answer to a request that is wrong in itself.
pub(super) fn refusal(refused: &Refused) -> Value {
    json!({"error": {"message": refused.message, "type": "invalid_request_error", "param": refused.param, "code": null}})
}
