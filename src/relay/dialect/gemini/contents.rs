//! `contents`: the turns of a conversation, read.

use super::super::Dialect;
use super::super::canonical::{File, Image, Message, Part, Request, Role, Source, Text, Thought, ToolCall, ToolResult, Unfit};
use super::super::fields::Fields;
use super::seal::Seal;
use data_encoding::BASE64;
use serde_json::Value;
use std::collections::{HashMap, HashSet, VecDeque};

/// The calls of a conversation, and which of them wait for their results.
#[derive(Default)]
struct Calls {
    count: usize,
    names: HashMap<String, String>,
    waiting: HashMap<String, VecDeque<String>>,
    answered: HashSet<String>,
}

impl Calls {
    fn made(&mut self, id: &str, name: &str) {
        self.count += 1;
        self.names.insert(id.to_owned(), name.to_owned());
        self.waiting.entry(name.to_owned()).or_default().push_back(id.to_owned());
    }

    /// The id of the first call of that name without a result.
    fn first(&mut self, name: &str) -> Option<String> {
        let waiting = self.waiting.get_mut(name)?;
        std::iter::from_fn(|| waiting.pop_front()).find(|id| !self.answered.contains(id))
    }
}

/// Reads the turns into the request.
///
/// # Errors
/// Names the part that is malformed or cannot be said elsewhere.
pub(super) fn parse(turns: Vec<Fields>, request: &mut Request) -> Result<(), Unfit> {
    let mut calls = Calls::default();
    for mut turn in turns {
        let role = match turn.string("role")?.as_deref() {
            None | Some("user" | "function" | "tool" | "") => Role::User,
            Some("model" | "assistant") => Role::Assistant,
            Some(_) => return Err(turn.wrong("role", "'user' or 'model'")),
        };
        let mut parts = Vec::new();
        for part in turn.objects("parts")? {
            parse_part(part, &mut calls, &mut parts)?;
        }
        turn.finish()?;
        request.messages.push(Message { role, parts });
    }
    Ok(())
}

/// The texts of a system instruction.
///
/// # Errors
/// When it has something else.
pub(super) fn texts(mut content: Fields) -> Result<Vec<Text>, Unfit> {
    content.ignore(&["role"]);
    let parts = content.objects("parts")?.into_iter().map(|mut part| {
        let text = part.string("text")?;
        let text = part.must("text", text)?;
        part.finish()?;
        Ok(Text::from(text))
    });
    let parts = parts.collect::<Result<_, Unfit>>()?;
    content.finish()?;
    Ok(parts)
}

fn parse_part(mut fields: Fields, calls: &mut Calls, out: &mut Vec<Part>) -> Result<(), Unfit> {
    fields.ignore(&["mediaResolution", "partMetadata"]);
    let is_thought = fields.flag("thought")?.unwrap_or(false);
    let seal = fields.string("thoughtSignature")?.map(Seal::read);
    if let Some(call) = fields.object("functionCall")? {
        let mut call = parse_call(call, calls.count)?;
        if let Some(Seal::Signature(signature)) = seal {
            call.signature = Some(signature);
        }
        calls.made(&call.id, &call.name);
        out.push(Part::ToolCall(call));
    } else if let Some(result) = fields.object("functionResponse")? {
        out.push(Part::ToolResult(parse_result(result, calls)?));
    } else if let Some(blob) = fields.object("inlineData")? {
        out.push(parse_blob(blob)?);
        out.extend(seal.map(|seal| Part::Thought(thought(String::new(), Some(seal)))));
    } else if let Some(file) = fields.object("fileData")? {
        out.push(parse_file(file)?);
    } else {
        let text = fields.string("text")?;
        let text = fields.must("text", text.or(seal.is_some().then(String::new)))?;
        if is_thought {
            out.push(Part::Thought(thought(text, seal)));
        } else {
            if !text.is_empty() || seal.is_none() {
                out.push(Part::Text(text.into()));
            }
            // The seal on words that were said: a thought without words after them.
            out.extend(seal.map(|seal| Part::Thought(thought(String::new(), Some(seal)))));
        }
    }
    fields.finish()
}

/// A thought; Gemini shows summaries.
pub(super) fn thought(text: String, seal: Option<Seal>) -> Thought {
    let (signature, redacted) = match seal {
        Some(Seal::Signature(signature)) => (Some(signature), None),
        Some(Seal::Redacted(data)) => (None, Some(data)),
        None => (None, None),
    };
    Thought { id: None, text, summary: true, signature, redacted }
}

