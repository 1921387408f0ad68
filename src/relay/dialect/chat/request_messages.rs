//! Reading the conversation of a Chat request.

use super::{thoughts, tools::parse_cache};
use crate::relay::dialect::canonical::{File, Image, Instruction, Message, Part, Role, Signature, Source, Text, ToolCall, ToolResult, Unfit, tie_results};
use crate::relay::dialect::fields::Fields;
use crate::relay::dialect::{Dialect, data_url};
use serde_json::Value;

/// Reads `messages`: the prompts that stand before the conversation, and the conversation.
pub(super) fn parse(body: &mut Fields) -> Result<(Vec<Instruction>, Vec<Message>), Unfit> {
    let objects = body.objects("messages")?;
    if objects.is_empty() {
        return Err(body.wrong("messages", "an array with at least one message"));
    }
    let (mut instructions, mut messages) = (Vec::new(), Vec::new());
    for mut message in objects {
        let role = message.string("role")?;
        let role = message.must("role", role)?;
        let name = message.string("name")?.filter(|name| !name.is_empty());
        if name.is_some() && !["tool", "function"].contains(&role.as_str()) {
            return Err(message.inexpressible("name"));
        }
        let developer = role == "developer";
        match role.as_str() {
            "system" | "developer" if messages.is_empty() => {
                let texts = texts(&mut message)?;
                instructions.extend(texts.into_iter().map(|text| Instruction { developer, text }));
            }
            "system" | "developer" => {
                let parts = texts(&mut message)?.into_iter().map(Part::Text).collect();
                messages.push(Message { role: Role::System { developer }, parts });
            }
            "user" => messages.push(Message { role: Role::User, parts: content(&mut message)? }),
            "assistant" => messages.push(Message { role: Role::Assistant, parts: assistant(&mut message)? }),
            "tool" => messages.push(Message { role: Role::User, parts: vec![Part::ToolResult(tool_result(&mut message, name)?)] }),
            "function" => return Err(message.inexpressible("role")),
            _ => return Err(message.wrong("role", "'system', 'developer', 'user', 'assistant' or 'tool'")),
        }
        message.finish()?;
    }
    tie_results(&mut messages);
    Ok((instructions, messages))
}

/// The parts of `content`, which must be there.
fn content(message: &mut Fields) -> Result<Vec<Part>, Unfit> {
    let parts = optional_content(message)?;
    message.must("content", parts)
}

fn optional_content(message: &mut Fields) -> Result<Option<Vec<Part>>, Unfit> {
    let path = message.path("content");
    match message.take("content") {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(vec![Part::Text(text.into())])),
        Some(Value::Array(items)) => {
            let parts = items.into_iter().enumerate().map(|(at, item)| part(Fields::of(format!("{path}[{at}]"), item)?));
            parts.collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(message.wrong("content", "a string or an array of parts")),
    }
}

fn texts(message: &mut Fields) -> Result<Vec<Text>, Unfit> {
    let path = message.path("content");
    let text = |(at, part)| if let Part::Text(text) = part { Ok(text) } else { Err(Unfit::inexpressible(format!("{path}[{at}].type"))) };
    content(message)?.into_iter().enumerate().map(text).collect()
}

fn part(mut part: Fields) -> Result<Part, Unfit> {
    let kind = part.string("type")?;
    let kind = part.must("type", kind)?;
    let cache = parse_cache(&mut part)?;
    let read = match kind.as_str() {
        "text" => {
            let text = part.string("text")?;
            Part::Text(Text { text: part.must("text", text)?, cache })
        }
        "refusal" => {
            let refusal = part.string("refusal")?;
            Part::Refusal(part.must("refusal", refusal)?)
        }
        "image_url" => image(&mut part, cache)?,
        "input_audio" => {
            let audio = part.object("input_audio")?;
            let mut audio = part.must("input_audio", audio)?;
            let (data, format) = (audio.string("data")?, audio.string("format")?);
            Part::Audio { data: audio.must("data", data)?, format: audio.must("format", format)? }
        }
        "file" => file(&mut part, cache)?,
        _ => return Err(part.inexpressible("type")),
    };
    part.finish()?;
    Ok(read)
}

/// Some clients write the address without the object around it.
fn image(part: &mut Fields, cache: Option<String>) -> Result<Part, Unfit> {
    let value = part.take("image_url");
    let (url, detail) = match part.must("image_url", value)? {
        Value::String(url) => (url, None),
        value => {
            let mut image = Fields::of(part.path("image_url"), value)?;
            let (url, detail) = (image.string("url")?, image.string("detail")?);
            let url = image.must("url", url)?;
            image.finish()?;
            (url, detail)
        }
    };
    Ok(Part::Image(Image { source: data_url::read(url), detail, cache }))
}

fn file(part: &mut Fields, cache: Option<String>) -> Result<Part, Unfit> {
    let file = part.object("file")?;
    let mut file = part.must("file", file)?;
    let name = file.string("filename")?;
    let source = match (file.string("file_data")?, file.string("file_id")?) {
        (Some(data), None) if data.starts_with("data:") || data.contains("://") => data_url::read(data),
        (Some(data), None) => Source::Base64 { media_type: "application/pdf".to_owned(), data },
        (None, Some(id)) => Source::FileId { of: Dialect::Chat, id },
        _ => return Err(file.wrong("file_data", "there, or else 'file_id'")),
    };
    file.finish()?;
    Ok(Part::File(File { source, name, cache }))
}

