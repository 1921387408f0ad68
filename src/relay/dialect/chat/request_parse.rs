//! Reading a Chat request.

use super::{request_messages, tools};
use crate::relay::dialect::canonical::{Effort, Format, Reasoning, Request, Sampling, Unfit};
use crate::relay::dialect::fields::Fields;
use serde_json::{Value, json};

/// Fields that make no difference to what is answered, or only to how it is drawn.
const HINTS: [&str; 11] = [
    "metadata",
    "stream_options",
    "prompt_cache_retention",
    "prompt_cache_options",
    "usage",
    "session_id",
    "min_p",
    "top_a",
    "repetition_penalty",
    "include_reasoning",
    "cache_control",
];

/// Reads a body.
///
/// # Errors
/// [`Unfit`] with the field that is wrong, or that no other dialect can say.
pub fn parse_request(body: &[u8]) -> Result<Request, Unfit> {
    let mut body = Fields::body(body)?;
    let model = body.string("model")?;
    let model = body.must("model", model)?;
    let (instructions, messages) = request_messages::parse(&mut body)?;
    refuse_what_nobody_can_say(&mut body)?;
    let request = Request {
        model,
        instructions,
        messages,
        tools: tools::parse(&mut body)?,
        tool_choice: tools::parse_choice(&mut body)?,
        parallel_tool_calls: body.flag("parallel_tool_calls")?,
        output_cap: cap(&mut body)?,
        stop: stop(&mut body)?,
        sampling: Sampling {
            temperature: body.number("temperature")?,
            top_p: body.number("top_p")?,
            top_k: body.number("top_k")?,
            frequency_penalty: body.number("frequency_penalty")?,
            presence_penalty: body.number("presence_penalty")?,
            seed: body.number("seed")?,
        },
        format: format(&mut body)?,
        reasoning: reasoning(&mut body)?,
        verbosity: body.string("verbosity")?,
        stream: body.flag("stream")?.unwrap_or(false),
        user: user(&mut body)?,
        cache_key: body.string("prompt_cache_key")?,
        service_tier: body.string("service_tier")?,
        ..Request::default()
    };
    body.ignore(&HINTS);
    body.finish()?;
    Ok(request)
}

/// Values of fields that say no more than their absence.
fn refuse_what_nobody_can_say(body: &mut Fields) -> Result<(), Unfit> {
    let harmless = [
        ("n", json!(1)),
        ("logprobs", json!(false)),
        ("top_logprobs", json!(0)),
        ("logit_bias", json!({})),
        ("modalities", json!(["text"])),
        ("store", json!(false)),
        ("functions", json!([])),
        ("safe_prompt", json!(false)),
    ];
    if body.take("prediction").is_some() {
        return Err(body.inexpressible("prediction"));
    }
    for (name, default) in harmless {
        if body.take(name).is_some_and(|value| value != default) {
            return Err(body.inexpressible(name));
        }
    }
    Ok(())
}

/// The newer of the two fields counts.
fn cap(body: &mut Fields) -> Result<Option<u64>, Unfit> {
    let mut newest = None;
    for name in ["max_completion_tokens", "max_tokens"] {
        let cap = body.whole(name)?;
        if cap == Some(0) {
            return Err(body.wrong(name, "at least 1"));
        }
        newest = newest.or(cap);
    }
    Ok(newest)
}

fn stop(body: &mut Fields) -> Result<Vec<String>, Unfit> {
    let text = |value: Value| if let Value::String(text) = value { Some(text) } else { None };
    let stop = match body.take("stop") {
        None => Some(Vec::new()),
        Some(Value::Array(items)) => items.into_iter().map(text).collect(),
        Some(value) => text(value).map(|text| vec![text]),
    };
    stop.ok_or_else(|| body.wrong("stop", "a string or an array of strings"))
}

fn user(body: &mut Fields) -> Result<Option<String>, Unfit> {
    let safety = body.string("safety_identifier")?;
    Ok(body.string("user")?.or(safety))
}

fn format(body: &mut Fields) -> Result<Option<Format>, Unfit> {
    let Some(mut format) = body.object("response_format")? else { return Ok(None) };
    let kind = format.string("type")?;
    let read = match format.must("type", kind)?.as_str() {
        "text" => None,
        "json_object" => Some(Format::JsonObject),
        "json_schema" => {
            let inner = format.object("json_schema")?;
            let mut inner = format.must("json_schema", inner)?;
            let schema = inner.take("schema").unwrap_or_else(|| json!({}));
            if !schema.is_object() {
                return Err(inner.wrong("schema", "a JSON schema, an object"));
            }
            let read = Format::JsonSchema { name: inner.string("name")?, description: inner.string("description")?, schema, strict: inner.flag("strict")? };
            inner.finish()?;
            Some(read)
        }
        _ => return Err(format.inexpressible("type")),
    };
    format.finish()?;
    Ok(read)
}

