//! Writing a Chat request.

use super::{tools, turns};
use crate::relay::dialect::canonical::{Effort, Format, Request, Unfit, call_id};
use crate::relay::dialect::{Target, models};
use serde_json::{Map, Value, json};

/// More texts that end the answer than OpenAI takes.
const MAX_STOPS: usize = 4;
/// The longest word on who asks or on the cache that OpenAI takes.
const MAX_HINT: usize = 64;

/// Writes the body for an upstream.
///
/// # Errors
/// [`Unfit`] with what Chat has no words for.
pub fn render_request(request: &Request, target: &Target<'_>) -> Result<Vec<u8>, Unfit> {
    let mut body = Map::new();
    body.insert("model".to_owned(), target.model.into());
    body.insert("messages".to_owned(), turns::render(request, target)?.into());
    tools::render(&mut body, request, target.is_openai);
    if let Some(cap) = target.output_cap {
        if cap == 0 {
            return Err(Unfit::inexpressible("max_tokens"));
        }
        body.insert(if target.is_openai { "max_completion_tokens" } else { "max_tokens" }.to_owned(), cap.into());
    }
    if !request.stop.is_empty() {
        if target.is_openai && request.stop.len() > MAX_STOPS {
            return Err(Unfit::new("stop", format!("The providers of this model take at most {MAX_STOPS} texts that end the answer.")));
        }
        body.insert("stop".to_owned(), request.stop.clone().into());
    }
    if let Some(format) = &request.format {
        body.insert("response_format".to_owned(), render_format(format));
    }
    sampling(&mut body, request, target);
    hints(&mut body, request, target);
    if request.stream {
        body.insert("stream".to_owned(), true.into());
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    Ok(serde_json::to_vec(&Value::Object(body)).unwrap_or_default())
}

fn render_format(format: &Format) -> Value {
    let Format::JsonSchema { name, description, schema, strict } = format else { return json!({"type": "json_object"}) };
    // OpenAI demands a name.
    let mut inner = json!({"name": name.as_deref().unwrap_or("answer")});
    if let Some(description) = description {
        inner["description"] = description.as_str().into();
    }
    inner["schema"] = schema.clone();
    if let Some(strict) = strict {
        inner["strict"] = (*strict).into();
    }
    json!({"type": "json_schema", "json_schema": inner})
}

/// OpenAI's models that reason refuse all but the seed; a `top_k` is known to few.
fn sampling(body: &mut Map<String, Value>, request: &Request, target: &Target<'_>) {
    let sampling = &request.sampling;
    let refuses = target.is_openai && models::openai_reasons(target.model);
    let hints = [
        ("temperature", &sampling.temperature),
        ("top_p", &sampling.top_p),
        ("frequency_penalty", &sampling.frequency_penalty),
        ("presence_penalty", &sampling.presence_penalty),
        ("seed", &sampling.seed),
    ];
    for (name, value) in hints.into_iter().filter(|(name, _)| !refuses || *name == "seed") {
        if let Some(value) = value {
            body.insert(name.to_owned(), Value::Number(value.clone()));
        }
    }
}

fn hints(body: &mut Map<String, Value>, request: &Request, target: &Target<'_>) {
    if let Some(effort) = effort(request, target) {
        body.insert("reasoning_effort".to_owned(), effort.word().into());
    }
    let short = |value: &Option<String>| value.as_deref().map(|value| call_id::shorten(value, MAX_HINT).into_owned());
    let ours = |value: &Option<String>| short(value).filter(|_| target.is_openai);
    let tier = ours(&request.service_tier).filter(|tier| ["auto", "default", "flex", "priority"].contains(&tier.as_str()));
    let hints =
        [("verbosity", ours(&request.verbosity)), ("user", short(&request.user)), ("prompt_cache_key", ours(&request.cache_key)), ("service_tier", tier)];
    for (name, value) in hints {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.into());
        }
    }
}

