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

/// An upstream of each dialect.
fn target(dialect: Dialect, request: &Request) -> Target<'static> {
    let model = match dialect {
        Dialect::Chat | Dialect::Responses => "gpt-4.1",
        Dialect::Messages => "claude-opus-4-6",
        Dialect::Gemini => "gemini-2.5-pro",
    };
    Target { model, output_cap: request.output_cap, default_cap: 8_192, is_openai: true }
}

/// What an answer to `request` repeats.
fn echo(request: Request) -> Echo {
    Echo { request: Arc::new(request), model: "public-model".to_owned(), id: "req_1".to_owned(), created: 1_700_000_000, include_usage: true, input_tokens: 7 }
}
