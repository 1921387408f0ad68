//! Tools and the choice among them, as Messages writes them.

use super::blocks;
use crate::relay::dialect::canonical::{Choice, Request, Tool, ToolKind, Unfit};
use crate::relay::dialect::custom;
use crate::relay::dialect::fields::Fields;
use serde_json::{Map, Value, json};

/// Reads `tools`.
pub(super) fn parse(body: &mut Fields) -> Result<Vec<Tool>, Unfit> {
    body.objects("tools")?.into_iter().map(parse_one).collect()
}

fn parse_one(mut tool: Fields) -> Result<Tool, Unfit> {
    if tool.string("type")?.is_some_and(|kind| kind != "custom") {
        return Err(tool.inexpressible("type"));
    }
    let name = tool.string("name")?;
    let name = tool.must("name", name)?;
    let mut description = tool.string("description")?;
    let schema = tool.take("input_schema");
    let schema = tool.must("input_schema", schema)?;
    if !schema.is_object() {
        return Err(tool.wrong("input_schema", "a JSON schema, an object"));
    }
    // Nobody else has a field for examples, and a model reads them as well here.
    if let Some(examples) = tool.array("input_examples")?.filter(|examples| !examples.is_empty()) {
        let told = format!("Examples of its input: {}", Value::Array(examples));
        description = Some(description.map_or_else(|| told.clone(), |text| format!("{text}\n\n{told}")));
    }
    let is_direct = |callers: Vec<Value>| callers.iter().all(|caller| caller == "direct");
    if tool.array("allowed_callers")?.is_some_and(|callers| !is_direct(callers)) {
        return Err(tool.inexpressible("allowed_callers"));
    }
    let kind = ToolKind::Function { parameters: Some(schema), strict: tool.flag("strict")? };
    let cache = blocks::cache(&mut tool)?;
    tool.ignore(&["eager_input_streaming", "defer_loading"]);
    tool.finish()?;
    Ok(Tool { name, description, kind, cache })
}

/// Reads `tool_choice`, and whether several calls at once are forbidden.
pub(super) fn parse_choice(body: &mut Fields) -> Result<(Option<Choice>, Option<bool>), Unfit> {
    let Some(mut choice) = body.object("tool_choice")? else { return Ok((None, None)) };
    let kind = choice.string("type")?;
    let read = match choice.must("type", kind)?.as_str() {
        "auto" => Choice::Auto,
        "any" => Choice::Required,
        "none" => Choice::None,
        "tool" => {
            let name = choice.string("name")?;
            Choice::Named(choice.must("name", name)?)
        }
        _ => return Err(choice.wrong("type", "'auto', 'any', 'tool' or 'none'")),
    };
    let is_single = choice.flag("disable_parallel_tool_use")?.unwrap_or(false);
    choice.finish()?;
    Ok((Some(read), is_single.then_some(false)))
}

/// Whether the model must call a tool.
pub(super) fn is_forced(request: &Request) -> bool {
    !request.tools.is_empty() && matches!(request.tool_choice, Some(Choice::Required | Choice::Named(_) | Choice::Among { required: true, .. }))
}

/// Puts `tools` and `tool_choice` into a body.
pub(super) fn render(body: &mut Map<String, Value>, request: &Request) {
    let is_allowed = |tool: &&Tool| match &request.tool_choice {
        Some(Choice::Among { names, .. }) => names.contains(&tool.name),
        _ => true,
    };
    let tools: Vec<Value> = request.tools.iter().filter(is_allowed).map(render_one).collect();
    if tools.is_empty() {
        return;
    }
    body.insert("tools".to_owned(), tools.into());
    let is_single = request.parallel_tool_calls == Some(false);
    let mut choice = match &request.tool_choice {
        None if !is_single => return,
        None | Some(Choice::Auto | Choice::Among { required: false, .. }) => json!({"type": "auto"}),
        Some(Choice::Required | Choice::Among { required: true, .. }) => json!({"type": "any"}),
        Some(Choice::None) => json!({"type": "none"}),
        Some(Choice::Named(name)) => json!({"type": "tool", "name": name}),
    };
    if is_single && choice["type"] != "none" {
        choice["disable_parallel_tool_use"] = true.into();
    }
    body.insert("tool_choice".to_owned(), choice);
}

/// `strict` is left out: what Anthropic means by it admits fewer schemas than what OpenAI does.
fn render_one(tool: &Tool) -> Value {
    let mut out = json!({"name": tool.name});
    if let Some(description) = tool.description.as_deref().filter(|description| !description.is_empty()) {
        out["description"] = description.into();
    }
    let mut schema = match &tool.kind {
        ToolKind::Function { parameters, .. } => parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}})),
        ToolKind::Custom { format } => custom::schema(format.as_ref()),
    };
    if let Some(object) = schema.as_object_mut().filter(|object| !object.contains_key("type")) {
        object.insert("type".to_owned(), "object".into());
    }
    out["input_schema"] = schema;
    mark(&mut out, tool.cache.as_deref());
    out
}

/// Puts a mark for the cache on a block or a tool.
pub(super) fn mark(block: &mut Value, cache: Option<&str>) {
    match cache {
        None => {}
        Some("1h") => block["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"}),
        Some(_) => block["cache_control"] = json!({"type": "ephemeral"}),
    }
}
