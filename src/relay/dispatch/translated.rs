//! A whole answer between two dialects.

use crate::kernel::Usage;
use crate::relay::dialect::canonical::{Answer, Part};
use crate::relay::dialect::{self, Closing, Dialect, Echo};
use bytes::Bytes;

/// An answer, and the dialect in which the caller gets it.
pub(in crate::relay) struct Translated {
    pub(super) answer: Answer,
    pub(super) to: Dialect,
    pub(super) echo: Echo,
}

impl Translated {
    /// As the caller gets it.
    pub(in crate::relay) fn render(&self, usage: Usage, cost: Option<&str>) -> Bytes {
        dialect::render_answer(self.to, &self.answer, &self.echo, &Closing { usage, cost }).into()
    }

    /// Its text, for counting.
    pub(in crate::relay) fn text(&self) -> String {
        let mut out = String::new();
        for part in &self.answer.parts {
            match part {
                Part::Text(text) => out.push_str(&text.text),
                Part::Thought(thought) => out.push_str(&thought.text),
                Part::Refusal(text) => out.push_str(text),
                Part::ToolCall(call) => {
                    out.push_str(&call.name);
                    out.push_str(&call.arguments);
                }
                _ => {}
            }
        }
        out
    }
}
