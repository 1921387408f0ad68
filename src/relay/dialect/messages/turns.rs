//! Writing the conversation of a Messages request: turns alternate, results of tools come first, and no text is empty.

use super::{input, tools::mark};
use crate::relay::dialect::Dialect;
use crate::relay::dialect::canonical::{File, Image, Instruction, Message, Part, Request, Role, Source, Text, Thought, ToolCall, ToolResult, Unfit, call_id};
use data_encoding::BASE64;
use serde_json::{Value, json};

/// The longest id of a call that Anthropic surely takes.
const MAX_CALL_ID: usize = 64;

/// Writes `system`; none when there is nothing to say.
pub(super) fn system(instructions: &[Instruction]) -> Option<Value> {
    let blocks: Vec<Value> = instructions.iter().filter_map(|instruction| text(&instruction.text)).collect();
    match blocks.as_slice() {
        [] => None,
        [block] if block.get("cache_control").is_none() => Some(block["text"].clone()),
        _ => Some(blocks.into()),
    }
}

/// Writes `messages`.
///
/// # Errors
/// [`Unfit`] with what Anthropic has no words for, and when nothing is said at all.
pub(super) fn render(request: &Request) -> Result<Vec<Value>, Unfit> {
    let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
    for (at, message) in request.messages.iter().enumerate() {
        let role = if message.role == Role::Assistant { "assistant" } else { "user" };
        let blocks = blocks(at, message)?;
        if blocks.is_empty() {
            continue;
        }
        match turns.last_mut().filter(|(last, _)| *last == role) {
            Some((_, turn)) => turn.extend(blocks),
            None => turns.push((role, blocks)),
        }
    }
    if turns.is_empty() {
        return Err(Unfit::new("messages", "'messages' must have something that the user says."));
    }
    // Anthropic wants the user to begin.
    if turns[0].0 == "assistant" {
        turns.insert(0, ("user", vec![json!({"type": "text", "text": "."})]));
    }
    for (role, blocks) in &mut turns {
        if *role == "user" {
            blocks.sort_by_key(|block| block["type"] != "tool_result");
        }
    }
    end_without_space(&mut turns);
    Ok(turns.into_iter().map(|(role, blocks)| json!({"role": role, "content": shortest(blocks)})).collect())
}

/// The beginning of an answer that the model shall go on with must not end with white space.
fn end_without_space(turns: &mut [(&'static str, Vec<Value>)]) {
    let Some(("assistant", blocks)) = turns.last_mut() else { return };
    let Some(Value::String(text)) = blocks.last_mut().and_then(|block| block.get_mut("text")) else { return };
    text.truncate(text.trim_end().len());
}

/// A single text is written as one.
fn shortest(mut blocks: Vec<Value>) -> Value {
    match blocks.as_slice() {
        [block] if block["type"] == "text" && block.get("cache_control").is_none() => blocks.remove(0)["text"].take(),
        _ => blocks.into(),
    }
}

fn blocks(at: usize, message: &Message) -> Result<Vec<Value>, Unfit> {
    let mut out = Vec::new();
    for (number, part) in message.parts.iter().enumerate() {
        let path = || format!("messages[{at}].content[{number}]");
        match part {
            Part::Text(words) if matches!(message.role, Role::System { .. }) => {
                let marked = Text { text: format!("<system>\n{}\n</system>", words.text), cache: words.cache.clone() };
                out.extend(text(&marked).filter(|_| !words.text.trim().is_empty()));
            }
            Part::Text(words) => out.extend(text(words)),
            Part::Refusal(refusal) => out.extend(text(&refusal.as_str().into())),
            Part::Image(picture) => out.push(image(picture, &path())?),
            Part::File(document) => out.push(file(document, &path())?),
            Part::Audio { .. } => return Err(Unfit::inexpressible(path())),
            Part::ToolCall(call) => out.push(tool_use(call)),
            Part::ToolResult(result) => out.push(tool_result(result, &path())?),
            Part::Thought(thought) => out.extend(own_thought(thought)),
        }
    }
    Ok(out)
}

/// Texts of nothing but white space are refused.
fn text(text: &Text) -> Option<Value> {
    if text.text.trim().is_empty() {
        return None;
    }
    let mut block = json!({"type": "text", "text": text.text});
    mark(&mut block, text.cache.as_deref());
    Some(block)
}

fn image(image: &Image, path: &str) -> Result<Value, Unfit> {
    let source = match &image.source {
        Source::Url(url) => json!({"type": "url", "url": url}),
        Source::Base64 { media_type, data } => json!({"type": "base64", "media_type": media_type, "data": data}),
        Source::FileId { of: Dialect::Messages, id } => json!({"type": "file", "file_id": id}),
        Source::Text(_) | Source::FileId { .. } => return Err(Unfit::inexpressible(path)),
    };
    let mut block = json!({"type": "image", "source": source});
    mark(&mut block, image.cache.as_deref());
    Ok(block)
}

fn file(file: &File, path: &str) -> Result<Value, Unfit> {
    let source = match &file.source {
        Source::Url(url) => json!({"type": "url", "url": url}),
        Source::Text(text) => json!({"type": "text", "media_type": "text/plain", "data": text}),
        Source::Base64 { media_type, data } if media_type == "application/pdf" => json!({"type": "base64", "media_type": media_type, "data": data}),
        // Any kind of text is a plain one.
        Source::Base64 { media_type, data } if media_type.starts_with("text/") || media_type == "application/json" => {
            let text = BASE64.decode(data.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| Unfit::new(path, format!("'{path}' must be text in base64.")))?;
            json!({"type": "text", "media_type": "text/plain", "data": text})
        }
        Source::FileId { of: Dialect::Messages, id } => json!({"type": "file", "file_id": id}),
        Source::Base64 { .. } | Source::FileId { .. } => return Err(Unfit::inexpressible(path)),
    };
    let mut block = json!({"type": "document", "source": source});
    if let Some(name) = &file.name {
        block["title"] = name.as_str().into();
    }
    mark(&mut block, file.cache.as_deref());
    Ok(block)
}

fn tool_use(call: &ToolCall) -> Value {
    let id = call_id::fit(&call.id, MAX_CALL_ID);
    let mut block = json!({"type": "tool_use", "id": id, "name": call.name, "input": input(&call.as_function())});
    mark(&mut block, call.cache.as_deref());
    block
}

fn tool_result(result: &ToolResult, path: &str) -> Result<Value, Unfit> {
    let mut content = Vec::new();
    for (number, part) in result.parts.iter().enumerate() {
        let path = format!("{path}.content[{number}]");
        match part {
            Part::Text(words) => content.extend(text(words)),
            Part::Image(picture) => content.push(image(picture, &path)?),
            Part::File(document) => content.push(file(document, &path)?),
            _ => return Err(Unfit::inexpressible(path)),
        }
    }
    let mut block = json!({"type": "tool_result", "tool_use_id": call_id::fit(&result.call_id, MAX_CALL_ID)});
    if !content.is_empty() {
        block["content"] = shortest(content);
    }
    if result.is_error {
        block["is_error"] = true.into();
    }
    mark(&mut block, result.cache.as_deref());
    Ok(block)
}

/// Anthropic takes back what it sealed, and nothing else.
fn own_thought(thought: &Thought) -> Option<Value> {
    if let Some(redacted) = &thought.redacted {
        return Some(json!({"type": "redacted_thinking", "data": redacted.for_provider(Dialect::Messages)?}));
    }
    let seal = thought.signature.as_ref()?.for_provider(Dialect::Messages)?;
    Some(json!({"type": "thinking", "thinking": thought.text, "signature": seal}))
}
