//! A whole answer between two dialects.

use crate::kernel::Usage;
use crate::relay::dialect::canonical::{Answer, Part};
use crate::relay::dialect::{self, Closing, Dialect, Echo};
use crate::relay::scan::Made;
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

    /// Its text, for counting, and what stands in it beside.
    pub(in crate::relay) fn text(&self) -> (String, Made) {
        let (mut out, mut pictures) = (String::new(), 0);
        for part in &self.answer.parts {
            match part {
                Part::Text(text) => {
                    let (words, seen) = dialect::data_url::without_pictures(&text.text);
                    out.push_str(&words);
                    pictures += seen;
                }
                Part::Image(_) => pictures += 1,
                Part::Thought(thought) => out.push_str(&thought.text),
                Part::Refusal(text) => out.push_str(text),
                Part::ToolCall(call) => {
                    out.push_str(&call.name);
                    out.push_str(&call.arguments);
                }
                _ => {}
            }
        }
        (out, Made { pictures, ..Made::default() })
    }
}
