//! `input`: a text, or the items of a conversation, read.

use super::super::canonical::{File, Image, Instruction, Message, Part, Request, Role, Signature, Source, Text, Thought, ToolCall, ToolResult, Unfit};
use super::super::fields::Fields;
use super::super::{Dialect, data_url};
use super::seal::Seal;
use super::{local_shell, tools};
use serde_json::Value;
use std::collections::HashMap;

/// Reads `input` into the request. System and developer messages before the conversation are its instructions.
///
/// # Errors
/// Names the item that is malformed or cannot be said elsewhere.
pub(super) fn parse(value: Value, path: &str, request: &mut Request) -> Result<(), Unfit> {
    let items = match value {
        Value::String(text) => {
            request.messages.push(Message { role: Role::User, parts: vec![Part::Text(text.into())] });
            return Ok(());
        }
        Value::Array(items) => items,
        _ => return Err(Unfit::new(path, format!("'{path}' must be a string or an array of items."))),
    };
    let mut reader = Reader { request, names: HashMap::new(), call_seal: None };
    for (at, item) in items.into_iter().enumerate() {
        reader.item(Fields::of(format!("{path}[{at}]"), item)?)?;
    }
    Ok(())
}

struct Reader<'r> {
    request: &'r mut Request,
    /// The tool of each call so far.
    names: HashMap<String, String>,
    /// The seal that the next tool call wears.
    call_seal: Option<Signature>,
}

impl Reader<'_> {
    fn item(&mut self, mut fields: Fields) -> Result<(), Unfit> {
        let kind = fields.string("type")?.unwrap_or_else(|| "message".to_owned());
        fields.ignore(&["status", "phase", "caller", "internal_chat_message_metadata_passthrough"]);
        match kind.as_str() {
            "message" => return self.message(fields),
            "reasoning" => self.reasoning(&mut fields)?,
            "function_call" => self.call(&mut fields, "arguments", false)?,
            "custom_tool_call" => self.call(&mut fields, "input", true)?,
            "local_shell_call" => self.shell_call(&mut fields)?,
            "function_call_output" => self.result(&mut fields, false)?,
            "custom_tool_call_output" => self.result(&mut fields, true)?,
            "local_shell_call_output" => self.result(&mut fields, false)?,
            // The provider's note that it searched. What it found is in the message after it.
            "web_search_call" => return Ok(()),
            _ => return Err(fields.inexpressible("type")),
        }
        fields.finish()
    }

    fn push(&mut self, role: Role, part: Part) {
        match self.request.messages.last_mut() {
            Some(last) if last.role == role && (role == Role::Assistant || matches!(last.parts.last(), Some(Part::ToolResult(_)))) => last.parts.push(part),
            _ => self.request.messages.push(Message { role, parts: vec![part] }),
        }
    }

    fn message(&mut self, mut fields: Fields) -> Result<(), Unfit> {
        fields.ignore(&["id"]);
        let role = match fields.string("role")?.as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System { developer: false },
            Some("developer") => Role::System { developer: true },
            _ => return Err(fields.wrong("role", "'user', 'assistant', 'system' or 'developer'")),
        };
        let content = fields.take("content");
        let content = fields.must("content", content)?;
        let parts = contents(content, &fields.path("content"))?;
        fields.finish()?;
        match role {
            Role::Assistant => parts.into_iter().for_each(|part| self.push(role, part)),
            Role::System { developer } if self.request.messages.is_empty() && parts.iter().all(|part| matches!(part, Part::Text(_))) => {
                let texts = parts.into_iter().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
                self.request.instructions.extend(texts.map(|text| Instruction { developer, text }));
            }
            _ => self.request.messages.push(Message { role, parts }),
        }
        Ok(())
    }

    fn reasoning(&mut self, fields: &mut Fields) -> Result<(), Unfit> {
        let id = fields.string("id")?;
        let seal = fields.string("encrypted_content")?.map(|written| Seal::read(&written));
        let summary = texts(fields, "summary")?;
        let words = texts(fields, "content")?;
        for thought in thoughts(id, summary, words, seal, &mut self.call_seal) {
            self.push(Role::Assistant, Part::Thought(thought));
        }
        Ok(())
    }

    fn call(&mut self, fields: &mut Fields, arguments: &str, custom: bool) -> Result<(), Unfit> {
        fields.ignore(&["id"]);
        let id = fields.string("call_id")?;
        let name = fields.string("name")?;
        let written = fields.string(arguments)?;
        let (id, own, written) = (fields.must("call_id", id)?, fields.must("name", name)?, fields.must(arguments, written)?);
        let name = fields.string("namespace")?.map_or(own.clone(), |namespace| tools::joined(&namespace, &own));
        self.called(id, name, written, custom);
        Ok(())
    }

    fn shell_call(&mut self, fields: &mut Fields) -> Result<(), Unfit> {
        let own = fields.string("id")?;
        let id = fields.string("call_id")?.or(own);
        let id = fields.must("call_id", id)?;
        let Some(Value::Object(action)) = fields.take("action") else { return Err(fields.wrong("action", "an object")) };
        self.called(id, local_shell::tool().name, local_shell::arguments(action), false);
        Ok(())
    }

    fn called(&mut self, id: String, name: String, arguments: String, custom: bool) {
        self.names.insert(id.clone(), name.clone());
        let signature = self.call_seal.take();
        self.push(Role::Assistant, Part::ToolCall(ToolCall { id, name, arguments, custom, signature, cache: None }));
    }

    fn result(&mut self, fields: &mut Fields, custom: bool) -> Result<(), Unfit> {
        let own = fields.string("id")?;
        let call_id = fields.string("call_id")?.or(own);
        let call_id = fields.must("call_id", call_id)?;
        fields.ignore(&["namespace"]);
        let said = fields.string("name")?;
        let output = fields.take("output");
        let output = fields.must("output", output)?;
        let mut parts = contents(output, &fields.path("output"))?;
        if matches!(parts.as_slice(), [Part::Text(text)] if text.text.is_empty()) {
            parts.clear();
        }
        let name = self.names.get(&call_id).cloned().or(said);
        self.push(Role::User, Part::ToolResult(ToolResult { call_id, name, parts, is_error: false, custom, cache: None }));
        Ok(())
    }
}

