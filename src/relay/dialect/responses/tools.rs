//! Tools and the choice among them, read and written. In Responses a tool's fields stand flat beside its `type`.

use super::super::canonical::{Alias, Choice, Request, Tool, ToolKind, Unfit, tool_name};
use super::super::fields::Fields;
use super::super::{Target, custom};
use super::local_shell;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// More tools than any model can choose among; OpenAI takes 128.
const MOST: usize = 4_096;

/// Reads `tools` into the request.
///
/// # Errors
/// When a tool is malformed, or runs at the provider, or when there are too many.
pub(super) fn parse(items: Vec<Fields>, request: &mut Request) -> Result<(), Unfit> {
    let mut search = None;
    for mut fields in items {
        let kind = fields.string("type")?.unwrap_or_default();
        match kind.as_str() {
            "namespace" => parse_namespace(fields, request)?,
            // Codex offers a search with every request, beside the tools that it works with, and is the one who says where the search may look. It goes on
            // without; whoever asks for a search by itself must hear that there is none.
            "web_search" if fields.take("external_web_access").is_some() => search = search.or(Some(fields.path("type"))),
            // Finds tools among those that are deferred: here the model gets all of them at once. A search that the caller runs finds others.
            "tool_search" if fields.string("execution")?.is_none_or(|word| word == "server") => {}
            kind => request.tools.push(parse_tool(kind, fields)?),
        }
        if request.tools.len() > MOST {
            return Err(Unfit::new("tools", format!("'tools' must have at most {MOST} tools.")));
        }
    }
    match search {
        Some(path) if request.tools.is_empty() => Err(Unfit::inexpressible(path)),
        _ => Ok(()),
    }
}

fn parse_tool(kind: &str, mut fields: Fields) -> Result<Tool, Unfit> {
    // Hints on how the provider loads a tool and who may call it.
    fields.ignore(&["defer_loading", "output_schema", "allowed_callers"]);
    if kind == "local_shell" {
        fields.finish()?;
        return Ok(local_shell::tool());
    }
    if !["function", "custom"].contains(&kind) {
        return Err(fields.inexpressible("type"));
    }
    let name = fields.string("name")?;
    let name = fields.must("name", name)?;
    let description = fields.string("description")?;
    let kind = match kind {
        "function" => {
            let parameters = fields.take("parameters");
            if parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
                return Err(fields.wrong("parameters", "an object"));
            }
            ToolKind::Function { parameters, strict: fields.flag("strict")?.filter(|strict| *strict) }
        }
        _ => ToolKind::Custom { format: fields.take("format").filter(|format| format["type"] != "text") },
    };
    fields.finish()?;
    Ok(Tool { name, description, kind, cache: None })
}

/// A group of tools: each gets a name of both, which the answer is turned back from.
fn parse_namespace(mut fields: Fields, request: &mut Request) -> Result<(), Unfit> {
    let name = fields.string("name")?;
    let namespace = fields.must("name", name)?;
    fields.ignore(&["description", "defer_loading"]);
    for mut item in fields.objects("tools")? {
        let kind = item.string("type")?.unwrap_or_default();
        let mut tool = parse_tool(&kind, item)?;
        let own = std::mem::take(&mut tool.name);
        tool.name = joined(&namespace, &own);
        request.aliases.push(Alias { name: tool.name.clone(), namespace: namespace.clone(), own });
        request.tools.push(tool);
    }
    fields.finish()
}

/// One name for a group and a tool in it.
pub(super) fn joined(namespace: &str, own: &str) -> String {
    let glue = if namespace.ends_with("__") { "" } else { "__" };
    format!("{namespace}{glue}{own}")
}

/// Who reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The caller, in the answer.
    Caller,
    /// OpenAI.
    OpenAi,
    /// Another server of this dialect, which may not know tools that take free text.
    Other,
}

impl Reader {
    /// By what the upstream is.
    pub(super) const fn of(target: &Target<'_>) -> Self {
        if target.is_openai { Reader::OpenAi } else { Reader::Other }
    }

    /// The name of a tool: providers take short ones only.
    pub(super) fn name(self, name: &str) -> Cow<'_, str> {
        if self == Reader::Caller { Cow::Borrowed(name) } else { tool_name::fit(name) }
    }
}

