//! The Gemini dialect: content, streamed and not, and counting its tokens.
//!
//! Sources: the Gemini API reference (generateContent, streamGenerateContent, countTokens, models) and its guides on function calling,
//! thinking and thought signatures; the form of errors is that of google.rpc.Status.

pub mod embed;
mod render;
pub mod strict;

use super::answer::compose;
use super::call::Auth;
use super::job::{Job, Reply};
use super::openai::chat::any_object;
use super::prompt::{Prompt, Refused, Tool, ToolChoice, Unit};
use serde_json::{Value, json};

/// Reads a request. Field names are taken in camel case and in snake case, as the real one does.
pub fn parse(body: &Value, stream: bool) -> Result<Prompt, Refused> {
    let contents = either(body, "contents", "contents").as_array().map(Vec::as_slice).unwrap_or_default();
    if contents.is_empty() {
        return Err(Refused::new("contents", "* GenerateContentRequest.contents: contents is not specified\n"));
    }
    if contents.iter().any(|content| !matches!(content["role"].as_str(), None | Some("user" | "model" | "function"))) {
        return Err(Refused::new("contents", "Please use a valid role: user, model."));
    }
    let config = either(body, "generationConfig", "generation_config");
    let thinking = either(config, "thinkingConfig", "thinking_config");
    let mode = either(either(body, "toolConfig", "tool_config"), "functionCallingConfig", "function_calling_config");
    let budget = either(thinking, "thinkingBudget", "thinking_budget").as_i64();
    let level = either(thinking, "thinkingLevel", "thinking_level").as_str();
    let prompt = Prompt {
        model: super::prompt::model(body)?,
        stream,
        include_usage: true,
        max_tokens: positive(config, "maxOutputTokens", "max_output_tokens")?,
        choices: positive(config, "candidateCount", "candidate_count")?.unwrap_or(1).min(8),
        stop: super::prompt::texts(either(config, "stopSequences", "stop_sequences")),
        tools: tools(body, mode),
        tool_choice: tool_choice(mode),
        parallel: true,
        tool_has_answered: contents.last().is_some_and(|content| parts(content).any(|part| !response(part).is_null())),
        question: contents.iter().rfind(|content| content["role"] != "model").map(|content| unit(content).words).unwrap_or_default(),
        schema: schema(config),
        think: budget.is_some_and(|tokens| tokens != 0) || level.is_some_and(|level| !level.eq_ignore_ascii_case("minimal")),
        show_thoughts: either(thinking, "includeThoughts", "include_thoughts") == true,
        ..Prompt::default()
    };
    Ok(prompt.with_units(units(body)))
}

/// Reads the body of `countTokens`: contents, or a whole request.
pub fn parse_count(body: &Value) -> Result<Prompt, Refused> {
    let request = either(body, "generateContentRequest", "generate_content_request");
    let mut request = if request.is_null() { body.clone() } else { request.clone() };
    request["model"] = body["model"].clone();
    parse(&request, false)
}

/// A field under either of its names.
pub fn either<'a>(value: &'a Value, camel: &str, snake: &str) -> &'a Value {
    if value[camel].is_null() { &value[snake] } else { &value[camel] }
}

fn positive(config: &Value, camel: &str, snake: &str) -> Result<Option<u64>, Refused> {
    match either(config, camel, snake) {
        Value::Null => Ok(None),
        value => value.as_u64().filter(|n| *n > 0).map(Some).ok_or_else(|| Refused::new("generationConfig", format!("{snake} must be positive."))),
    }
}

fn parts(content: &Value) -> impl Iterator<Item = &Value> {
    content["parts"].as_array().into_iter().flatten()
}

/// The call in a part, or null.
pub fn call(part: &Value) -> &Value {
    either(part, "functionCall", "function_call")
}

/// The result in a part, or null.
pub fn response(part: &Value) -> &Value {
    either(part, "functionResponse", "function_response")
}

fn units(body: &Value) -> Vec<Unit> {
    let system = either(body, "systemInstruction", "system_instruction");
    let said = either(body, "contents", "contents").as_array().into_iter().flatten();
    let system = (!system.is_null()).then(|| unit(system));
    system.into_iter().chain(said.map(unit)).chain(Unit::definitions(&body["tools"])).collect()
}

fn unit(content: &Value) -> Unit {
    let mut unit = Unit::message(&Value::Null);
    for part in parts(content).filter(|part| part["thought"] != true) {
        let data =
            if either(part, "inlineData", "inline_data").is_null() { either(part, "fileData", "file_data") } else { either(part, "inlineData", "inline_data") };
        let kind = either(data, "mimeType", "mime_type").as_str().unwrap_or_default();
        match kind.split('/').next() {
            Some("image") => unit.pictures += 1,
            Some("audio") => unit.sounds += 1,
            Some("application" | "text" | "video") => unit.documents += 1,
            _ => {}
        }
        unit.absorb(&part["text"]);
        for call in [call(part), response(part)].into_iter().filter(|call| !call.is_null()) {
            unit.calls.push_str(&call.to_string());
        }
    }
    unit
}