/// The thoughts in one item: usually one, none when it has neither words nor a seal. The seal stands on the last. A seal for the next tool call is put aside.
pub(super) fn thoughts(id: Option<String>, summary: Option<String>, words: Option<String>, seal: Option<Seal>, aside: &mut Option<Signature>) -> Vec<Thought> {
    let thought = |text: Option<String>, summary| Thought { id: id.clone(), text: text.unwrap_or_default(), summary, ..Thought::default() };
    let (signature, redacted) = match seal {
        Some(Seal::Call(signature)) if summary.is_none() && words.is_none() => {
            *aside = Some(signature);
            return Vec::new();
        }
        Some(Seal::Thought(signature) | Seal::Call(signature)) => (Some(signature), None),
        Some(Seal::Redacted(data)) => (None, Some(data)),
        None => (None, None),
    };
    let mut out: Vec<Thought> = match (summary, words) {
        (summary, Some(words)) => summary.map(|text| thought(Some(text), true)).into_iter().chain([thought(Some(words), false)]).collect(),
        (None, None) if signature.is_none() && redacted.is_none() => Vec::new(),
        (summary, None) => vec![thought(summary, true)],
    };
    if let Some(last) = out.last_mut() {
        (last.signature, last.redacted) = (signature, redacted);
    }
    out
}

/// The words of a list of texts, as paragraphs; none when there are none.
fn texts(fields: &mut Fields, name: &str) -> Result<Option<String>, Unfit> {
    let items = fields.objects(name)?.into_iter().map(|mut item| {
        let text = item.string("text")?;
        item.must("text", text)
    });
    let texts = items.collect::<Result<Vec<_>, Unfit>>()?;
    Ok((!texts.is_empty()).then(|| texts.join("\n\n")))
}

/// A text, or a list of parts.
fn contents(value: Value, path: &str) -> Result<Vec<Part>, Unfit> {
    match value {
        Value::String(text) => Ok(vec![Part::Text(text.into())]),
        Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| content(Fields::of(format!("{path}[{at}]"), item)?)).collect(),
        _ => Err(Unfit::new(path, format!("'{path}' must be a string or an array of parts."))),
    }
}

fn content(mut fields: Fields) -> Result<Part, Unfit> {
    fields.ignore(&["prompt_cache_breakpoint", "annotations", "logprobs"]);
    let kind = fields.string("type")?;
    let part = match kind.as_deref() {
        Some("input_text" | "output_text" | "text") => {
            let text = fields.string("text")?;
            Part::Text(Text { text: fields.must("text", text)?, cache: None })
        }
        Some("refusal") => {
            let text = fields.string("refusal")?;
            Part::Refusal(fields.must("refusal", text)?)
        }
        Some("input_image") => {
            let at = fields.string("file_id")?.map(file_id);
            let url = fields.string("image_url")?.map(data_url::read);
            Part::Image(Image { source: fields.must("image_url", url.or(at))?, detail: fields.string("detail")?, cache: None })
        }
        Some("input_file") => file(&mut fields)?,
        Some("input_audio") => {
            let inner = fields.object("input_audio")?;
            let mut inner = fields.must("input_audio", inner)?;
            let (data, format) = (inner.string("data")?, inner.string("format")?);
            let part = Part::Audio { data: inner.must("data", data)?, format: inner.must("format", format)? };
            inner.finish()?;
            part
        }
        _ => return Err(fields.inexpressible("type")),
    };
    fields.finish()?;
    Ok(part)
}

fn file_id(id: String) -> Source {
    Source::FileId { of: Dialect::Responses, id }
}

fn file(fields: &mut Fields) -> Result<Part, Unfit> {
    fields.ignore(&["detail"]);
    let name = fields.string("filename")?;
    let id = fields.string("file_id")?.map(file_id);
    let url = fields.string("file_url")?.map(data_url::read);
    let data = fields.string("file_data")?.map(|data| match data_url::read(data) {
        // Bare base64 is taken, too.
        Source::Url(data) => Source::Base64 { media_type: "application/pdf".to_owned(), data },
        here => here,
    });
    Ok(Part::File(File { source: fields.must("file_data", data.or(url).or(id))?, name, cache: None }))
}