/// The effort to ask for. A caller who only switched thinking off says nothing to a server whose words for it are not known.
fn effort(request: &Request, target: &Target<'_>) -> Option<Effort> {
    let reasoning = request.reasoning.as_ref()?;
    if target.is_openai && !models::openai_reasons(target.model) {
        return None;
    }
    match (reasoning.effort, reasoning.budget.map(Effort::of_budget)) {
        (Some(Effort::None), _) | (None, Some(Effort::None)) if target.is_openai => Some(models::openai_least_effort(target.model)),
        (None, Some(Effort::None)) => None,
        (effort, budget) => effort.or(budget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::canonical::{Choice, Reasoning, Sampling, Tool, ToolKind};

    fn target(model: &str, is_openai: bool) -> Target<'_> {
        Target { model, output_cap: Some(9), default_cap: 100, is_openai }
    }

    fn render(request: &Request, target: &Target<'_>) -> Value {
        serde_json::from_slice(&render_request(request, target).unwrap()).unwrap()
    }

    #[test]
    fn the_cap_has_the_name_that_the_upstream_knows() {
        let request = Request { stream: true, ..Request::default() };
        let body = render(&request, &target("gpt-5", true));
        assert_eq!((&body["max_completion_tokens"], &body["max_tokens"], &body["stream_options"]["include_usage"]), (&json!(9), &Value::Null, &json!(true)));
        assert_eq!(render(&request, &target("llama", false))["max_tokens"], 9);
    }

    #[test]
    fn what_a_model_refuses_is_left_out() {
        let reasoning = Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() });
        let sampling = Sampling { temperature: serde_json::Number::from_f64(0.5), seed: Some(7.into()), ..Sampling::default() };
        let request = Request { reasoning, sampling, user: Some("u".repeat(64)), ..Request::default() };
        let body = render(&request, &target("gpt-5", true));
        assert_eq!(
            (&body["reasoning_effort"], &body["temperature"], &body["seed"], &body["user"]),
            (&json!("high"), &Value::Null, &json!(7), &json!("u".repeat(64)))
        );
        let body = render(&request, &target("gpt-4o", true));
        assert_eq!((&body["reasoning_effort"], &body["temperature"]), (&Value::Null, &json!(0.5)));
    }

    #[test]
    fn thinking_is_switched_off_as_far_as_a_model_can() {
        let off = Request { reasoning: Some(Reasoning { budget: Some(0), ..Reasoning::default() }), ..Request::default() };
        for (model, is_openai, effort) in
            [("gpt-5", true, json!("minimal")), ("gpt-5.1", true, json!("none")), ("gpt-4o", true, Value::Null), ("qwen", false, Value::Null)]
        {
            assert_eq!(render(&off, &target(model, is_openai))["reasoning_effort"], effort, "{model}");
        }
    }

    #[test]
    fn only_openai_knows_a_choice_among_tools() {
        let tool = |name: &str| Tool { name: name.to_owned(), description: None, kind: ToolKind::Function { parameters: None, strict: None }, cache: None };
        let choice = Choice::Among { names: vec!["b".to_owned()], required: true };
        let request = Request { tools: vec![tool("a"), tool("b")], tool_choice: Some(choice), ..Request::default() };
        let body = render(&request, &target("gpt-5", true));
        assert_eq!((body["tools"].as_array().unwrap().len(), &body["tool_choice"]["allowed_tools"]["mode"]), (2, &json!("required")));
        let body = render(&request, &target("llama", false));
        assert_eq!(
            (body["tools"].as_array().unwrap().len(), &body["tools"][0]["function"]["name"], &body["tool_choice"]),
            (1, &json!("b"), &json!("required"))
        );
    }

    #[test]
    fn what_chat_cannot_say_is_named() {
        let request = Request { stop: (0..5).map(|n| n.to_string()).collect(), ..Request::default() };
        assert_eq!(render_request(&request, &target("gpt-4o", true)).unwrap_err().field, "stop");
        assert!(render_request(&request, &target("llama", false)).is_ok());
        assert_eq!(render_request(&Request::default(), &Target { output_cap: Some(0), ..target("x", true) }).unwrap_err().field, "max_tokens");
    }
}
