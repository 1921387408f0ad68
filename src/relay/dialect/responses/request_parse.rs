//! A request's body, read.

use super::super::canonical::{Effort, Format, Instruction, Reasoning, Request, Unfit};
use super::super::fields::Fields;
use super::{input, tools};
use serde_json::{Map, Value};

/// Hints, notes and what only concerns how an answer is delivered.
/// The most notes that OpenAI takes, and the longest.
const MAX_NOTES: usize = 16;
const MAX_NOTE: usize = 512;
const IGNORED: [&str; 7] = ["client_metadata", "max_tool_calls", "stream_options", "prompt_cache_retention", "prompt_cache_options", "user_metadata", "usage"];

/// Reads a request.
///
/// # Errors
/// Names what is malformed, or what no other dialect can say.
pub fn parse_request(body: &[u8]) -> Result<Request, Unfit> {
    let mut fields = Fields::body(body)?;
    fields.ignore(&IGNORED);
    refuse_stored(&mut fields)?;
    let model = fields.string("model")?;
    let mut request = Request { model: fields.must("model", model)?, ..Request::default() };
    if let Some(text) = fields.string("instructions")? {
        request.instructions.push(Instruction { developer: false, text: text.into() });
    }
    tools::parse(fields.objects("tools")?, &mut request)?;
    if let Some(choice) = fields.take("tool_choice") {
        request.tool_choice = Some(tools::parse_choice(choice, &fields.path("tool_choice"))?);
    }
    request.parallel_tool_calls = fields.flag("parallel_tool_calls")?;
    request.output_cap = fields.whole("max_output_tokens")?;
    request.stream = fields.flag("stream")?.unwrap_or(false);
    parse_hints(&mut fields, &mut request)?;
    request.metadata = notes(&mut fields)?;
    if let Some(text) = fields.object("text")? {
        parse_text(text, &mut request)?;
    }
    parse_reasoning(&mut fields, &mut request)?;
    let items = fields.take("input");
    let items = fields.must("input", items)?;
    input::parse(items, &fields.path("input"), &mut request)?;
    fields.finish()?;
    Ok(request)
}

/// The caller's notes.
fn notes(fields: &mut Fields) -> Result<Map<String, Value>, Unfit> {
    let is_note = |value: &Value| value.as_str().is_some_and(|text| text.chars().count() <= MAX_NOTE);
    match fields.take("metadata") {
        None => Ok(Map::new()),
        Some(Value::Object(notes)) if notes.len() <= MAX_NOTES && notes.values().all(is_note) => Ok(notes),
        Some(_) => Err(fields.wrong("metadata", "an object of at most 16 strings, none longer than 512 characters")),
    }
}

/// What the provider would have to keep, or to do later.
fn refuse_stored(fields: &mut Fields) -> Result<(), Unfit> {
    for name in ["previous_response_id", "conversation", "prompt"] {
        if fields.take(name).is_some() {
            return Err(fields.inexpressible(name));
        }
    }
    for name in ["store", "background"] {
        if fields.flag(name)? == Some(true) {
            return Err(fields.inexpressible(name));
        }
    }
    if fields.array("context_management")?.is_some_and(|edits| !edits.is_empty()) {
        return Err(fields.inexpressible("context_management"));
    }
    if fields.string("truncation")?.is_some_and(|word| word != "disabled") {
        return Err(fields.inexpressible("truncation"));
    }
    if fields.whole("top_logprobs")?.is_some_and(|count| count > 0) {
        return Err(fields.inexpressible("top_logprobs"));
    }
    Ok(())
}

fn parse_hints(fields: &mut Fields, request: &mut Request) -> Result<(), Unfit> {
    let sampling = &mut request.sampling;
    sampling.temperature = fields.number("temperature")?;
    sampling.top_p = fields.number("top_p")?;
    // Not OpenAI's; open servers take them.
    sampling.top_k = fields.number("top_k")?;
    sampling.frequency_penalty = fields.number("frequency_penalty")?;
    sampling.presence_penalty = fields.number("presence_penalty")?;
    sampling.seed = fields.number("seed")?;
    let user = fields.string("user")?;
    request.user = fields.string("safety_identifier")?.or(user);
    request.cache_key = fields.string("prompt_cache_key")?;
    request.service_tier = fields.string("service_tier")?;
    Ok(())
}

fn parse_text(mut fields: Fields, request: &mut Request) -> Result<(), Unfit> {
    request.verbosity = fields.string("verbosity")?;
    if let Some(mut format) = fields.object("format")? {
        request.format = match format.string("type")?.as_deref() {
            Some("text") => None,
            Some("json_object") => Some(Format::JsonObject),
            Some("json_schema") => {
                let schema = format.take("schema");
                let schema = format.must("schema", schema)?;
                if !schema.is_object() {
                    return Err(format.wrong("schema", "an object"));
                }
                let (name, description, strict) = (format.string("name")?, format.string("description")?, format.flag("strict")?);
                Some(Format::JsonSchema { name, description, schema, strict })
            }
            _ => return Err(format.wrong("type", "'text', 'json_object' or 'json_schema'")),
        };
        format.finish()?;
    }
    fields.finish()
}

fn parse_reasoning(fields: &mut Fields, request: &mut Request) -> Result<(), Unfit> {
    let mut reasoning = Reasoning::default();
    if let Some(mut object) = fields.object("reasoning")? {
        reasoning.effort = match object.string("effort")? {
            Some(word) => Some(Effort::from_word(&word).ok_or_else(|| object.wrong("effort", "'none', 'minimal', 'low', 'medium', 'high', 'xhigh' or 'max'"))?),
            None => None,
        };
        let older = object.string("generate_summary")?;
        reasoning.summary = object.string("summary")?.or(older).filter(|word| word != "none");
        object.ignore(&["context"]);
        if object.string("mode")?.is_some_and(|mode| mode != "standard") {
            return Err(object.inexpressible("mode"));
        }
        object.finish()?;
    }
    let include = fields.path("include");
    for (at, item) in fields.array("include")?.unwrap_or_default().into_iter().enumerate() {
        match item.as_str() {
            Some("reasoning.encrypted_content") => reasoning.sealed = true,
            Some("message.output_text.logprobs") => return Err(Unfit::inexpressible(format!("{include}[{at}]"))),
            // Details of hosted tools, of which there are none, and of what the caller sent.
            Some(_) => {}
            None => return Err(Unfit::new(format!("{include}[{at}]"), format!("'{include}[{at}]' must be a string."))),
        }
    }
    request.reasoning = (reasoning != Reasoning::default()).then_some(reasoning);
    Ok(())
}
