//! Reading a Messages request.

use super::{blocks, reasoning, schema, tools};
use crate::relay::dialect::canonical::{Format, Instruction, Message, Part, Request, Role, Sampling, Unfit, tie_results};
use crate::relay::dialect::fields::Fields;
use serde_json::{Value, json};

/// Fields that make no difference to what is answered, or only to what it costs and how long it takes.
const HINTS: [&str; 8] = ["cache_control", "diagnostics", "speed", "betas", "anthropic_beta", "anthropic_version", "usage", "user_profile_id"];

/// Reads a body.
///
/// # Errors
/// [`Unfit`] with the field that is wrong, or that no other dialect can say.
pub fn parse_request(body: &[u8]) -> Result<Request, Unfit> {
    parse(body, true)
}

/// Reads a body that must have an output cap, or need not.
pub(super) fn parse(body: &[u8], is_capped: bool) -> Result<Request, Unfit> {
    let mut body = Fields::body(body)?;
    let model = body.string("model")?;
    let model = body.must("model", model)?;
    let output_cap = body.whole("max_tokens")?;
    let messages = messages(&mut body)?;
    if is_capped && output_cap.is_none() {
        return body.must("max_tokens", None);
    }
    refuse_what_nobody_can_say(&mut body)?;
    let (tool_choice, parallel_tool_calls) = tools::parse_choice(&mut body)?;
    let (effort, format) = output_config(&mut body)?;
    let request = Request {
        model,
        instructions: instructions(&mut body)?,
        messages,
        tools: tools::parse(&mut body)?,
        tool_choice,
        parallel_tool_calls,
        output_cap,
        stop: stop(&mut body)?,
        sampling: Sampling { temperature: body.number("temperature")?, top_p: body.number("top_p")?, top_k: body.number("top_k")?, ..Sampling::default() },
        format,
        reasoning: reasoning::parse(&mut body, effort)?,
        stream: body.flag("stream")?.unwrap_or(false),
        user: user(&mut body)?,
        service_tier: body.string("service_tier")?,
        ..Request::default()
    };
    body.ignore(&HINTS);
    body.finish()?;
    Ok(request)
}

/// Values of fields that say no more than their absence.
fn refuse_what_nobody_can_say(body: &mut Fields) -> Result<(), Unfit> {
    for (name, default) in [("mcp_servers", json!([])), ("fallbacks", json!([])), ("inference_geo", json!("global"))] {
        if body.take(name).is_some_and(|value| value != default) {
            return Err(body.inexpressible(name));
        }
    }
    manage_context(body)
}

/// What the provider leaves out of a long conversation. Of thoughts nothing has to be left out: other providers read none but their own.
fn manage_context(body: &mut Fields) -> Result<(), Unfit> {
    let Some(mut context) = body.object("context_management")? else { return Ok(()) };
    for mut edit in context.objects("edits")? {
        if !edit.string("type")?.is_some_and(|kind| kind.starts_with("clear_thinking")) {
            return Err(edit.inexpressible("type"));
        }
    }
    context.finish()
}

fn instructions(body: &mut Fields) -> Result<Vec<Instruction>, Unfit> {
    let texts = blocks::texts(body, "system")?.unwrap_or_default();
    Ok(texts.into_iter().map(|text| Instruction { developer: false, text }).collect())
}

fn messages(body: &mut Fields) -> Result<Vec<Message>, Unfit> {
    let mut objects = body.objects("messages")?;
    if objects.is_empty() {
        return Err(body.wrong("messages", "an array with at least one message"));
    }
    let mut messages = Vec::with_capacity(objects.len());
    for message in &mut objects {
        let role = message.string("role")?;
        let role = match message.must("role", role)?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System { developer: false },
            _ => return Err(message.wrong("role", "'user', 'assistant' or 'system'")),
        };
        let parts = match role {
            Role::System { .. } => {
                let texts = blocks::texts(message, "content")?;
                message.must("content", texts)?.into_iter().map(Part::Text).collect()
            }
            Role::User | Role::Assistant => blocks::content(message, "content")?,
        };
        messages.push(Message { role, parts });
    }
    objects.into_iter().try_for_each(Fields::finish)?;
    tie_results(&mut messages);
    Ok(messages)
}

fn stop(body: &mut Fields) -> Result<Vec<String>, Unfit> {
    let text = |value: Value| if let Value::String(text) = value { Some(text) } else { None };
    let items = body.array("stop_sequences")?.unwrap_or_default();
    let stop: Option<Vec<String>> = items.into_iter().map(text).collect();
    stop.ok_or_else(|| body.wrong("stop_sequences", "an array of strings"))
}

fn user(body: &mut Fields) -> Result<Option<String>, Unfit> {
    body.object("metadata")?.map(|mut metadata| metadata.string("user_id")).transpose().map(Option::flatten)
}

/// The effort, and the form of the answer, which once stood at the top.
fn output_config(body: &mut Fields) -> Result<(Option<crate::relay::dialect::canonical::Effort>, Option<Format>), Unfit> {
    let older = body.object("output_format")?.map(format).transpose()?;
    let Some(mut config) = body.object("output_config")? else { return Ok((None, older)) };
    let effort = reasoning::parse_effort(&mut config)?;
    let newer = config.object("format")?.map(format).transpose()?;
    config.finish()?;
    Ok((effort, newer.or(older)))
}

