//! A stream whose client has gone. Most upstreams tell only at the end what was thought and not shown, and the shop pays for that as for words: they are read on for a while,
//! or whoever leaves just before the end would have thoughts for nothing. Nothing of it is kept but what the end tells.

use super::{CAP_GRACE, MAX_TEXT, Stream};
use crate::relay::charge::{Ending, Used};
use crate::relay::count;
use crate::usage::Outcome;
use bytes::Bytes;
use std::future::poll_fn;

impl Stream {
    /// The client has gone.
    pub(super) fn left(mut self) {
        let Some(charge) = &self.charge else { return };
        let relay = charge.relay().clone();
        let tells_more = !relay.config.read_on.is_zero() && self.flow.tells_at_the_end() && self.used_as_reported().is_none();
        let Some(afterward) = tells_more.then(|| relay.afterwards.begin()).flatten() else {
            let used = self.used();
            return self.settle_left(used);
        };
        // Its place is free for the next.
        let tokens = count::estimate(charge.call.size.bytes).saturating_add(count::estimate(self.flow.text_len()));
        charge.permit.finish(tokens);
        relay.tasks.clone().spawn(async move {
            let delivered = self.used();
            // From here on nothing is delivered, and no more than is held for is looked at.
            (self.counted, self.review_at) = ((0, 0), self.flow.events() + CAP_GRACE);
            afterward.wait(relay.config.read_on, self.read_on()).await;
            let used = self.used_as_reported().unwrap_or(delivered);
            self.settle_left(used);
        });
    }

    fn settle_left(mut self, used: Used) {
        if let Some(mut charge) = self.charge.take() {
            charge.abandon(Ending { outcome: Outcome::ClientGone, status: 200, used, error: None });
        }
    }

    /// Reads until all is told, or nothing more is to come.
    async fn read_on(&mut self) {
        loop {
            let piece = match self.first.take() {
                Some(piece) => piece,
                None => match poll_fn(|cx| http_body::Body::poll_frame(self.upstream.as_mut(), cx)).await {
                    Some(Ok(frame)) => frame.into_data().unwrap_or_else(|_| Bytes::new()),
                    Some(Err(_)) => return,
                    None => return drop(self.flow.end()),
                },
            };
            let piece = self.part(piece);
            let taken = self.flow.push(piece);
            let is_over = taken.done || taken.broken.is_some() || self.used_as_reported().is_some();
            if is_over || self.flow.text_len() > MAX_TEXT || self.is_beyond_cap() || self.is_beyond_hold() {
                return;
            }
        }
    }
}
