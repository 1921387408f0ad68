//! A request's body, read.

use super::super::canonical::{Choice, Format, Instruction, Request, Tool, ToolKind, Unfit};
use super::super::fields::Fields;
use super::{camel, contents, schema, thinking};
use serde_json::Value;

/// Hints and notes. `model` is in the address already.
const IGNORED: [&str; 3] = ["model", "labels", "usage"];
const IGNORED_CONFIG: [&str; 1] = ["mediaResolution"];
/// Thresholds that ask for no filter, or for the usual one.
const UNFILTERED: [&str; 3] = ["OFF", "BLOCK_NONE", "HARM_BLOCK_THRESHOLD_UNSPECIFIED"];

/// More tools than any model can choose among.
const MOST_TOOLS: usize = 4_096;

/// Reads a request. `model` and `stream` are what its address says.
///
/// # Errors
/// Names what is malformed, or what no other dialect can say.
pub fn parse_request(body: &[u8], model: &str, stream: bool) -> Result<Request, Unfit> {
    let value: Value = serde_json::from_slice(body).map_err(|error| Unfit::new("", format!("The body is not valid JSON: {error}.")))?;
    let mut fields = Fields::of(String::new(), camel::names(value))?;
    fields.ignore(&IGNORED);
    if fields.take("cachedContent").is_some() {
        return Err(fields.inexpressible("cachedContent"));
    }
    for mut setting in fields.objects("safetySettings")? {
        if setting.string("threshold")?.is_some_and(|threshold| !UNFILTERED.contains(&threshold.as_str())) {
            return Err(setting.inexpressible("threshold"));
        }
    }
    if fields.flag("store")? == Some(true) {
        return Err(fields.inexpressible("store"));
    }
    let mut request = Request { model: model.to_owned(), stream, service_tier: fields.string("serviceTier")?, ..Request::default() };
    if let Some(system) = fields.object("systemInstruction")? {
        for part in contents::texts(system)? {
            request.instructions.push(Instruction { developer: false, text: part });
        }
    }
    for tool in fields.objects("tools")? {
        parse_tools(tool, &mut request)?;
    }
    if let Some(config) = fields.object("toolConfig")? {
        request.tool_choice = parse_tool_config(config)?;
    }
    if let Some(config) = fields.object("generationConfig")? {
        parse_config(config, &mut request)?;
    }
    let turns = match fields.take("contents") {
        // One turn may stand alone.
        Some(turn @ Value::Object(_)) => vec![Fields::of(fields.path("contents"), turn)?],
        Some(Value::Array(turns)) => {
            let path = fields.path("contents");
            turns.into_iter().enumerate().map(|(at, turn)| Fields::of(format!("{path}[{at}]"), turn)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(fields.wrong("contents", "an array")),
        None => return Err(Unfit::new("contents", "'contents' is missing.")),
    };
    contents::parse(turns, &mut request)?;
    fields.finish()?;
    Ok(request)
}

fn parse_tools(mut fields: Fields, request: &mut Request) -> Result<(), Unfit> {
    for mut declaration in fields.objects("functionDeclarations")? {
        // What a function returns, and how a live session waits for it.
        declaration.ignore(&["response", "responseJsonSchema", "behavior"]);
        let name = declaration.string("name")?;
        let name = declaration.must("name", name)?;
        let description = declaration.string("description")?;
        let plain = declaration.take("parametersJsonSchema");
        let parameters = plain.or(declaration.take("parameters").map(schema::to_json_schema));
        if parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
            return Err(declaration.wrong("parameters", "an object"));
        }
        declaration.finish()?;
        if request.tools.len() >= MOST_TOOLS {
            return Err(Unfit::new("tools", format!("'tools' must have at most {MOST_TOOLS} functions.")));
        }
        request.tools.push(Tool { name, description, kind: ToolKind::Function { parameters, strict: None }, cache: None });
    }
    fields.finish()
}

fn parse_tool_config(mut fields: Fields) -> Result<Option<Choice>, Unfit> {
    fields.ignore(&["includeServerSideToolInvocations"]);
    let Some(mut config) = fields.object("functionCallingConfig")? else {
        fields.finish()?;
        return Ok(None);
    };
    config.ignore(&["streamFunctionCallArguments"]);
    let mode = config.string("mode")?.map(|mode| mode.to_ascii_uppercase());
    let names = config.array("allowedFunctionNames")?.unwrap_or_default();
    let names = names.into_iter().map(|name| if let Value::String(name) = name { Ok(name) } else { Err(config.wrong("allowedFunctionNames", "names")) });
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    let choice = match (mode.as_deref(), names.len()) {
        (None | Some("MODE_UNSPECIFIED"), 0) => None,
        (Some("AUTO" | "VALIDATED"), 0) => Some(Choice::Auto),
        (None | Some("MODE_UNSPECIFIED" | "AUTO" | "VALIDATED"), _) => Some(Choice::Among { names, required: false }),
        (Some("ANY"), 0) => Some(Choice::Required),
        (Some("ANY"), 1) => names.pop().map(Choice::Named),
        (Some("ANY"), _) => Some(Choice::Among { names, required: true }),
        (Some("NONE"), _) => Some(Choice::None),
        _ => return Err(config.wrong("mode", "'AUTO', 'ANY', 'NONE' or 'VALIDATED'")),
    };
    config.finish()?;
    fields.finish()?;
    Ok(choice)
}

fn parse_config(mut fields: Fields, request: &mut Request) -> Result<(), Unfit> {
    fields.ignore(&IGNORED_CONFIG);
    let sampling = &mut request.sampling;
    sampling.temperature = fields.number("temperature")?;
    sampling.top_p = fields.number("topP")?;
    sampling.top_k = fields.number("topK")?;
    sampling.presence_penalty = fields.number("presencePenalty")?;
    sampling.frequency_penalty = fields.number("frequencyPenalty")?;
    sampling.seed = fields.number("seed")?;
    request.output_cap = fields.whole("maxOutputTokens")?;
    for (at, text) in fields.array("stopSequences")?.unwrap_or_default().into_iter().enumerate() {
        let Value::String(text) = text else { return Err(fields.wrong(&format!("stopSequences[{at}]"), "a string")) };
        request.stop.push(text);
    }
    if fields.whole("candidateCount")?.is_some_and(|count| count != 1) {
        return Err(fields.inexpressible("candidateCount"));
    }
    for name in ["responseLogprobs", "audioTimestamp", "enableEnhancedCivicAnswers"] {
        if fields.flag(name)? == Some(true) {
            return Err(fields.inexpressible(name));
        }
    }
    if fields.whole("logprobs")?.is_some_and(|count| count > 0) {
        return Err(fields.inexpressible("logprobs"));
    }
    let modalities = fields.array("responseModalities")?.unwrap_or_default();
    if modalities.iter().any(|modality| modality.as_str().is_none_or(|word| !word.eq_ignore_ascii_case("text"))) {
        return Err(fields.inexpressible("responseModalities"));
    }
    if let Some(thoughts) = fields.object("thinkingConfig")? {
        request.reasoning = Some(thinking::parse(thoughts)?).filter(|reasoning| *reasoning != Default::default());
    }
    request.format = parse_format(&mut fields)?;
    fields.finish()
}

fn parse_format(fields: &mut Fields) -> Result<Option<Format>, Unfit> {
    let plain = fields.take("responseJsonSchema");
    let schema = plain.or(fields.take("responseSchema").map(schema::to_json_schema));
    if schema.as_ref().is_some_and(|schema| !schema.is_object()) {
        return Err(fields.wrong("responseSchema", "an object"));
    }
    match (fields.string("responseMimeType")?.as_deref(), schema) {
        (Some("application/json"), Some(schema)) => Ok(Some(Format::JsonSchema { name: None, description: None, schema, strict: None })),
        (Some("application/json"), None) => Ok(Some(Format::JsonObject)),
        (None | Some("text/plain" | ""), None) => Ok(None),
        (None | Some("text/plain" | ""), Some(_)) => Err(fields.wrong("responseMimeType", "'application/json' beside a schema")),
        (Some(_), _) => Err(fields.inexpressible("responseMimeType")),
    }
}
