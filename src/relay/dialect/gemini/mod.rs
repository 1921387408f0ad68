//! Gemini: `:generateContent` and `:streamGenerateContent`, as server-sent events or as one JSON array. Format: <https://ai.google.dev/api/generate-content>.
//! Names may be written in snake case, as Google takes them.
//!
//! Not translated, and refused by name: tools that Google runs itself, `cachedContent`, several candidates, logprobs, answers in sound or pictures,
//! `text/x.enum`, video details, `safetySettings` that ask for a filter. Labels and resolution are hints and stay behind.
//!
//! What Gemini has no word for, and what becomes of it:
//! - A ban on parallel calls is told to the model in a sentence after the system instruction.
//! - A system prompt in the middle of a conversation is a turn of the user.
//! - A call without an id gets one made of the answer's id and its place; results without one are paired with the calls of their name in order.
//! - Arguments that are no JSON object go as `{"input": …}`; a tool's answer as `{"output": …}` or `{"error": …}`, or as the object that it is.
//! - A seal of another provider's goes into `thoughtSignature` in base64 with a mark ([`seal`]). Models from Gemini 3 on refuse calls without a seal of their own,
//!   so calls that began elsewhere carry the word that Google has for that case.
//! - A picture in an answer is a Markdown image with a `data:` URL.

mod answer;
mod camel;
mod contents;
mod contents_render;
mod request_parse;
mod request_render;
mod schema;
mod seal;
mod stream_parse;
mod stream_render;
mod thinking;
mod written;

pub use answer::{parse_answer, render_answer};
pub(super) use camel::names as camel_names;
pub use request_parse::parse_request;
pub use request_render::render_request;
pub use stream_parse::StreamParser;
pub use stream_render::{StreamRenderer, keep_alive};

#[cfg(test)]
mod tests;
