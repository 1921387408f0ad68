//! `local_shell`, a tool that the caller runs and OpenAI's models know by heart. Other models get it as a function with the same fields.

use super::super::canonical::{Request, Tool, ToolKind};
use serde_json::{Map, Value, json};

const NAME: &str = "local_shell";
const DESCRIPTION: &str = "Runs a command on the caller's computer and returns its output.";

/// The function that stands for it.
pub(super) fn tool() -> Tool {
    let parameters = json!({
        "type": "object",
        "properties": {
            "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
            "working_directory": {"type": "string", "description": "Where to run it."},
            "timeout_ms": {"type": "integer", "description": "After how many milliseconds to stop it."},
            "env": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Environment variables to set."},
        },
        "required": ["command"],
    });
    let kind = ToolKind::Function { parameters: Some(parameters), strict: None };
    Tool { name: NAME.to_owned(), description: Some(DESCRIPTION.to_owned()), kind, cache: None }
}

/// Whether this tool of a request stands for it. Nobody else describes a tool so.
pub(super) fn stands_for(tool: &Tool) -> bool {
    tool.name == NAME && tool.description.as_deref() == Some(DESCRIPTION)
}

/// Whether a call of that name is one of it.
pub(super) fn is_called(request: &Request, name: &str) -> bool {
    name == NAME && request.tool(name).is_some_and(stands_for)
}

/// The arguments of the function for an `action`.
pub(super) fn arguments(mut action: Map<String, Value>) -> String {
    action.shift_remove("type");
    action.retain(|_, value| !value.is_null());
    Value::Object(action).to_string()
}

/// The `action` for arguments of the function; none when the model wrote no command.
pub(super) fn action(arguments: &str) -> Option<Value> {
    let Value::Object(fields) = serde_json::from_str(arguments).ok()? else { return None };
    let command = fields.get("command")?.as_array()?;
    if command.is_empty() || !command.iter().all(Value::is_string) {
        return None;
    }
    let mut action = Map::new();
    action.insert("type".to_owned(), "exec".into());
    action.insert("command".to_owned(), command.clone().into());
    action.insert("timeout_ms".to_owned(), fields.get("timeout_ms").and_then(Value::as_u64).map_or(Value::Null, Value::from));
    action.insert("working_directory".to_owned(), fields.get("working_directory").filter(|value| value.is_string()).cloned().unwrap_or(Value::Null));
    let env = fields.get("env").and_then(Value::as_object).into_iter().flatten().filter(|(_, value)| value.is_string());
    action.insert("env".to_owned(), Value::Object(env.map(|(name, value)| (name.clone(), value.clone())).collect()));
    Some(Value::Object(action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_becomes_arguments_and_comes_back() {
        let written = json!({"type": "exec", "command": ["ls", "-l"], "timeout_ms": 1000, "working_directory": "/srv", "env": {"A": "b"}});
        let Value::Object(fields) = written.clone() else { unreachable!() };
        assert_eq!(action(&arguments(fields)), Some(written));
        for broken in ["", "{}", r#"{"command":[]}"#, r#"{"command":"ls"}"#, r#"{"command":[1]}"#] {
            assert_eq!(action(broken), None, "{broken}");
        }
        assert!(stands_for(&tool()));
    }
}
