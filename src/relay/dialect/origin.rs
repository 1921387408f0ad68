//! Where the caller wrote what a target has no words for. Renderers know the canonical form alone, so they name a place in it; this finds the same place in the
//! caller's body. Only for requests that are refused, so that nothing has to be remembered of those that are not.

use super::Dialect;
use super::canonical::{Part, Request, Unfit};
use serde_json::Value;

/// The field that a renderer named, in the words of the caller who wrote `body` in the dialect `from`.
pub fn trace(from: Dialect, body: &[u8], request: &Request, unfit: Unfit) -> Unfit {
    let field = match unfit.field.strip_prefix("messages[") {
        Some(_) => part(from, body, request, &unfit.field).unwrap_or_else(|| container(from).to_owned()),
        None => renamed(from, &unfit.field),
    };
    let message = unfit.message.replace(&format!("'{}'", unfit.field), &format!("'{field}'"));
    Unfit { field, message }
}

/// Where a dialect has the conversation.
const fn container(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat | Dialect::Messages => "messages",
        Dialect::Responses => "input",
        Dialect::Gemini => "contents",
    }
}

/// What the fields beside the conversation are called. Renderers know them by their names in Chat.
fn renamed(from: Dialect, field: &str) -> String {
    let names: &[(&str, &str)] = match from {
        Dialect::Chat => &[],
        Dialect::Responses => &[("messages", "input"), ("max_tokens", "max_output_tokens"), ("response_format.json_schema", "text.format")],
        Dialect::Messages => &[("stop", "stop_sequences"), ("response_format.json_schema", "output_config.format")],
        Dialect::Gemini => &[
            ("messages", "contents"),
            ("stop", "generationConfig.stopSequences"),
            ("max_tokens", "generationConfig.maxOutputTokens"),
            ("response_format.json_schema.schema", "generationConfig.responseSchema"),
        ],
    };
    let found = names.iter().find_map(|(name, own)| Some((own, field.strip_prefix(name)?)));
    found.filter(|(_, rest)| rest.is_empty() || rest.starts_with(['.', '['])).map_or_else(|| field.to_owned(), |(own, rest)| format!("{own}{rest}"))
}

/// The place of a picture, a document or a sound: turns are merged and moved on the way into the canonical form, but these stay in order.
fn part(from: Dialect, body: &[u8], request: &Request, path: &str) -> Option<String> {
    let wanted: Vec<usize> = path.split(['[', ']']).filter_map(|piece| piece.parse().ok()).collect();
    let known = places_in(request);
    let number = known.iter().position(|place| *place == wanted)?;
    let mut written = Vec::new();
    let body: Value = serde_json::from_slice(body).ok()?;
    collect(from, body.get(container(from))?, container(from).to_owned(), &mut written);
    // When the caller has some that became something else, nobody can tell which is which.
    if written.len() == known.len() { written.into_iter().nth(number) } else { None }
}

/// The indices of each picture, document and sound of a request, in order.
fn places_in(request: &Request) -> Vec<Vec<usize>> {
    let is_media = |part: &Part| matches!(part, Part::Image(_) | Part::File(_) | Part::Audio { .. });
    let mut out = Vec::new();
    for (turn, message) in request.messages.iter().enumerate() {
        for (at, part) in message.parts.iter().enumerate() {
            match part {
                Part::ToolResult(result) => {
                    let inside = result.parts.iter().enumerate().filter(|(_, part)| is_media(part));
                    out.extend(inside.map(|(inner, _)| vec![turn, at, inner]));
                }
                part if is_media(part) => out.push(vec![turn, at]),
                _ => {}
            }
        }
    }
    out
}

/// The paths of the same in a body.
fn collect(dialect: Dialect, value: &Value, path: String, out: &mut Vec<String>) {
    const INSIDE: [&str; 5] = ["content", "output", "parts", "functionResponse", "function_response"];
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| collect(dialect, item, format!("{path}[{at}]"), out)),
        Value::Object(_) if is_media(dialect, value) => out.push(path),
        Value::Object(fields) => {
            for (name, inner) in fields.iter().filter(|(name, _)| INSIDE.contains(&name.as_str())) {
                collect(dialect, inner, format!("{path}.{name}"), out);
            }
        }
        _ => {}
    }
}