/// A tool as a request or an answer has it.
pub(super) fn render(tool: &Tool, reader: Reader) -> Value {
    if let (ToolKind::Custom { format }, Reader::Other) = (&tool.kind, reader) {
        let kind = ToolKind::Function { parameters: Some(custom::schema(format.as_ref())), strict: None };
        return render(&Tool { kind, ..tool.clone() }, Reader::OpenAi);
    }
    if local_shell::stands_for(tool) {
        return json!({"type": "local_shell"});
    }
    let mut out = Map::new();
    let kind = if matches!(tool.kind, ToolKind::Function { .. }) { "function" } else { "custom" };
    out.insert("type".to_owned(), kind.into());
    out.insert("name".to_owned(), reader.name(&tool.name).into());
    if let Some(description) = &tool.description {
        out.insert("description".to_owned(), description.clone().into());
    }
    match &tool.kind {
        ToolKind::Function { parameters, strict } => {
            let nothing = || json!({"type": "object", "properties": {}});
            out.insert("parameters".to_owned(), parameters.clone().unwrap_or_else(nothing));
            // Here a tool without the word is held to its schema; elsewhere it is not.
            out.insert("strict".to_owned(), strict.unwrap_or(false).into());
        }
        ToolKind::Custom { format } => drop(out.insert("format".to_owned(), flat(format.as_ref()))),
    }
    Value::Object(out)
}

/// The form of free text. Chat has a grammar one level deeper.
fn flat(format: Option<&Value>) -> Value {
    match (format, format.and_then(|format| format.get("grammar"))) {
        (_, Some(grammar)) => json!({"type": "grammar", "syntax": grammar["syntax"], "definition": grammar["definition"]}),
        (Some(format), None) => format.clone(),
        (None, None) => json!({"type": "text"}),
    }
}

/// The tools of a request as its answer repeats them: groups as groups.
pub(super) fn echo(request: &Request) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        let Some(alias) = request.alias(&tool.name) else {
            out.push(render(tool, Reader::Caller));
            continue;
        };
        let own = render(&Tool { name: alias.own.clone(), ..tool.clone() }, Reader::Caller);
        let group = out.iter_mut().find(|item| item["type"] == "namespace" && item["name"] == alias.namespace.as_str());
        match group.and_then(|group| group["tools"].as_array_mut()) {
            Some(tools) => tools.push(own),
            None => out.push(json!({"type": "namespace", "name": alias.namespace, "description": "", "tools": [own]})),
        }
    }
    out
}

/// Reads `tool_choice`.
///
/// # Errors
/// When it is malformed or names a tool of the provider's.
pub(super) fn parse_choice(value: Value, path: &str) -> Result<Choice, Unfit> {
    if let Value::String(word) = &value {
        return match word.as_str() {
            "auto" => Ok(Choice::Auto),
            "required" => Ok(Choice::Required),
            "none" => Ok(Choice::None),
            _ => Err(Unfit::new(path, format!("'{path}' must be 'auto', 'required', 'none' or an object."))),
        };
    }
    let mut fields = Fields::of(path.to_owned(), value)?;
    let kind = fields.string("type")?;
    match kind.as_deref() {
        Some("function" | "custom") => {
            let name = fields.string("name")?;
            let name = fields.must("name", name)?;
            fields.finish()?;
            Ok(Choice::Named(name))
        }
        Some("allowed_tools") => {
            let required = match fields.string("mode")?.as_deref() {
                Some("required") => true,
                Some("auto") | None => false,
                Some(_) => return Err(fields.wrong("mode", "'auto' or 'required'")),
            };
            let tools = fields.objects("tools")?.into_iter().map(|mut tool| match tool.string("type")?.as_deref() {
                Some("function" | "custom") => {
                    let name = tool.string("name")?;
                    tool.must("name", name)
                }
                _ => Err(tool.inexpressible("type")),
            });
            let names = tools.collect::<Result<Vec<_>, _>>()?;
            fields.finish()?;
            Ok(Choice::Among { names, required })
        }
        _ => Err(fields.inexpressible("type")),
    }
}

/// `tool_choice` as a request or an answer has it.
pub(super) fn render_choice(choice: &Choice, request: &Request, reader: Reader) -> Value {
    let named = |name: &str| {
        let kind = if reader != Reader::Other && request.is_custom(name) { "custom" } else { "function" };
        json!({"type": kind, "name": reader.name(name)})
    };
    match choice {
        Choice::Auto => "auto".into(),
        Choice::Required => "required".into(),
        Choice::None => "none".into(),
        Choice::Named(name) => named(name),
        Choice::Among { names, required } => {
            let mode = if *required { "required" } else { "auto" };
            json!({"type": "allowed_tools", "mode": mode, "tools": names.iter().map(|name| named(name)).collect::<Vec<_>>()})
        }
    }
}
