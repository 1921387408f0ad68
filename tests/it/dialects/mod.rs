//! The translators between the dialects: golden files, round trips of whatever a dialect can say, and bytes without sense.

mod edges;
mod events;
mod fuzz;
mod generate;
mod golden;
mod round_trip;

use farebox::relay::dialect::canonical::Request;
use farebox::relay::dialect::{Dialect, Echo, Target};
use std::sync::Arc;

/// The dialects under test.
const DIALECTS: [Dialect; 4] = Dialect::ALL;

/// An upstream of each dialect: OpenAI's own service or Azure's, or a server that is compatible with it.
fn target(dialect: Dialect, request: &Request, is_openai: bool) -> Target<'static> {
    let model = match dialect {
        Dialect::Chat | Dialect::Responses if is_openai => "gpt-4.1",
        Dialect::Chat | Dialect::Responses => "deepseek-chat",
        Dialect::Messages => "claude-opus-4-6",
        Dialect::Gemini => "gemini-2.5-pro",
    };
    Target { model, output_cap: request.output_cap, default_cap: 8_192, is_openai }
}

/// What an answer to `request` repeats.
fn echo(request: Request) -> Echo {
    Echo { request: Arc::new(request), model: "public-model".to_owned(), id: "req_1".to_owned(), created: 1_700_000_000, include_usage: true, input_tokens: 7 }
}
