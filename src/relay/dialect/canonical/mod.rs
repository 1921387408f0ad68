//! The one form between the dialects: what a caller asks, what a model answers, and the answer's stream, in words of our own. Each dialect parses into it
//! and renders from it, so that four dialects take eight translators. Pure.
//!
//! What the form cannot carry is refused when it is parsed, and what a dialect cannot say is refused when it is rendered: a [`Unfit`] names the field. Only
//! sampling hints are left out where they are not known.

mod answer;
pub mod call_id;
mod event;
mod request;
mod ties;
pub mod tool_name;

pub use answer::{Answer, Stop};
pub use event::{Delta, Event, Opening};
pub use request::{
    Alias, Choice, Effort, File, Format, Image, Instruction, Message, Part, Reasoning, Request, Role, Sampling, Signature, Source, Text, Thought, Tool,
    ToolCall, ToolKind, ToolResult,
};
pub use ties::tie_results;

/// A request that a dialect cannot take: a 400 for its caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Unfit {
    /// The field in the caller's own dialect, as a path such as `messages[2].content[0].type`. A renderer, which does not know the caller, names the place in
    /// the canonical form; `dialect::trace` finds where that was written.
    pub field: String,
    /// What is wrong and what to do, as a sentence.
    pub message: String,
}

impl Unfit {
    /// A field and a sentence.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// Something that the target's API has no words for.
    pub fn inexpressible(field: impl Into<String>) -> Self {
        let field = field.into();
        let message = format!("'{field}' cannot be translated for the providers of this model. Remove it, or choose another model.");
        Self { field, message }
    }
}

/// An answer, or an event of a stream, that is not what its dialect says: a fault of the upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Not the dialect's form; the words say where.
    #[error("{0}")]
    Garbage(String),
    /// Usage that cannot be.
    #[error("usage that cannot be")]
    AbsurdUsage,
    /// The upstream says that it failed. Its words are for the admin only.
    #[error("the upstream sent an error: {0}")]
    Upstream(String),
}
