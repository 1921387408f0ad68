//! Reading the content of a Messages request: blocks of every kind that other dialects can say.

use super::{seal_on_call, sealed_thought};
use crate::relay::dialect::Dialect;
use crate::relay::dialect::canonical::{File, Image, Part, Signature, Source, Text, Thought, ToolCall, ToolResult, Unfit};
use crate::relay::dialect::fields::Fields;
use serde_json::Value;

/// The parts of `content`, which must be there.
pub(super) fn content(owner: &mut Fields, name: &str) -> Result<Vec<Part>, Unfit> {
    let parts = optional_content(owner, name)?;
    owner.must(name, parts)
}

/// The parts of a field that is a text or an array of blocks.
pub(super) fn optional_content(owner: &mut Fields, name: &str) -> Result<Option<Vec<Part>>, Unfit> {
    let path = owner.path(name);
    match owner.take(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(vec![Part::Text(text.into())])),
        Some(Value::Array(items)) => {
            let mut parts = Vec::with_capacity(items.len());
            for (at, item) in items.into_iter().enumerate() {
                add(block(Fields::of(format!("{path}[{at}]"), item)?)?, &mut parts);
            }
            Ok(Some(parts))
        }
        Some(_) => Err(owner.wrong(name, "a string or an array of blocks")),
    }
}

/// A seal without words belongs to the call after it.
fn add(mut part: Part, parts: &mut Vec<Part>) {
    if let (Part::ToolCall(call), Some(Part::Thought(thought))) = (&mut part, parts.last())
        && let Some(seal) = seal_on_call(thought)
    {
        call.signature = Some(seal.clone());
        parts.pop();
    }
    parts.push(part);
}

/// The texts of a field that has nothing else.
pub(super) fn texts(owner: &mut Fields, name: &str) -> Result<Option<Vec<Text>>, Unfit> {
    let path = owner.path(name);
    let text = |(at, part)| if let Part::Text(text) = part { Ok(text) } else { Err(Unfit::inexpressible(format!("{path}[{at}].type"))) };
    optional_content(owner, name)?.map(|parts| parts.into_iter().enumerate().map(text).collect()).transpose()
}

/// `cache_control`: how long what stands before it is kept.
pub(super) fn cache(fields: &mut Fields) -> Result<Option<String>, Unfit> {
    let Some(mut control) = fields.object("cache_control")? else { return Ok(None) };
    Ok(Some(control.string("ttl")?.unwrap_or_else(|| "5m".to_owned())))
}

fn block(mut block: Fields) -> Result<Part, Unfit> {
    let kind = block.string("type")?;
    let kind = block.must("type", kind)?;
    let cache = cache(&mut block)?;
    let mut required = |name: &str| {
        let text = block.string(name)?;
        block.must(name, text)
    };
    let read = match kind.as_str() {
        "text" => {
            let text = required("text")?;
            if block.array("citations")?.is_some_and(|citations| !citations.is_empty()) {
                return Err(block.inexpressible("citations"));
            }
            Part::Text(Text { text, cache })
        }
        "image" => {
            refuse_strict_size(&mut block)?;
            Part::Image(Image { source: source(&mut block)?, detail: None, cache })
        }
        "document" => document(&mut block, cache)?,
        "thinking" => {
            let text = required("thinking")?;
            Part::Thought(sealed_thought(text, block.string("signature")?.as_deref()))
        }
        "redacted_thinking" => Part::Thought(Thought { redacted: Some(Signature::read(Dialect::Messages, &required("data")?)), ..Thought::default() }),
        "tool_use" => {
            let (id, name) = (required("id")?, required("name")?);
            let input = block.take("input").unwrap_or_else(|| serde_json::json!({}));
            if !input.is_object() {
                return Err(block.wrong("input", "an object"));
            }
            refuse_caller(&mut block)?;
            Part::ToolCall(ToolCall { id, name, arguments: input.to_string(), custom: false, signature: None, cache })
        }
        "tool_result" => {
            let call_id = required("tool_use_id")?;
            let is_error = block.flag("is_error")?.unwrap_or(false);
            let parts = optional_content(&mut block, "content")?.unwrap_or_default();
            Part::ToolResult(ToolResult { call_id, name: None, parts, is_error, custom: false, cache })
        }
        // A tool that was found by a search: all tools are given to the model from the start, so it only needs to know that this one fits.
        "tool_reference" => Part::Text(format!("Tool found: {}", required("tool_name")?).into()),
        _ => return Err(block.inexpressible("type")),
    };
    block.finish()?;
    Ok(read)
}

/// To refuse large pictures instead of scaling them down is a promise that nobody else gives.
fn refuse_strict_size(block: &mut Fields) -> Result<(), Unfit> {
    let Some(mut transformations) = block.object("transformations")? else { return Ok(()) };
    match transformations.string("oversized_image")?.as_deref() {
        None | Some("downsize") => Ok(()),
        Some(_) => Err(transformations.inexpressible("oversized_image")),
    }
}

fn refuse_caller(block: &mut Fields) -> Result<(), Unfit> {
    let Some(mut caller) = block.object("caller")? else { return Ok(()) };
    match caller.string("type")?.as_deref() {
        None | Some("direct") => Ok(()),
        Some(_) => Err(caller.inexpressible("type")),
    }
}

fn source(block: &mut Fields) -> Result<Source, Unfit> {
    let source = block.object("source")?;
    let mut source = block.must("source", source)?;
    let kind = source.string("type")?;
    let kind = source.must("type", kind)?;
    let media_type = source.string("media_type")?;
    let mut required = |name: &str| {
        let text = source.string(name)?;
        source.must(name, text)
    };
    let read = match kind.as_str() {
        "base64" => {
            let data = required("data")?;
            Source::Base64 { media_type: source.must("media_type", media_type)?, data }
        }
        "url" => Source::Url(required("url")?),
        "text" => Source::Text(required("data")?),
        "file" => Source::FileId { of: Dialect::Messages, id: required("file_id")? },
        // Blocks that stand for a document: of texts alone it can be one text.
        "content" => Source::Text(texts(&mut source, "content")?.unwrap_or_default().into_iter().map(|text| text.text).collect::<Vec<_>>().join("\n\n")),
        _ => return Err(source.inexpressible("type")),
    };
    source.finish()?;
    Ok(read)
}

fn document(block: &mut Fields, cache: Option<String>) -> Result<Part, Unfit> {
    let source = source(block)?;
    let name = block.string("title")?;
    if block.object("citations")?.map(|mut citations| citations.flag("enabled")).transpose()?.flatten() == Some(true) {
        return Err(block.inexpressible("citations"));
    }
    if block.string("context")?.is_some_and(|context| !context.is_empty()) {
        return Err(block.inexpressible("context"));
    }
    Ok(Part::File(File { source, name, cache }))
}
