//! The items of an answer as a caller gets them, written.

use super::super::canonical::{Request, Thought};
use super::super::custom;
use super::local_shell;
use super::seal::Seal;
use serde_json::{Map, Value, json};

/// Words with their place among the parts of a message.
pub(super) fn text(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// The model declines.
pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

/// A message of the model's.
pub(super) fn message(id: &str, status: &str, content: Vec<Value>) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

/// A `reasoning` item.
pub(super) fn reasoning(id: &str, text: &str, seal: Option<&Seal>) -> Value {
    let mut out = Map::new();
    out.insert("id".to_owned(), id.into());
    out.insert("type".to_owned(), "reasoning".into());
    out.insert("summary".to_owned(), if text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": text}]) });
    if let Some(seal) = seal {
        out.insert("encrypted_content".to_owned(), seal.write().into());
    }
    Value::Object(out)
}

/// A picture that the model made.
pub(super) fn image(id: &str, data: &str) -> Value {
    json!({"id": id, "type": "image_generation_call", "status": "completed", "result": data})
}

/// What a thought is sealed with.
pub(super) fn seal(thought: &Thought) -> Option<Seal> {
    let redacted = thought.redacted.clone().map(Seal::Redacted);
    redacted.or_else(|| thought.signature.clone().map(Seal::Thought))
}

/// How the caller sees a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A function.
    Function,
    /// A tool that takes free text, which the provider knows.
    Custom,
    /// The same, which the provider took for a function.
    Wrapped,
    /// The shell on the caller's computer.
    Shell,
}

impl Seen {
    /// By what the caller offered.
    pub(super) fn of(request: &Request, name: &str, custom: bool) -> Self {
        match () {
            () if custom => Seen::Custom,
            () if request.is_custom(name) => Seen::Wrapped,
            () if local_shell::is_called(request, name) => Seen::Shell,
            () => Seen::Function,
        }
    }

    /// What the ids of such items begin with.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Seen::Function => "fc",
            Seen::Custom | Seen::Wrapped => "ctc",
            Seen::Shell => "lsh",
        }
    }
}

/// A tool call of an answer, as far as it has come.
#[derive(Clone, Debug)]
pub(super) struct Called {
    /// How the caller sees it.
    pub(super) seen: Seen,
    /// The item's id.
    pub(super) id: String,
    /// The call's.
    pub(super) call_id: String,
    /// The tool.
    pub(super) name: String,
    /// As the model wrote them.
    pub(super) arguments: String,
}

impl Called {
    /// The arguments or the input as the caller gets them.
    pub(super) fn input(&self) -> String {
        if self.seen == Seen::Wrapped { custom::unwrap(&self.arguments) } else { self.arguments.clone() }
    }

    /// The item.
    pub(super) fn item(&self, request: &Request, status: &str) -> Value {
        let shell = (self.seen == Seen::Shell).then(|| local_shell::action(&self.arguments)).flatten();
        if let Some(action) = shell {
            return json!({"id": self.id, "type": "local_shell_call", "status": status, "call_id": self.call_id, "action": action});
        }
        let alias = request.alias(&self.name);
        let own = alias.map_or(self.name.as_str(), |alias| alias.own.as_str());
        let (kind, field) = match self.seen {
            Seen::Custom | Seen::Wrapped => ("custom_tool_call", "input"),
            Seen::Function | Seen::Shell => ("function_call", "arguments"),
        };
        let mut out = json!({"id": self.id, "type": kind, "status": status, "call_id": self.call_id, "name": own});
        out[field] = self.input().into();
        if let Some(alias) = alias {
            out["namespace"] = alias.namespace.clone().into();
        }
        out
    }
}