/// The functions that may be called: all, or those that the configuration names.
fn tools(body: &Value, mode: &Value) -> Vec<Tool> {
    let allowed = super::prompt::texts(either(mode, "allowedFunctionNames", "allowed_function_names"));
    let declared = body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|tool| either(tool, "functionDeclarations", "function_declarations").as_array().into_iter().flatten());
    let tool = |declared: &Value| {
        let json_schema = either(declared, "parametersJsonSchema", "parameters_json_schema");
        let schema = if json_schema.is_null() { declared["parameters"].clone() } else { json_schema.clone() };
        Some(Tool { name: declared["name"].as_str()?.to_owned(), schema, custom: false })
    };
    declared.filter_map(tool).filter(|tool| allowed.is_empty() || allowed.contains(&tool.name)).collect()
}

fn tool_choice(mode: &Value) -> ToolChoice {
    match mode["mode"].as_str().unwrap_or_default().to_uppercase().as_str() {
        "NONE" => ToolChoice::None,
        "ANY" => ToolChoice::Required,
        _ => ToolChoice::Auto,
    }
}

fn schema(config: &Value) -> Option<Value> {
    let kind = either(config, "responseMimeType", "response_mime_type");
    let given = [either(config, "responseJsonSchema", "response_json_schema"), either(config, "responseSchema", "response_schema")];
    given.into_iter().find(|schema| !schema.is_null()).cloned().or_else(|| (kind == "application/json").then(any_object))
}

/// What is handed over for content.
pub fn reply(job: &Job<'_>) -> Reply {
    let answer = compose(job);
    if !job.prompt.stream {
        let out = render::whole(job, &answer);
        return Reply::json(&out, answer.said(), answer.shown(), answer.usage);
    }
    let frames = render::frames(job, &answer);
    let content_type = if job.call.sse { "text/event-stream" } else { "application/json; charset=UTF-8" };
    Reply { content_type, ..Reply::events(frames, answer.usage) }
}

/// What is handed over for a count.
pub fn count(job: &Job<'_>) -> Reply {
    let details = json!([{"modality": "TEXT", "tokenCount": job.prompt.tokens}]);
    Reply::json(&json!({"totalTokens": job.prompt.tokens, "promptTokensDetails": details}), "", 0, None)
}

/// A model in a list.
pub fn model(name: &str) -> Value {
    json!({
        "name": format!("models/{name}"),
        "version": "001",
        "displayName": name,
        "description": "A simulated model.",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
        "temperature": 1.0,
        "topP": 0.95,
        "topK": 64,
    })
}

/// The status and the body of the answer to a caller without the right key: a wrong key is a bad request, no key is a forbidden one.
pub fn stranger(auth: Auth) -> (u16, Value) {
    if auth == Auth::None {
        let message = "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.";
        return (403, status(403, "PERMISSION_DENIED", message, json!([])));
    }
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }]);
    (400, status(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", details))
}

/// An error answer. It names things of the provider's own on purpose: a customer of the shop must never get to see them.
pub fn error(code: u16, model: &str, retry_after: Option<u64>) -> Value {
    let (name, message) = match code {
        401 => ("UNAUTHENTICATED", "Request had invalid authentication credentials in projects/upstream-project.".to_owned()),
        402 | 403 => ("PERMISSION_DENIED", "Permission denied: Consumer projects/upstream-project has been suspended.".to_owned()),
        404 => ("NOT_FOUND", format!("models/{model} is not found for API version v1beta, or is not supported for generateContent.")),
        409 => ("ABORTED", "The operation was aborted.".to_owned()),
        429 => ("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details of projects/upstream-project.".to_owned()),
        400..500 => ("INVALID_ARGUMENT", "Request contains an invalid argument.".to_owned()),
        503 | 529 => ("UNAVAILABLE", "The model is overloaded. Please try again later.".to_owned()),
        504 => ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete.".to_owned()),
        _ => ("INTERNAL", "An internal error has occurred in projects/upstream-project.".to_owned()),
    };
    let details = match code {
        429 => json!([
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
                "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
                "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
                "quotaDimensions": {"location": "global", "model": model},
            }]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{}s", retry_after.unwrap_or(1))},
        ]),
        _ => json!([]),
    };
    status(code, name, &message, details)
}

/// The answer to a request that is wrong in itself.
pub fn refusal(refused: &Refused) -> Value {
    status(refused.status, "INVALID_ARGUMENT", &refused.message, json!([]))
}

fn status(code: u16, name: &str, message: &str, details: Value) -> Value {
    let mut error = json!({"code": code, "message": message, "status": name});
    if details.as_array().is_some_and(|details| !details.is_empty()) {
        error["details"] = details;
    }
    json!({"error": error})
}

/// An error in the middle of a stream: as an event, or as the last element of the array.
pub fn error_event(sse: bool, code: u16) -> String {
    let error = error(code, "", None);
    if sse { format!("data: {error}\r\n\r\n") } else { format!(",\r\n{error}]") }
}
