//! What lies between an upstream's stream and the client's: nothing but a look, when both speak the same dialect, or a translator.

mod array;
mod pass;
mod translate;

pub(super) use pass::{Pass, PassOptions};
pub(super) use translate::Translation;

use super::charge::Settled;
use super::count;
use super::error::ApiError;
use super::scan::Made;
use crate::kernel::Usage;
use bytes::Bytes;

/// What a piece of an upstream's stream comes to.
pub(super) struct Taken {
    /// What the client gets now.
    pub(super) forward: Bytes,
    /// The stream said that it is complete.
    pub(super) done: bool,
    /// Why it cannot go on; `forward` still stands.
    pub(super) broken: Option<String>,
}

/// The way of a stream.
pub(super) enum Flow {
    /// Bytes pass untouched.
    Pass(Box<Pass>),
    /// Events are parsed and rendered.
    Translation(Box<Translation>),
}

impl Flow {
    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: Bytes) -> Taken {
        match self {
            Flow::Pass(pass) => pass.push(piece),
            Flow::Translation(translation) => translation.push(piece),
        }
    }

    /// The upstream's bytes are over.
    ///
    /// # Errors
    /// Why the stream was not complete.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self {
            Flow::Pass(pass) => pass.end(),
            Flow::Translation(translation) => translation.end(),
        }
    }

    /// What says "complete" to the client.
    pub(super) fn finish(&mut self, settled: &Settled) -> Bytes {
        match self {
            Flow::Pass(pass) => pass.finish(settled),
            Flow::Translation(translation) => translation.finish(settled),
        }
    }

    /// The error event after which nothing follows.
    pub(super) fn fail(&mut self, error: &ApiError) -> Bytes {
        match self {
            Flow::Pass(pass) => pass.fail(error),
            Flow::Translation(translation) => translation.fail(error),
        }
    }

    /// All of the usage, when it was told.
    pub(super) fn reported(&self) -> Option<Usage> {
        match self {
            Flow::Pass(pass) => pass.scanner.reported(),
            Flow::Translation(translation) => translation.reported(),
        }
    }

    /// What of the usage was told so far.
    pub(super) fn told(&self) -> Usage {
        match self {
            Flow::Pass(pass) => pass.told(),
            Flow::Translation(translation) => translation.told(),
        }
    }

    /// Whether all of the usage is told at the end alone: Gemini tells what it thought as it goes.
    pub(super) fn tells_at_the_end(&self) -> bool {
        match self {
            Flow::Pass(pass) => pass.tells_at_the_end(),
            Flow::Translation(translation) => translation.tells_at_the_end,
        }
    }

    /// How many events the client got.
    pub(super) fn events(&self) -> u64 {
        match self {
            Flow::Pass(pass) => pass.delivered.count,
            Flow::Translation(translation) => translation.events,
        }
    }

    /// The pictures and the sound that the client got inside the answer, as far as it was looked at: all, once its text was taken.
    pub(super) fn made(&self) -> Made {
        match self {
            Flow::Pass(pass) => pass.delivered.made,
            Flow::Translation(translation) => translation.made,
        }
    }

    /// How long the text is that the client got, in bytes; of a stream that passes untouched, at most.
    pub(super) fn text_len(&self) -> usize {
        match self {
            Flow::Pass(pass) => pass.delivered.text_len(),
            Flow::Translation(translation) => translation.text.len(),
        }
    }

    fn text(&mut self) -> &mut String {
        match self {
            Flow::Pass(pass) => {
                pass.delivered.reduce();
                &mut pass.delivered.text
            }
            Flow::Translation(translation) => &mut translation.text,
        }
    }

    /// The tokens of the text that the client got, from a place where one was counted before, and where that text ends.
    pub(super) fn count_text(&mut self, model: &str, from: usize) -> (u64, usize) {
        let text = self.text();
        (text.get(from..).map_or(0, |text| count::text(model, text)), text.len())
    }

    /// The text that goes out with the end of the stream.
    pub(super) fn kept_text(&self) -> String {
        match self {
            Flow::Pass(pass) => pass.kept_text(),
            // Nothing of it waits but its end.
            Flow::Translation(_) => String::new(),
        }
    }

    /// The client gets what was kept back, which has this text.
    pub(super) fn add_kept(&mut self, text: &str) {
        if let Flow::Pass(pass) = self {
            pass.add_kept(text);
        }
    }

    /// The text that the client got.
    pub(super) fn take_text(&mut self) -> String {
        std::mem::take(self.text())
    }
}