fn parse_call(mut fields: Fields, at: usize) -> Result<ToolCall, Unfit> {
    let name = fields.string("name")?;
    let name = fields.must("name", name)?;
    let id = fields.string("id")?.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{at}"));
    let arguments = match fields.take("args") {
        None => "{}".to_owned(),
        Some(args @ Value::Object(_)) => args.to_string(),
        Some(_) => return Err(fields.wrong("args", "an object")),
    };
    fields.finish()?;
    Ok(ToolCall { id, name, arguments, custom: false, signature: None, cache: None })
}

fn parse_result(mut fields: Fields, calls: &mut Calls) -> Result<ToolResult, Unfit> {
    fields.ignore(&["scheduling"]);
    if fields.flag("willContinue")? == Some(true) {
        return Err(fields.inexpressible("willContinue"));
    }
    let name = fields.string("name")?;
    let id = fields.string("id")?.filter(|id| !id.is_empty());
    if id.is_none() && name.is_none() {
        return Err(Unfit::new(fields.path("name"), format!("'{}' is missing.", fields.path("name"))));
    }
    let Some(call_id) = id.or_else(|| calls.first(name.as_deref()?)) else {
        let path = fields.path("name");
        return Err(Unfit::new(path.clone(), format!("'{path}' must be the name of a function that the model called before and that has no response yet.")));
    };
    let known = calls.names.get(&call_id).cloned();
    calls.answered.insert(call_id.clone());
    let (mut parts, is_error) = match fields.take("response") {
        None => (Vec::new(), false),
        Some(Value::Object(response)) => said(Value::Object(response)),
        Some(_) => return Err(fields.wrong("response", "an object")),
    };
    for mut part in fields.objects("parts")? {
        let blob = part.object("inlineData")?;
        parts.push(parse_blob(part.must("inlineData", blob)?)?);
        part.finish()?;
    }
    fields.finish()?;
    Ok(ToolResult { call_id, name: known.or(name), parts, is_error, custom: false, cache: None })
}

/// What a tool answered: the words of a lone `output`, `result` or `error`; else the object as JSON.
fn said(response: Value) -> (Vec<Part>, bool) {
    let lone = response.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.iter().next());
    let (text, is_error) = match lone {
        Some((name, Value::String(text))) if ["output", "result", "error"].contains(&name.as_str()) => (text.clone(), name == "error"),
        _ => (response.to_string(), false),
    };
    let parts = if text.is_empty() { Vec::new() } else { vec![Part::Text(text.into())] };
    (parts, is_error)
}

fn parse_blob(mut fields: Fields) -> Result<Part, Unfit> {
    let (media_type, data) = (fields.string("mimeType")?, fields.string("data")?);
    let (media_type, data) = (fields.must("mimeType", media_type)?.to_ascii_lowercase(), fields.must("data", data)?);
    let name = fields.string("displayName")?;
    fields.finish()?;
    if let Some(format) = media_type.strip_prefix("audio/") {
        let format = match format {
            "mpeg" => "mp3",
            "x-wav" | "wave" => "wav",
            other => other,
        };
        return Ok(Part::Audio { data, format: format.to_owned() });
    }
    let plain = (media_type == "text/plain").then(|| String::from_utf8(BASE64.decode(data.as_bytes()).ok()?).ok()).flatten();
    let source = plain.map_or_else(|| Source::Base64 { media_type: media_type.clone(), data }, Source::Text);
    Ok(media(source, &media_type, name))
}

fn media(source: Source, media_type: &str, name: Option<String>) -> Part {
    if media_type.starts_with("image/") { Part::Image(Image { source, detail: None, cache: None }) } else { Part::File(File { source, name, cache: None }) }
}

fn parse_file(mut fields: Fields) -> Result<Part, Unfit> {
    let (uri, media_type) = (fields.string("fileUri")?, fields.string("mimeType")?);
    let uri = fields.must("fileUri", uri)?;
    let name = fields.string("displayName")?;
    fields.finish()?;
    // A file of Google's has no meaning elsewhere.
    let theirs = uri.starts_with("gs://") || uri.contains("generativelanguage.googleapis.com/") || !uri.contains("://");
    let media_type = media_type.unwrap_or_else(|| super::contents_render::guessed_type(&uri, "application/pdf").to_owned());
    let source = if theirs { Source::FileId { of: Dialect::Gemini, id: uri } } else { Source::Url(uri) };
    Ok(media(source, &media_type, name))
}
