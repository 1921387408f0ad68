//! The OpenAI dialect, path by path, and Azure's variant of it.

pub mod azure;
pub mod chat;
pub mod chat_stream;
pub mod completions;
pub mod embeddings;
pub mod images;
pub mod moderations;
pub mod rerank;
pub mod responses;
pub mod responses_input;
pub mod responses_stream;
pub mod speech;
pub mod strict;
pub mod transcriptions;

use super::call::Task;
use super::job::{Job, Reply};
use super::prompt::{Prompt, Refused};
use super::usage::Usage;
use serde_json::{Value, json};

/// Reads a request.
pub fn parse(task: Task, body: &Value) -> Result<Prompt, Refused> {
    match task {
        Task::Completions => completions::parse(body),
        Task::Responses => responses_input::parse(body),
        Task::Embeddings => embeddings::parse(body),
        Task::Moderations => moderations::parse(body),
        Task::ImageGenerations | Task::ImageEdits => images::parse(task, body),
        Task::Speech => speech::parse(body),
        Task::Transcriptions | Task::Translations => transcriptions::parse(task, body),
        Task::Rerank | Task::RerankV2 => rerank::parse(body),
        _ => chat::parse(body),
    }
}

/// What is handed over.
pub fn reply(task: Task, job: &Job<'_>) -> Reply {
    match task {
        Task::Completions => completions::reply(job),
        Task::Responses => responses::reply(job),
        Task::Embeddings => embeddings::reply(job),
        Task::Moderations => moderations::reply(job),
        Task::ImageGenerations | Task::ImageEdits => images::reply(job),
        Task::Speech => speech::reply(job),
        Task::Transcriptions | Task::Translations => transcriptions::reply(job),
        Task::Rerank | Task::RerankV2 => rerank::reply(job),
        _ => chat::reply(job),
    }
}

/// The usage object of chat and completions. Parts stand inside their sums.
pub fn usage_object(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total(),
        "prompt_tokens_details": {
            "cached_tokens": usage.cached, "audio_tokens": usage.audio_in, "image_tokens": usage.image_in, "cache_write_tokens": usage.cache_write,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_out, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

/// An event whose kind stands in its data alone.
pub fn sse(event: &Value) -> String {
    format!("data: {event}\n\n")
}

/// An event whose kind stands in a line of its own as well.
pub fn typed_sse(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
}

/// The list of models.
pub fn models(names: &[&str], created: i64) -> Value {
    json!({"object": "list", "data": names.iter().map(|name| model(name, created)).collect::<Vec<_>>()})
}

/// One model.
pub fn model(name: &str, created: i64) -> Value {
    json!({"id": name, "object": "model", "created": created, "owned_by": "demo"})
}

/// An error answer. It names things of the provider's own on purpose: a customer of the shop must never get to see them.
pub fn error(status: u16, model: &str) -> Value {
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
pub fn refusal(refused: &Refused) -> Value {
    json!({"error": {"message": refused.message, "type": "invalid_request_error", "param": refused.param, "code": refused.code}})
}

/// The answer to a prompt that a filter stopped.
pub fn blocked() -> Value {
    let message = "Invalid prompt: your prompt was flagged as potentially violating our usage policy.";
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": "invalid_prompt"}})
}
