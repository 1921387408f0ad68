//! How much room a request needs in a model's context, at least: for channels and models that say how much they have.
//!
//! A channel is left out, and a request refused, only on what is counted: bytes tell little, since a Chinese letter may take three or six of them and a row of spaces may be
//! one token. They do tell when a request surely fits, and most do, so that nothing is counted for those.

use crate::relay::Relay;
use crate::relay::charge::Call;
use crate::relay::count;
use crate::relay::operation::Operation;
use std::sync::Arc;

/// A token seldom has less bytes than this: with so few bytes a request fits.
const BYTES_PER_TOKEN: u64 = 2;

/// The tokens that a request needs at least, input and what its caller asked of output together, when they may be more than `smallest`; else fewer than are needed. Nothing
/// is counted beyond `largest`, the largest room that anybody has.
pub(super) async fn needed(relay: &Relay, call: &Arc<Call>, smallest: Option<u64>, largest: Option<u64>) -> u64 {
    let (Some(smallest), Some(largest)) = (smallest, largest) else { return 0 };
    let output = call.size.asked_output();
    let surely_fits = move |bytes: usize| (bytes as u64 / BYTES_PER_TOKEN).saturating_add(output) <= smallest;
    if surely_fits(call.size.bytes) {
        return 0;
    }
    // Few at a time: nobody has paid for it yet.
    let Ok(_turn) = relay.measuring.acquire().await else { return 0 };
    let counted = Arc::clone(call);
    let count = move || {
        let texts = counted.envelope.letters(&counted.body);
        let bytes = texts.iter().map(|text| text.len()).sum();
        if surely_fits(bytes) { 0 } else { at_least(&counted, texts.iter().map(AsRef::as_ref), largest) }
    };
    let input = tokio::task::spawn_blocking(count).await.unwrap_or_default();
    if input == 0 { 0 } else { input.saturating_add(output) }
}

/// The tokens of the texts: of a conversation all together, of a batch the longest.
fn at_least<'a>(call: &Call, texts: impl Iterator<Item = &'a str>, enough: u64) -> u64 {
    let is_one = matches!(call.envelope.operation, Operation::Generate(_));
    let (mut sum, mut longest) = (0u64, 0u64);
    for text in texts {
        let tokens = count::at_least(&call.envelope.model, text);
        sum = sum.saturating_add(tokens);
        longest = longest.max(tokens);
        if if is_one { sum } else { longest } > enough {
            break;
        }
    }
    if is_one { sum } else { longest }
}
