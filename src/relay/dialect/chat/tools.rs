//! Tools and the choice among them, as Chat writes them.

use crate::relay::dialect::canonical::{Choice, Request, Tool, ToolKind, Unfit, tool_name};
use crate::relay::dialect::custom;
use crate::relay::dialect::fields::Fields;
use serde_json::{Value, json};

/// Reads `tools`.
pub(super) fn parse(body: &mut Fields) -> Result<Vec<Tool>, Unfit> {
    body.objects("tools")?.into_iter().map(parse_one).collect()
}

fn parse_one(mut tool: Fields) -> Result<Tool, Unfit> {
    let kind = tool.string("type")?.unwrap_or_else(|| "function".to_owned());
    let cache = parse_cache(&mut tool)?;
    let read = match kind.as_str() {
        "function" => {
            let function = tool.object("function")?;
            let mut function = tool.must("function", function)?;
            let name = function.string("name")?;
            let name = function.must("name", name)?;
            let description = function.string("description")?;
            let parameters = function.take("parameters");
            if parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
                return Err(function.wrong("parameters", "a JSON schema, an object"));
            }
            let kind = ToolKind::Function { parameters, strict: function.flag("strict")? };
            function.finish()?;
            Tool { name, description, kind, cache }
        }
        "custom" => {
            let custom = tool.object("custom")?;
            let mut custom = tool.must("custom", custom)?;
            let name = custom.string("name")?;
            let name = custom.must("name", name)?;
            let read = Tool { name, description: custom.string("description")?, kind: ToolKind::Custom { format: custom.take("format") }, cache };
            custom.finish()?;
            read
        }
        _ => return Err(tool.inexpressible("type")),
    };
    tool.finish()?;
    Ok(read)
}

/// A mark on the end of a cached prefix: Anthropic's `cache_control`, which compatible servers take over, or OpenAI's breakpoint.
pub(super) fn parse_cache(fields: &mut Fields) -> Result<Option<String>, Unfit> {
    let breakpoint = fields.take("prompt_cache_breakpoint").map(|_| "5m".to_owned());
    let Some(mut control) = fields.object("cache_control")? else { return Ok(breakpoint) };
    let ttl = control.string("ttl")?.unwrap_or_else(|| "5m".to_owned());
    control.ignore(&["type"]);
    control.finish()?;
    Ok(Some(ttl))
}

/// Reads `tool_choice`.
pub(super) fn parse_choice(body: &mut Fields) -> Result<Option<Choice>, Unfit> {
    const WHAT: &str = "'auto', 'required', 'none' or an object that names a tool";
    let Some(value) = body.take("tool_choice") else { return Ok(None) };
    if let Value::String(word) = &value {
        return match word.as_str() {
            "auto" => Ok(Some(Choice::Auto)),
            "required" | "any" => Ok(Some(Choice::Required)),
            "none" => Ok(Some(Choice::None)),
            _ => Err(body.wrong("tool_choice", WHAT)),
        };
    }
    let mut choice = Fields::of(body.path("tool_choice"), value)?;
    let kind = choice.string("type")?.unwrap_or_else(|| "function".to_owned());
    let read = match kind.as_str() {
        "function" | "custom" => {
            let named = choice.object(&kind)?;
            Choice::Named(name(choice.must(&kind, named)?)?)
        }
        "allowed_tools" => {
            let allowed = choice.object("allowed_tools")?;
            let mut allowed = choice.must("allowed_tools", allowed)?;
            let required = match allowed.string("mode")?.as_deref() {
                Some("required") => true,
                Some("auto") | None => false,
                Some(_) => return Err(allowed.wrong("mode", "'auto' or 'required'")),
            };
            let names = allowed.objects("tools")?.into_iter().map(|mut tool| {
                let kind = tool.string("type")?.unwrap_or_else(|| "function".to_owned());
                let named = tool.object(&kind)?;
                name(tool.must(&kind, named)?)
            });
            Choice::Among { names: names.collect::<Result<_, _>>()?, required }
        }
        _ => return Err(choice.inexpressible("type")),
    };
    choice.finish()?;
    Ok(Some(read))
}

fn name(mut named: Fields) -> Result<String, Unfit> {
    let name = named.string("name")?;
    let name = named.must("name", name)?;
    named.finish()?;
    Ok(name)
}

/// Puts `tools`, `tool_choice` and `parallel_tool_calls` into a body. Only OpenAI itself knows `allowed_tools` and custom tools: elsewhere the tools that are not
/// allowed are left out, and custom ones are functions.
pub(super) fn render(body: &mut serde_json::Map<String, Value>, request: &Request, is_openai: bool) {
    let is_allowed = |tool: &&Tool| match &request.tool_choice {
        Some(Choice::Among { names, .. }) if !is_openai => names.contains(&tool.name),
        _ => true,
    };
    let tools: Vec<Value> = request.tools.iter().filter(is_allowed).map(|tool| render_one(tool, is_openai)).collect();
    if tools.is_empty() {
        return;
    }
    body.insert("tools".to_owned(), tools.into());
    if let Some(choice) = &request.tool_choice {
        body.insert("tool_choice".to_owned(), render_choice(choice, request, is_openai));
    }
    if let Some(parallel) = request.parallel_tool_calls {
        body.insert("parallel_tool_calls".to_owned(), parallel.into());
    }
}

fn render_one(tool: &Tool, is_openai: bool) -> Value {
    let mut inner = json!({"name": tool_name::fit(&tool.name)});
    if let Some(description) = &tool.description {
        inner["description"] = description.as_str().into();
    }
    match &tool.kind {
        ToolKind::Function { parameters, strict } => {
            if let Some(parameters) = parameters {
                inner["parameters"] = parameters.clone();
            }
            if let Some(strict) = strict {
                inner["strict"] = (*strict).into();
            }
        }
        ToolKind::Custom { format } if is_openai => {
            if let Some(format) = format {
                inner["format"] = render_format(format);
            }
            return json!({"type": "custom", "custom": inner});
        }
        ToolKind::Custom { format } => inner["parameters"] = custom::schema(format.as_ref()),
    }
    json!({"type": "function", "function": inner})
}

/// Chat has a grammar one level deeper than Responses.
fn render_format(format: &Value) -> Value {
    if format["type"] != "grammar" || format.get("grammar").is_some() {
        return format.clone();
    }
    json!({"type": "grammar", "grammar": {"definition": format["definition"], "syntax": format["syntax"]}})
}

fn render_choice(choice: &Choice, request: &Request, is_openai: bool) -> Value {
    let named = |name: &str| {
        let kind = if is_openai && request.is_custom(name) { "custom" } else { "function" };
        json!({"type": kind, kind: {"name": tool_name::fit(name)}})
    };
    match choice {
        Choice::Auto => "auto".into(),
        Choice::Required => "required".into(),
        Choice::None => "none".into(),
        Choice::Named(name) => named(name),
        Choice::Among { names, required } => {
            let mode = if *required { "required" } else { "auto" };
            if !is_openai {
                return mode.into();
            }
            let tools: Vec<Value> = names.iter().map(|name| named(name)).collect();
            json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
        }
    }
}