/// OpenAI's `reasoning_effort`, or the object `reasoning` of compatible servers, which also asks to see the thoughts.
fn reasoning(body: &mut Fields) -> Result<Option<Reasoning>, Unfit> {
    let effort = effort(body, "reasoning_effort")?;
    let Some(mut object) = body.object("reasoning")? else { return Ok(effort.map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() })) };
    let inner = self::effort(&mut object, "effort")?;
    let is_on = object.flag("enabled")?.unwrap_or(true);
    let is_shown = !object.flag("exclude")?.unwrap_or(false);
    let budget = object.whole("max_tokens")?;
    let summary = object.string("summary")?.unwrap_or_else(|| "auto".to_owned());
    object.finish()?;
    let effort = inner.or(effort);
    if !is_on {
        return Ok(Some(Reasoning { budget: Some(0), ..Reasoning::default() }));
    }
    Ok(Some(Reasoning { effort, budget, dynamic: effort.is_none() && budget.is_none(), summary: is_shown.then_some(summary), sealed: true }))
}

fn effort(fields: &mut Fields, name: &str) -> Result<Option<Effort>, Unfit> {
    let Some(word) = fields.string(name)? else { return Ok(None) };
    let effort = Effort::from_word(&word);
    effort.map(Some).ok_or_else(|| fields.wrong(name, "one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]"#;

    fn parse(rest: &str) -> Result<Request, Unfit> {
        parse_request(format!("{HELLO}{rest}}}").as_bytes())
    }

    #[test]
    fn names_what_is_wrong_or_cannot_be_said() {
        for (rest, field) in [
            (r#","n":2"#, "n"),
            (r#","logprobs":true"#, "logprobs"),
            (r#","store":true"#, "store"),
            (r#","modalities":["text","audio"]"#, "modalities"),
            (r#","logit_bias":{"5":1}"#, "logit_bias"),
            (r#","functions":[{"name":"f"}]"#, "functions"),
            (r#","web_search_options":{}"#, "web_search_options"),
            (r#","safe_prompt":true"#, "safe_prompt"),
            (r#","prediction":{"type":"content","content":"x"}"#, "prediction"),
            (r#","max_tokens":0"#, "max_tokens"),
            (r#","max_tokens":"5""#, "max_tokens"),
            (r#","stop":[1]"#, "stop"),
            (r#","temperature":"hot""#, "temperature"),
            (r#","reasoning_effort":"much""#, "reasoning_effort"),
            (r#","response_format":{"type":"xml"}"#, "response_format.type"),
            (r#","response_format":{"type":"json_schema"}"#, "response_format.json_schema"),
            (r#","tools":[{"type":"web_search"}]"#, "tools[0].type"),
            (r#","tools":[{"type":"function","function":{}}]"#, "tools[0].function.name"),
            (r#","tool_choice":"maybe""#, "tool_choice"),
            (r#","unheard_of":1"#, "unheard_of"),
        ] {
            assert_eq!(parse(rest).expect_err(rest).field, field, "{rest}");
        }
    }

    #[test]
    fn defaults_and_hints_are_nothing() {
        let plain = parse("").unwrap();
        for rest in [
            r#","n":1,"logprobs":false,"top_logprobs":0,"logit_bias":{},"modalities":["text"],"store":false,"functions":[]"#,
            r#","stream":false,"tools":[],"stop":null,"response_format":{"type":"text"},"reasoning_effort":null"#,
            r#","metadata":{"a":"b"},"stream_options":{"include_usage":true},"safe_prompt":false,"prediction":null,"min_p":0.1"#,
        ] {
            assert_eq!(parse(rest).expect(rest), plain, "{rest}");
        }
    }

    #[test]
    fn thinking_may_be_asked_for_in_either_way() {
        let read = |rest: &str| parse(rest).unwrap().reasoning;
        assert_eq!(read(r#","reasoning_effort":"xhigh""#), Some(Reasoning { effort: Some(Effort::XHigh), ..Reasoning::default() }));
        assert_eq!(read(r#","reasoning":{"enabled":false}"#), Some(Reasoning { budget: Some(0), ..Reasoning::default() }));
        let object = read(r#","reasoning":{"max_tokens":2000}"#).unwrap();
        assert_eq!((object.budget, object.dynamic, object.summary.as_deref(), object.sealed), (Some(2000), false, Some("auto"), true));
        assert!(read(r#","reasoning":{"enabled":true,"exclude":true}"#).unwrap().summary.is_none());
    }
}