fn format(mut format: Fields) -> Result<Format, Unfit> {
    if format.string("type")?.is_none_or(|kind| kind != "json_schema") {
        return Err(format.wrong("type", "'json_schema'"));
    }
    let schema = format.take("schema");
    let schema = format.must("schema", schema)?;
    if !schema.is_object() {
        return Err(format.wrong("schema", "a JSON schema, an object"));
    }
    format.finish()?;
    let strict = schema::is_strict(&schema).then_some(true);
    Ok(Format::JsonSchema { name: None, description: None, schema, strict })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::Dialect;
    use crate::relay::dialect::canonical::{Choice, Effort};

    fn parse(rest: &str) -> Result<Request, Unfit> {
        parse_request(format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]{rest}}}"#).as_bytes())
    }

    fn block(block: &str) -> Result<Request, Unfit> {
        parse_request(format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{block}]}}]}}"#).as_bytes())
    }

    #[test]
    fn names_what_is_wrong_or_cannot_be_said() {
        for (rest, field) in [
            (r#","tools":[{"type":"web_search_20250305","name":"web_search"}]"#, "tools[0].type"),
            (r#","tools":[{"name":"f"}]"#, "tools[0].input_schema"),
            (r#","tools":[{"name":"f","input_schema":{},"allowed_callers":["code_execution_20260120"]}]"#, "tools[0].allowed_callers"),
            (r#","tool_choice":{"type":"some"}"#, "tool_choice.type"),
            (r#","tool_choice":{"type":"tool"}"#, "tool_choice.name"),
            (r#","system":[{"type":"image","source":{"type":"url","url":"u"}}]"#, "system[0].type"),
            (r#","system":5"#, "system"),
            (r#","mcp_servers":[{}]"#, "mcp_servers"),
            (r#","container":"c""#, "container"),
            (r#","inference_geo":"eu""#, "inference_geo"),
            (r#","thinking":{"type":"enabled"}"#, "thinking.budget_tokens"),
            (r#","thinking":{"type":"much"}"#, "thinking.type"),
            (r#","output_config":{"effort":"none"}"#, "output_config.effort"),
            (r#","output_config":{"format":{"type":"xml"}}"#, "output_config.format.type"),
            (r#","stop_sequences":"x""#, "stop_sequences"),
            (r#","unheard_of":1"#, "unheard_of"),
            (r#","output_config":{"task_budget":{"type":"tokens","total":64000}}"#, "output_config.task_budget"),
            (r#","context_management":{"edits":[{"type":"clear_thinking_20251015"},{"type":"clear_tool_uses_20250919"}]}"#, "context_management.edits[1].type"),
        ] {
            assert_eq!(parse(rest).expect_err(rest).field, field, "{rest}");
        }
        for (json, field) in [
            (r#"{"type":"search_result"}"#, "messages[0].content[0].type"),
            (r#"{"type":"text"}"#, "messages[0].content[0].text"),
            (r#"{"type":"text","text":"x","citations":[{}]}"#, "messages[0].content[0].citations"),
            (r#"{"type":"image","source":{"type":"base64","data":"x"}}"#, "messages[0].content[0].source.media_type"),
            (r#"{"type":"document","source":{"type":"url","url":"u"},"citations":{"enabled":true}}"#, "messages[0].content[0].citations"),
            (r#"{"type":"tool_use","id":"a","name":"f","input":"x"}"#, "messages[0].content[0].input"),
            (r#"{"type":"tool_result","tool_use_id":"a","content":[{"type":"search_result"}]}"#, "messages[0].content[0].content[0].type"),
            (r#"{"type":"server_tool_use","id":"a","name":"web_search","input":{}}"#, "messages[0].content[0].type"),
        ] {
            assert_eq!(block(json).expect_err(json).field, field, "{json}");
        }
        assert_eq!(parse_request(br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#).unwrap_err().field, "max_tokens");
    }

    #[test]
    fn what_claude_code_sends_is_understood() {
        let request = parse(
            r#","system":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral","ttl":"1h","scope":"global"}}],
            "tools":[{"name":"Read","description":"d","input_schema":{"type":"object","properties":{}},"eager_input_streaming":true,"defer_loading":true}],
            "thinking":{"type":"adaptive"},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},
            "output_config":{"effort":"max"},"metadata":{"user_id":"u"},"stream":true,"temperature":1"#,
        );
        let request = request.unwrap();
        let reasoning = request.reasoning.unwrap();
        assert_eq!((reasoning.effort, reasoning.dynamic, reasoning.sealed), (Some(Effort::Max), true, true));
        assert_eq!((request.instructions[1].text.cache.as_deref(), request.user.as_deref(), request.tools.len()), (Some("1h"), Some("u"), 1));
    }

    #[test]
    fn a_seal_without_words_belongs_to_the_call_after_it() {
        let json = r#"{"type":"thinking","thinking":"","signature":"farebox.gemini.g"},{"type":"tool_use","id":"a","name":"f","input":{"x":1}}"#;
        let parts = block(json).unwrap().messages.remove(0).parts;
        let [Part::ToolCall(call)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!((call.signature.as_ref().map(|seal| (seal.of, seal.value.as_str())), call.arguments.as_str()), (Some((Dialect::Gemini, "g")), r#"{"x":1}"#));
    }

    #[test]
    fn one_call_at_a_time_is_part_of_the_choice() {
        let request = parse(r#","tool_choice":{"type":"any","disable_parallel_tool_use":true}"#).unwrap();
        assert_eq!((request.tool_choice, request.parallel_tool_calls), (Some(Choice::Required), Some(false)));
        assert_eq!(parse(r#","tool_choice":{"type":"auto","disable_parallel_tool_use":false}"#).unwrap().parallel_tool_calls, None);
    }
}
