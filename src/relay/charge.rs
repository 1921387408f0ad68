//! The charge of one request, from its hold to its settlement. Whoever drops it unsettled (a client that went away, a
//! panic) has it settled all the same, on a task that a shutdown waits for.

use super::Relay;
use super::count;
use super::dialect::openai_chat::{self, ChatRequest};
use crate::failpoint;
use crate::kernel::{Id, Prices, Usage, Usd};
use crate::ledger::{self, Hold, LedgerError};
use crate::usage::{Outcome, Record};
use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;

/// What does not change while a request runs.
pub(super) struct Call {
    pub(super) id: Id,
    pub(super) user: Id,
    pub(super) key: Id,
    pub(super) request: ChatRequest,
    pub(super) body: Bytes,
    pub(super) prices: Prices,
    pub(super) started_ms: i64,
}

/// What a request used.
pub(super) enum Used {
    /// Nothing that is charged: no upstream gave an answer.
    Nothing,
    /// What the upstream reported.
    Reported(Usage),
    /// Not reported: the input is counted, and the output from the text that was delivered.
    Delivered(String),
}

/// How a request ended.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) status: u16,
    pub(super) used: Used,
    pub(super) error: Option<String>,
}

/// A request that is being served.
pub(super) struct Charge {
    relay: Relay,
    pub(super) call: Arc<Call>,
    hold: Option<Hold>,
    pub(super) channel: Option<Id>,
    pub(super) first_byte_ms: Option<i64>,
    /// The most output tokens that the upstream was asked for, all choices together.
    pub(super) output_cap: u64,
    /// An upstream was asked: from here on at least the input is charged when the client leaves.
    pub(super) dispatched: bool,
    settled: bool,
}

impl Charge {
    /// Takes charge of a hold; none when the model costs nothing.
    pub(super) fn new(relay: Relay, call: Arc<Call>, hold: Option<Hold>, output_cap: u64) -> Self {
        Self { relay, call, hold, channel: None, first_byte_ms: None, output_cap, dispatched: false, settled: false }
    }

    /// The relay that serves it.
    pub(super) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// The answer's first byte is here.
    pub(super) fn first_byte(&mut self) {
        self.first_byte_ms.get_or_insert(self.relay.kit.clock.now_ms());
    }

    /// Writes down what the request has cost so far, in case the node dies.
    pub(super) fn checkpoint(&self, usage: Usage) {
        if let Some(hold) = &self.hold {
            self.relay.meter.checkpoint(hold.id, self.call.prices.cost(usage));
        }
    }

    /// Settles; when this returns, the charge and the usage row are durable.
    ///
    /// # Errors
    /// The ledger's; recovery then settles.
    pub(super) fn settle(mut self, ending: Ending) -> impl Future<Output = Result<ledger::Charge, LedgerError>> + Send + use<> {
        // On a task of its own, and begun here: a client that leaves before or while somebody waits for it must not stop it.
        let settlement = self.settlement();
        let running = self.relay.tasks.spawn(settlement.run(ending));
        async move { running.await.map_err(|_| LedgerError::Stopped)? }
    }

    fn settlement(&mut self) -> Settlement {
        self.settled = true;
        Settlement { relay: self.relay.clone(), call: Arc::clone(&self.call), hold: self.hold.take(), channel: self.channel, first_byte_ms: self.first_byte_ms }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let used = if self.dispatched { Used::Delivered(String::new()) } else { Used::Nothing };
        self.abandon(Ending { outcome: Outcome::ClientGone, status: 499, used, error: None });
    }
}

impl Charge {
    /// Settles without anybody waiting for it.
    pub(super) fn abandon(&mut self, ending: Ending) {
        let job = self.settlement();
        let id = self.call.id;
        self.relay.tasks.spawn(async move {
            if let Err(error) = job.run(ending).await {
                tracing::error!(%error, request = %id, "a request could not be settled; recovery will");
            }
        });
    }
}

struct Settlement {
    relay: Relay,
    call: Arc<Call>,
    hold: Option<Hold>,
    channel: Option<Id>,
    first_byte_ms: Option<i64>,
}

impl Settlement {
    async fn run(self, ending: Ending) -> Result<ledger::Charge, LedgerError> {
        let call = &self.call;
        let (usage, counted) = match ending.used {
            Used::Nothing => (Usage::default(), false),
            Used::Reported(usage) => (usage, false),
            Used::Delivered(text) => (count_delivered(Arc::clone(call), text).await, true),
        };
        let cost = call.prices.cost(usage);
        let record = Record {
            id: call.id,
            user: call.user,
            key: call.key,
            channel: self.channel,
            model: call.request.model.clone(),
            streamed: call.request.stream,
            status: ending.status,
            outcome: ending.outcome,
            usage,
            counted,
            ttft_ms: self.first_byte_ms.map(|at| (at - call.started_ms).max(0)),
            duration_ms: (self.relay.kit.clock.now_ms() - call.started_ms).max(0),
            error: ending.error,
        };
        failpoint::reach("capture");
        match self.hold {
            Some(hold) => {
                let charge = self.relay.meter.settle(hold, cost, Some(record)).await?;
                failpoint::reach("capture_committed");
                Ok(charge)
            }
            None => {
                debug_assert!(cost == Usd::ZERO, "only what costs nothing runs without a hold");
                self.relay.meter.note(record).await?;
                Ok(ledger::Charge::default())
            }
        }
    }
}

/// Counts a request here. Off the async threads: a long conversation takes milliseconds.
async fn count_delivered(call: Arc<Call>, delivered: String) -> Usage {
    // Should the tokenizer fail, an estimate is charged: an answer that was delivered is not free.
    let estimate = Usage { input: count::estimate(call.body.len()), output: count::estimate(delivered.len()), ..Usage::default() };
    let count = move || {
        let input = count_input(&call.request, &call.body);
        Usage { input, output: count::text(&call.request.model, &delivered), ..Usage::default() }
    };
    tokio::task::spawn_blocking(count).await.unwrap_or_else(|error| {
        tracing::error!(%error, "tokens could not be counted and were estimated");
        estimate
    })
}

/// The input tokens of a request, counted.
pub(super) fn count_input(request: &ChatRequest, body: &[u8]) -> u64 {
    let (mut texts, messages) = openai_chat::input_texts(request.messages(body));
    texts.extend(request.definitions(body).map(|json| String::from_utf8_lossy(json)));
    count::input(&request.model, texts.iter().map(AsRef::as_ref), messages, request.media_parts)
}
