//! The items of an answer as upstreams send them, read.

use super::super::canonical::{Image, Part, Signature, Source, Text, Thought, ToolCall};
use super::input::thoughts;
use super::seal::Seal;
use super::{local_shell, tools};
use serde::Deserialize;
use serde_json::{Map, Value};

/// An item. Servers differ in what they leave out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Item {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) id: Option<String>,
    pub(super) content: Option<Vec<Content>>,
    summary: Option<Vec<Content>>,
    encrypted_content: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    arguments: Option<Value>,
    input: Option<String>,
    action: Option<Map<String, Value>>,
    result: Option<String>,
    output_format: Option<String>,
}

/// A piece of an item's words.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

impl Content {
    /// The part that it is.
    pub(super) fn part(self) -> Option<Part> {
        match self.kind.as_str() {
            "refusal" => Some(Part::Refusal(self.refusal.unwrap_or_default())),
            "output_text" | "text" => Some(Part::Text(Text::from(self.text.unwrap_or_default()))),
            _ => None,
        }
    }
}

fn joined(texts: Option<Vec<Content>>) -> Option<String> {
    let texts: Vec<_> = texts?.into_iter().filter_map(|content| content.text).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

impl Item {
    /// The parts that it is. `at` is its place in the answer, for an id when it has none; `aside` holds a seal from one item to the next tool call.
    pub(super) fn parts(self, at: usize, aside: &mut Option<Signature>) -> Vec<Part> {
        match self.kind.as_str() {
            "message" => self.content.into_iter().flatten().filter_map(Content::part).collect(),
            "reasoning" => self.thoughts(aside).into_iter().map(Part::Thought).collect(),
            "image_generation_call" => {
                let media_type = format!("image/{}", self.output_format.as_deref().unwrap_or("png"));
                let image = |data| Part::Image(Image { source: Source::Base64 { media_type, data }, detail: None, cache: None });
                self.result.map(image).into_iter().collect()
            }
            _ => self.call(at, aside).into_iter().map(Part::ToolCall).collect(),
        }
    }

    /// The thoughts that it is.
    pub(super) fn thoughts(self, aside: &mut Option<Signature>) -> Vec<Thought> {
        let seal = self.encrypted_content.as_deref().map(Seal::read);
        thoughts(self.id, joined(self.summary), joined(self.content), seal, aside)
    }

    /// The tool call that it is.
    pub(super) fn call(self, at: usize, aside: &mut Option<Signature>) -> Option<ToolCall> {
        let (custom, arguments) = match self.kind.as_str() {
            "function_call" => (false, self.arguments.map(|value| if let Value::String(text) = value { text } else { value.to_string() })),
            "custom_tool_call" => (true, self.input),
            "local_shell_call" => (false, self.action.map(local_shell::arguments)),
            _ => return None,
        };
        let own = self.name.unwrap_or_else(|| local_shell::tool().name);
        let name = self.namespace.map_or(own.clone(), |namespace| tools::joined(&namespace, &own));
        let id = self.call_id.or(self.id).filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{at}"));
        Some(ToolCall { id, name, arguments: arguments.unwrap_or_default(), custom, signature: aside.take(), cache: None })
    }
}
