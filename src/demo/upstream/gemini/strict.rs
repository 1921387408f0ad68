//! What Gemini refuses: fields that it does not know, results that do not answer their calls one for one, calls of this turn that lost their
//! signature, and words of JSON Schema that its own schemas do not have.

use super::super::prompt::Refused;
use super::super::words::SEAL;
use super::{call, either, parts, response};
use serde_json::Value;
use std::collections::HashSet;

const FIELDS: &str = "model contents tools toolConfig tool_config safetySettings safety_settings systemInstruction system_instruction \
    generationConfig generation_config cachedContent cached_content labels serviceTier service_tier store";
const CONFIG_FIELDS: &str = "stopSequences responseMimeType responseSchema responseJsonSchema responseModalities candidateCount \
    maxOutputTokens temperature topP topK seed presencePenalty frequencyPenalty responseLogprobs logprobs speechConfig thinkingConfig \
    imageConfig mediaResolution enableEnhancedCivicAnswers audioTranscriptionConfig stop_sequences response_mime_type response_schema \
    response_json_schema response_modalities candidate_count max_output_tokens top_p top_k presence_penalty frequency_penalty \
    response_logprobs speech_config thinking_config image_config media_resolution";
/// What JSON Schema knows and the schema of `parameters` and `responseSchema` does not.
const FOREIGN: [&str; 8] = ["$schema", "$ref", "$defs", "additionalProperties", "const", "oneOf", "allOf", "exclusiveMinimum"];

/// What is wrong, if anything.
pub fn objection(body: &Value) -> Option<Refused> {
    let config = either(body, "generationConfig", "generation_config");
    let contents = body["contents"].as_array().map(Vec::as_slice).unwrap_or_default();
    unknown(body, FIELDS, "")
        .or_else(|| unknown(config, CONFIG_FIELDS, " at 'generation_config'"))
        .or_else(|| foreign(either(config, "responseSchema", "response_schema"), "generation_config.response_schema"))
        .or_else(|| declarations(body).find_map(|declared| foreign(&declared["parameters"], "tools[0].function_declarations[0].parameters")))
        .or_else(|| unpaired(contents))
        .or_else(|| unsigned(contents))
}

fn declarations(body: &Value) -> impl Iterator<Item = &Value> {
    let tools = body["tools"].as_array().into_iter().flatten();
    tools.flat_map(|tool| either(tool, "functionDeclarations", "function_declarations").as_array().into_iter().flatten())
}

fn unknown(value: &Value, known: &str, place: &str) -> Option<Refused> {
    let known: HashSet<&str> = known.split_whitespace().collect();
    let field = value.as_object()?.keys().find(|key| !known.contains(key.as_str()))?;
    Some(Refused::new("body", format!("Invalid JSON payload received. Unknown name \"{field}\"{place}: Cannot find field.")))
}

/// Looks through a schema, but not among the names of properties.
fn foreign(schema: &Value, place: &str) -> Option<Refused> {
    let schema = schema.as_object()?;
    if let Some(word) = FOREIGN.iter().find(|word| schema.contains_key(**word)) {
        return Some(Refused::new("body", format!("Invalid JSON payload received. Unknown name \"{word}\" at '{place}': Cannot find field.")));
    }
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|properties| properties.values());
    let several = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    properties.chain(several).chain(schema.get("items")).find_map(|inner| foreign(inner, place))
}

/// A turn of calls has to be followed by as many results.
fn unpaired(contents: &[Value]) -> Option<Refused> {
    let count = |content: Option<&Value>, of: fn(&Value) -> &Value| content.map_or(0, |content| parts(content).filter(|part| !of(part).is_null()).count());
    let wrong = (0..=contents.len()).any(|at| {
        let before = at.checked_sub(1).and_then(|before| contents.get(before));
        count(before, call) != count(contents.get(at), response)
    });
    let text = "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.";
    wrong.then(|| Refused::new("contents", text))
}

/// The first call of each step of the present turn has to bring back its signature, when any of the turn's parts has one.
fn unsigned(contents: &[Value]) -> Option<Refused> {
    let turn = contents.iter().rposition(|content| content["role"] == "user" && parts(content).any(|part| part["text"].is_string())).unwrap_or(0);
    let signature = |part: &Value| either(part, "thoughtSignature", "thought_signature").as_str().map(|text| text.starts_with(SEAL));
    let steps = || contents[turn..].iter().filter_map(|content| parts(content).find(|part| !call(part).is_null()));
    if steps().any(|part| signature(part) == Some(false)) {
        return Some(Refused::new("contents", "Thought signature is not valid."));
    }
    let name = steps().find(|part| signature(part).is_none())?;
    let name = call(name)["name"].as_str().unwrap_or_default();
    let wanted = contents[turn..].iter().flat_map(parts).any(|part| part["thought"] == true || signature(part).is_some());
    wanted.then(|| Refused::new("contents", format!("Function call is missing a thought_signature in functionCall parts: {name}.")))
}
