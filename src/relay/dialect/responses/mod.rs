//! OpenAI Responses: `POST /v1/responses` and its typed events. Format: <https://platform.openai.com/docs/api-reference/responses>, with what Codex sends besides.
//!
//! Not translated, and refused by name: what the provider keeps (`previous_response_id`, `conversation`, `prompt`, `store: true`, item references, compactions),
//! `background`, `truncation: "auto"`, logprobs, and hosted tools. Two go without a word: the search that Codex offers with every request beside its own tools, and
//! the hosted search among deferred tools, all of which the model gets at once. The notes of a hosted search in a conversation that began elsewhere are left out, since the answer that was made
//! of them follows. `local_shell` goes to other dialects as a function, and tools in a `namespace` under a joined name; both are turned back in the answer.
//!
//! Thoughts are `reasoning` items. To a caller they go as summaries, whoever thought them, because that is what clients show and send back. Sealed thoughts of
//! other providers stand in `encrypted_content` with a mark; [`seal`] has the marks for what has no item of its own. Whether a tool failed has no
//! field here: its result begins with `Error:`.

mod answer;
mod echo;
mod emit;
mod failure;
mod input;
mod item;
mod local_shell;
mod request_parse;
mod request_render;
mod seal;
mod stream_parse;
mod stream_render;
mod tools;
mod written;

pub use answer::{parse_answer, render_answer};
pub use failure::{brief, fail_begun};
pub use request_parse::parse_request;
pub use request_render::render_request;
pub use stream_parse::StreamParser;
pub use stream_render::StreamRenderer;

#[cfg(test)]
mod tests;
