//! What can go wrong with an answer, by name and by chance.

use super::switches::{Luck, SOME_CHUNKS};
use super::words::Dice;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error answer with this status.
    Status(u16),
    /// There is nothing at this path, in the words of a server that knows no dialect.
    Absent,
    /// The connection closes without an answer.
    HangUp,
    /// The connection is reset: without an answer, or after so many chunks.
    Reset(Option<u64>),
    /// Silence: from the start, or after so many chunks.
    Stall(Option<u64>),
    /// The connection breaks after so many chunks.
    Cut(u64),
    /// A clean end after so many chunks, without the closing events.
    Short(u64),
    /// A clean end after so many chunks, in the middle of an event.
    Torn(u64),
    /// An error event after so many chunks.
    ErrorEvent(u64),
    /// An error event after so many chunks that speaks of too much work.
    Overload(u64),
    /// Garbage after so many chunks, then the end.
    BadSse(u64),
    /// Garbage after so many chunks, then the rest of the answer.
    Noise(u64),
    /// A body that is not JSON.
    BadJson,
    /// A body of no bytes.
    Empty,
    /// A web page.
    Html,
    /// A redirect.
    Redirect,
    /// A body without end.
    Endless,
}

/// Failures that pass: what another try may not meet again.
const PASSING: &[Fault] = &[
    Fault::Status(408),
    Fault::Status(409),
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Status(504),
    Fault::HangUp,
    Fault::Reset(None),
];

/// Failures of the key, of the body, and in the middle of an answer. A stall is not among them, for it would only cost time.
const WORSE: &[Fault] = &[
    Fault::Status(401),
    Fault::Status(402),
    Fault::Status(403),
    Fault::Html,
    Fault::Redirect,
    Fault::BadJson,
    Fault::Empty,
    Fault::Cut(2),
    Fault::Reset(Some(2)),
    Fault::Short(2),
    Fault::Torn(2),
    Fault::ErrorEvent(2),
    Fault::Overload(0),
    Fault::BadSse(1),
];

/// The fault that strikes the request of that number, if any does.
pub(super) fn by_chance(luck: Luck, seed: u64, number: u64) -> Option<Fault> {
    let mut dice = Dice::of("chance", seed.rotate_left(32) ^ number);
    if dice.below(100) as u64 >= luck.percent {
        return None;
    }
    let all = PASSING.len() + if luck.everything { WORSE.len() } else { 0 };
    PASSING.iter().chain(WORSE).nth(dice.below(all)).cloned()
}

/// The fault of a switch.
pub(super) fn named(name: &str, argument: Option<u64>) -> Option<Fault> {
    let chunks = argument.unwrap_or(SOME_CHUNKS);
    Some(match name {
        "hang-up" => Fault::HangUp,
        "absent" => Fault::Absent,
        "reset" => Fault::Reset(argument.filter(|n| *n > 0)),
        "stall" => Fault::Stall(argument.filter(|n| *n > 0)),
        "cut" => Fault::Cut(chunks),
        "short" => Fault::Short(chunks),
        "torn" => Fault::Torn(chunks),
        "error-event" => Fault::ErrorEvent(chunks),
        "overload" => Fault::Overload(chunks),
        "bad-sse" => Fault::BadSse(chunks),
        "noise" => Fault::Noise(chunks),
        "bad-json" => Fault::BadJson,
        "empty" => Fault::Empty,
        "html" => Fault::Html,
        "redirect" => Fault::Redirect,
        "endless" => Fault::Endless,
        status => Fault::Status(status.parse().ok().filter(|code| (400..600).contains(code) && status.len() == 3)?),
    })
}

/// Whether a number behind the name belongs to it.
pub(super) fn takes_argument(name: &str) -> bool {
    matches!(name, "reset" | "stall" | "cut" | "short" | "torn" | "error-event" | "overload" | "bad-sse" | "noise")
}