fn assistant(message: &mut Fields) -> Result<Vec<Part>, Unfit> {
    let words = message.string("reasoning_content")?;
    let words = words.or(message.string("reasoning")?);
    let details = message.array("reasoning_details")?.unwrap_or_default();
    let (thoughts, bad) = thoughts::read(words.as_deref(), &details);
    if let Some(at) = bad {
        return Err(Unfit::inexpressible(format!("{}[{at}]", message.path("reasoning_details"))));
    }
    let mut parts: Vec<Part> = thoughts.into_iter().map(Part::Thought).collect();
    // An empty content beside calls is the same as none.
    let content = optional_content(message)?.unwrap_or_default();
    let refusal = message.string("refusal")?;
    let calls: Vec<Part> = message.objects("tool_calls")?.into_iter().map(|call| tool_call(call).map(Part::ToolCall)).collect::<Result<_, _>>()?;
    let is_alone = parts.is_empty() && calls.is_empty() && refusal.is_none();
    parts.extend(content.into_iter().filter(|part| is_alone || !matches!(part, Part::Text(text) if text.text.is_empty())));
    parts.extend(refusal.map(Part::Refusal));
    parts.extend(calls);
    message.ignore(&["annotations"]);
    Ok(parts)
}

fn tool_call(mut call: Fields) -> Result<ToolCall, Unfit> {
    let kind = call.string("type")?.unwrap_or_else(|| "function".to_owned());
    let custom = kind == "custom";
    if !custom && kind != "function" {
        return Err(call.inexpressible("type"));
    }
    let id = call.string("id")?;
    let id = call.must("id", id)?;
    let inner = call.object(&kind)?;
    let mut inner = call.must(&kind, inner)?;
    let name = inner.string("name")?;
    let name = inner.must("name", name)?;
    let arguments = inner.string(if custom { "input" } else { "arguments" })?.unwrap_or_default();
    inner.finish()?;
    let signature = call.take("extra_content").and_then(|extra| Some(extra.pointer("/google/thought_signature")?.as_str()?.to_owned()));
    let cache = parse_cache(&mut call)?;
    call.ignore(&["index"]);
    call.finish()?;
    let signature = signature.map(|signature| Signature::read(Dialect::Gemini, &signature));
    Ok(ToolCall { id, name, arguments, custom, signature, cache })
}

fn tool_result(message: &mut Fields, name: Option<String>) -> Result<ToolResult, Unfit> {
    let call_id = message.string("tool_call_id")?;
    let call_id = message.must("tool_call_id", call_id)?;
    let parts = content(message)?;
    Ok(ToolResult { call_id, name, parts, is_error: false, custom: false, cache: parse_cache(message)? })
}

#[cfg(test)]
mod tests {
    use super::super::parse_request;
    use super::*;

    fn parse(messages: &str) -> Result<Vec<Message>, Unfit> {
        parse_request(format!(r#"{{"model":"m","messages":{messages}}}"#).as_bytes()).map(|request| request.messages)
    }

    #[test]
    fn names_the_place_of_what_is_wrong() {
        for (messages, field) in [
            ("[]", "messages"),
            ("[1]", "messages[0]"),
            (r#"[{"content":"x"}]"#, "messages[0].role"),
            (r#"[{"role":"user"}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":5}]"#, "messages[0].content"),
            (r#"[{"role":"user","content":[{"type":"video_url"}]}]"#, "messages[0].content[0].type"),
            (r#"[{"role":"user","content":[{"type":"text","text":1}]}]"#, "messages[0].content[0].text"),
            (r#"[{"role":"user","content":"x","name":"bob"}]"#, "messages[0].name"),
            (r#"[{"role":"function","name":"f","content":"x"}]"#, "messages[0].role"),
            (
                r#"[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{}}]}]"#,
                "messages[1].tool_calls[0].function.name",
            ),
            (r#"[{"role":"tool","content":"x"}]"#, "messages[0].tool_call_id"),
            (r#"[{"role":"system","content":[{"type":"image_url","image_url":"x"}]}]"#, "messages[0].content[0].type"),
            (r#"[{"role":"user","content":[{"type":"file","file":{}}]}]"#, "messages[0].content[0].file.file_data"),
        ] {
            assert_eq!(parse(messages).expect_err(messages).field, field, "{messages}");
        }
    }

    #[test]
    fn pictures_in_the_address_are_taken_out_of_it() {
        let parts =
            |url: &str| parse(&format!(r#"[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]"#)).unwrap().remove(0).parts;
        let source = |url: &str| if let Part::Image(image) = parts(url).remove(0) { image.source } else { panic!("no picture") };
        let inline = Source::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
        assert_eq!(source("data:image/png;base64,AAAA"), inline);
        assert_eq!(source("data:image/png;name=x;base64,AAAA"), inline);
        assert_eq!(source("https://x/y.png"), Source::Url("https://x/y.png".to_owned()));
    }

    #[test]
    fn an_instruction_in_the_middle_stays_there() {
        let messages = parse(r#"[{"role":"system","content":"a"},{"role":"user","content":"b"},{"role":"developer","content":"c"}]"#).unwrap();
        assert_eq!(messages.iter().map(|message| message.role).collect::<Vec<_>>(), [Role::User, Role::System { developer: true }]);
    }
}