fn is_media(dialect: Dialect, part: &Value) -> bool {
    let kinds: &[&str] = match dialect {
        Dialect::Chat => &["image_url", "input_audio", "file"],
        Dialect::Responses => &["input_image", "input_file", "input_audio"],
        Dialect::Messages => &["image", "document"],
        Dialect::Gemini => return ["inlineData", "inline_data", "fileData", "file_data"].iter().any(|name| part.get(name).is_some()),
    };
    part["type"].as_str().is_some_and(|kind| kinds.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::{Target, parse_request, render_request};
    use serde_json::json;

    fn refused(from: Dialect, to: Dialect, body: &Value) -> String {
        let body = body.to_string().into_bytes();
        let request = parse_request(from, &body, "m", false).unwrap();
        let target = Target { model: "m", output_cap: None, default_cap: 10, is_openai: true };
        let unfit = trace(from, &body, &request, render_request(to, &request, &target).unwrap_err());
        assert!(unfit.message.contains(&format!("'{}'", unfit.field)), "{unfit:?}");
        unfit.field
    }

    #[test]
    fn the_caller_hears_of_the_place_where_it_wrote() {
        let (text, sound) = (json!({"type": "text", "text": "x"}), json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}));
        let chat = json!({"model": "m", "messages": [{"role": "system", "content": "s"}, {"role": "system", "content": "t"},
            {"role": "user", "content": [text, sound]}]});
        assert_eq!(refused(Dialect::Chat, Dialect::Messages, &chat), "messages[2].content[1]");

        let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
        let picture = json!({"type": "input_image", "image_url": "https://x/y.png"});
        let stored = json!({"type": "input_image", "file_id": "file_1"});
        let responses =
            |item: Value| json!({"model": "m", "input": [{"role": "developer", "content": "d"}, {"role": "user", "content": [picture]}, call, item]});
        let result = json!({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}, stored]});
        let said = json!({"role": "user", "content": [{"type": "input_text", "text": "x"}, stored]});
        for to in [Dialect::Gemini, Dialect::Messages] {
            assert_eq!(refused(Dialect::Responses, to, &responses(result.clone())), "input[3].output[1]");
            assert_eq!(refused(Dialect::Responses, to, &responses(said.clone())), "input[3].content[1]");
        }

        let file = json!({"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}});
        let gemini = json!({"contents": [{"parts": [{"text": "a"}]}, {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"parts": [{"functionResponse": {"name": "f", "response": {}, "parts": [file]}}]}]});
        for to in [Dialect::Responses, Dialect::Messages] {
            assert_eq!(refused(Dialect::Gemini, to, &gemini), "contents[2].parts[0].functionResponse.parts[0]");
        }

        let own = json!({"type": "image", "source": {"type": "file", "file_id": "f"}});
        let messages = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}, own]}]}]});
        for to in [Dialect::Chat, Dialect::Gemini, Dialect::Responses] {
            assert_eq!(refused(Dialect::Messages, to, &messages), "messages[2].content[0].content[1]");
        }
    }

    #[test]
    fn fields_have_the_callers_names() {
        let stops = json!(["a"]);
        for (from, body, field) in [
            (
                Dialect::Messages,
                json!({"model": "m", "max_tokens": 9, "stop_sequences": stops, "messages": [{"role": "user", "content": "a"}]}),
                "stop_sequences",
            ),
            (
                Dialect::Gemini,
                json!({"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"stopSequences": stops}}),
                "generationConfig.stopSequences",
            ),
        ] {
            assert_eq!(refused(from, Dialect::Responses, &body), field);
        }
        assert_eq!(renamed(Dialect::Messages, "stop[2]"), "stop_sequences[2]");
        assert_eq!(renamed(Dialect::Gemini, "stopped"), "stopped");
    }
}
