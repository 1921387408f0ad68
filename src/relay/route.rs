//! The choice of channels: who can serve a request, in which order.

use super::Relay;
use super::charge::Call;
use crate::channels::Channel;
use axum::http::HeaderMap;
use std::sync::Arc;

/// Why a request went where it went.
#[derive(Clone, Debug, Default)]
pub(super) struct Decision {}

/// The order in which channels are tried: highest priority first, weighted chance within one priority.
pub(super) fn order(relay: &Relay, call: &Call, _headers: &HeaderMap) -> Vec<Arc<Channel>> {
    let mut rest: Vec<Arc<Channel>> = relay.channels.candidates(&call.envelope.model).to_vec();
    let mut ordered = Vec::with_capacity(rest.len());
    while let Some(first) = rest.first() {
        let top = rest.iter().take_while(|channel| channel.priority == first.priority).count();
        let total: i64 = rest[..top].iter().map(|channel| channel.weight).sum();
        let mut draw = if top == 1 { 0 } else { relay.kit.random.below(total.unsigned_abs()) as i64 };
        let drawn = rest[..top].iter().position(|channel| {
            draw -= channel.weight;
            draw < 0
        });
        ordered.push(rest.remove(drawn.unwrap_or(0)));
    }
    ordered
}
