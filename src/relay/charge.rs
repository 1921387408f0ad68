//! The charge of one request, from its hold to its settlement. Whoever drops it unsettled (a client that went away, a
//! panic) has it settled all the same, on a task that a shutdown waits for.

use super::Relay;
use super::bound::Size;
use super::cache::CacheKey;
use super::count::{self, Care, Media};
use super::dialect::canonical::{Request, Unfit};
use super::dialect::{self, Dialect};
use super::envelope::Envelope;
use super::operation::{Operation, Tongue};
use super::paying::Paying;
use super::route::Decision;
use super::route::affinity::{self, Hints};
use crate::channels::{self, Channel};
use crate::failpoint;
use crate::kernel::{Id, Prices, Usage, Usd};
use crate::ledger::{self, Hold, LedgerError};
use crate::limits::Permit;
use crate::usage::{Detail, Outcome, Record};
use bytes::Bytes;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes of text that are spoken in a second, slowly: some two words of English, four signs of Chinese.
const SPOKEN_PER_SECOND: u64 = 12;

/// What does not change while a request runs.
pub(super) struct Call {
    pub(super) id: Id,
    pub(super) user: Id,
    pub(super) key: Id,
    pub(super) envelope: Envelope,
    pub(super) content_type: String,
    pub(super) body: Bytes,
    /// The model's own; see [`Call::prices`].
    pub(super) prices: Prices,
    /// The row of the prices.
    pub(super) price: Option<Id>,
    pub(super) size: Size,
    pub(super) started_ms: i64,
    /// Headers of the caller's that an upstream of the same dialect gets to see.
    pub(super) betas: Vec<(axum::http::HeaderName, axum::http::HeaderValue)>,
    /// A Gemini stream is wanted as one JSON array.
    pub(super) array: bool,
    /// Under which the answer may be kept.
    pub(super) cache_key: Option<CacheKey>,
    /// How it is paid, once money is held by a plan's terms.
    pub(super) paying: OnceLock<Paying>,
    /// Its client has gone, and its answer is waited for all the same.
    pub(super) has_left: AtomicBool,
    /// The request in the form between the dialects, once somebody needed it.
    canonical: OnceLock<Result<Arc<Request>, Unfit>>,
}

/// What a [`Call`] is made from.
pub(super) struct CallParts {
    pub(super) id: Id,
    pub(super) user: Id,
    pub(super) key: Id,
    pub(super) envelope: Envelope,
    pub(super) content_type: String,
    pub(super) body: Bytes,
    pub(super) prices: Prices,
    /// The row of the prices.
    pub(super) price: Option<Id>,
    pub(super) size: Size,
    pub(super) started_ms: i64,
    pub(super) betas: Vec<(axum::http::HeaderName, axum::http::HeaderValue)>,
    pub(super) array: bool,
    pub(super) cache_key: Option<CacheKey>,
}

impl From<CallParts> for Call {
    fn from(parts: CallParts) -> Self {
        let CallParts { id, user, key, envelope, content_type, body, prices, price, size, started_ms, betas, array, cache_key } = parts;
        let (paying, has_left, canonical) = (OnceLock::new(), AtomicBool::new(false), OnceLock::new());
        Self { id, user, key, envelope, content_type, body, prices, price, size, started_ms, betas, array, cache_key, paying, has_left, canonical }
    }
}

impl Call {
    /// In whose words its errors are told.
    pub(super) fn tongue(&self) -> Tongue {
        self.envelope.operation.tongue()
    }

    /// Whether nobody waits for its answer any longer.
    pub(super) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Relaxed)
    }

    /// The request in the form between the dialects.
    ///
    /// # Errors
    /// When it has something that no other dialect can say.
    pub(super) fn canonical(&self, dialect: Dialect) -> Result<Arc<Request>, Unfit> {
        let parse = || dialect::parse_request(dialect, &self.body, &self.envelope.model, self.envelope.stream).map(Arc::new);
        self.canonical.get_or_init(parse).clone()
    }

    /// The number of the conversation that the request belongs to.
    pub(super) fn affinity(&self, headers: &axum::http::HeaderMap) -> Option<u64> {
        let named = self.envelope.affinity.as_deref();
        let (system, first_user) = self.envelope.opening(&self.body);
        let hints = match self.tongue() {
            Tongue::Anthropic => Hints { metadata_user_id: named, system: &system, first_user: &first_user, ..Hints::default() },
            _ => Hints { prompt_cache_key: named, system: &system, first_user: &first_user, ..Hints::default() },
        };
        affinity::of(self.user, headers, &hints)
    }

    /// The input tokens, counted.
    pub(super) fn count_input(&self) -> u64 {
        count_input(&self.envelope, &self.body, Care::AtMost)
    }

    /// How long its text takes to say, in milliseconds.
    fn spoken_ms(&self) -> u64 {
        let bytes: usize = self.envelope.texts(&self.body).0.iter().map(|text| text.len()).sum();
        (bytes as u64).saturating_mul(1_000) / SPOKEN_PER_SECOND
    }

    /// What a request used that nothing came of: what it brought to be read, heard and spoken.
    fn used_as_asked(&self) -> Used {
        let Usage { audio_ms, characters, .. } = self.known_usage();
        Used::Delivered { text: String::new(), told: Usage { audio_ms, characters, ..Usage::default() }, spoken_ms: Some(0) }
    }

    /// The input tokens of its text alone, counted.
    pub(super) fn count_text(&self) -> u64 {
        count_texts(&self.envelope, &self.body, Care::AtMost)
    }
}

/// The input tokens of a request, counted: what is only known by its address at what it usually counts.
pub(super) fn count_input(envelope: &Envelope, body: &[u8], care: Care) -> u64 {
    let usual = |media: &Media| media.usual(&envelope.model);
    let media = match envelope.form() {
        Some(_) => envelope.pictures.saturating_mul(count::PER_MEDIA_PART),
        None => count::input_bound(body).media.iter().map(usual).fold(0, u64::saturating_add),
    };
    count_texts(envelope, body, care).saturating_add(media)
}

fn count_texts(envelope: &Envelope, body: &[u8], care: Care) -> u64 {
    let (texts, tokens) = envelope.texts(body);
    let turns = if matches!(envelope.operation, Operation::Generate(_)) { envelope.turns } else { 0 };
    let again: u64 = envelope.again(body).iter().map(|text| count::text_with(&envelope.model, care, text)).sum();
    let once = count::input(&envelope.model, care, texts.iter().map(AsRef::as_ref), turns, 0);
    once.saturating_add(tokens).saturating_add(again.saturating_mul(envelope.again))
}

/// What a request used.
pub(super) enum Used {
    /// Nothing that is charged: no upstream gave an answer.
    Nothing,
    /// What the upstream reported.
    Reported(Usage),
    /// Not reported, or not all of it: the input is counted, and the output from the text that was delivered.
    Delivered {
        /// The text.
        text: String,
        /// What the upstream did report.
        told: Usage,
        /// How long the sound is that was made, when its bytes tell; else the text that was to be spoken does.
        spoken_ms: Option<u64>,
    },
    /// Nothing now: it was kept from an identical request.
    Again {
        /// What that one used.
        usage: Usage,
        /// What this one is charged.
        cost: Usd,
    },
}

/// How a request ended.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) status: u16,
    pub(super) used: Used,
    pub(super) error: Option<String>,
}

/// What a settled request came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    /// What was charged.
    pub(super) charge: ledger::Charge,
    /// What it was charged for.
    pub(super) usage: Usage,
}

/// A request that is being served.
pub(super) struct Charge {
    relay: Relay,
    pub(super) call: Arc<Call>,
    hold: Option<Hold>,
    /// Who answers, or was tried last, and the upstream's name of the model there.
    pub(super) serving: Option<(Arc<Channel>, String)>,
    /// The place that the request takes on its channel.
    pub(super) way: Option<channels::Permit>,
    /// The place that the request takes in the limits of its key and its customer.
    pub(super) permit: Permit,
    /// Who was tried, and why.
    pub(super) decision: Decision,
    pub(super) first_byte_ms: Option<i64>,
    /// The most output tokens that the upstream was asked for, all choices together, or that are held for where no cap was sent.
    pub(super) output_cap: u64,
    /// Under which the answer may be kept: none when it will be shorter than what was asked for.
    pub(super) cache_key: Option<CacheKey>,
    /// The upstream was told a cap.
    pub(super) is_capped: bool,
    /// An upstream was asked: from here on at least the input is charged when the client leaves.
    pub(super) dispatched: bool,
    settled: bool,
}

impl Charge {
    /// Takes charge of a hold; none when the model costs nothing.
    pub(super) fn new(relay: Relay, call: Arc<Call>, hold: Option<Hold>, permit: Permit) -> Self {
        let output_cap = call.size.output_limit(call.prices(), hold.as_ref().map(|hold| hold.amount));
        let (serving, way, decision, cache_key) = (None, None, Decision::default(), call.cache_key);
        let is_capped = call.size.output_cap.is_some_and(|cap| cap > 0);
        Self { relay, call, hold, serving, way, permit, decision, first_byte_ms: None, output_cap, is_capped, cache_key, dispatched: false, settled: false }
    }

    /// The relay that serves it.
    pub(super) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// What is held for it; none for what costs nothing.
    pub(super) fn held(&self) -> Option<Usd> {
        self.hold.as_ref().map(|hold| hold.amount)
    }

    /// The answer's first byte is here.
    pub(super) fn first_byte(&mut self) {
        self.first_byte_ms.get_or_insert(self.relay.kit.clock.now_ms());
    }

    /// Writes down what the request has cost so far, in case the node dies.
    pub(super) fn checkpoint(&self, usage: Usage) {
        if let Some(hold) = &self.hold {
            self.relay.meter.checkpoint(hold.id, self.call.prices().charge(&usage));
        }
    }

    /// Settles; when this returns, the charge and the usage row are durable.
    ///
    /// # Errors
    /// The ledger's; recovery then settles.
    pub(super) fn settle(mut self, ending: Ending) -> impl Future<Output = Result<Settled, LedgerError>> + Send + use<> {
        // On a task of its own, and begun here: a client that leaves before or while somebody waits for it must not stop it.
        let settlement = self.settlement();
        let running = self.relay.tasks.spawn(settlement.run(ending));
        async move { running.await.map_err(|_| LedgerError::Stopped)? }
    }

    fn settlement(&mut self) -> Settlement {
        self.settled = true;
        Settlement {
            relay: self.relay.clone(),
            call: Arc::clone(&self.call),
            hold: self.hold.take(),
            serving: self.serving.take(),
            way: self.way.take(),
            permit: std::mem::take(&mut self.permit),
            decision: std::mem::take(&mut self.decision),
            first_byte_ms: self.first_byte_ms,
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let used = if self.dispatched { self.call.used_as_asked() } else { Used::Nothing };
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
    serving: Option<(Arc<Channel>, String)>,
    way: Option<channels::Permit>,
    permit: Permit,
    decision: Decision,
    first_byte_ms: Option<i64>,
}

impl Settlement {
    async fn run(self, ending: Ending) -> Result<Settled, LedgerError> {
        let call = &self.call;
        let prices = call.prices();
        let answered = self.first_byte_ms.is_some() && !matches!(ending.used, Used::Nothing);
        let (usage, counted, cost) = match ending.used {
            Used::Nothing => (Usage::default(), false, Usd::ZERO),
            Used::Reported(usage) => (usage, false, prices.charge(&usage)),
            Used::Delivered { text, told, spoken_ms } => {
                let usage = count_delivered(Arc::clone(call), text, told, spoken_ms).await;
                // The price of a request is for an answer.
                let cost = if self.first_byte_ms.is_some() { prices.charge(&usage) } else { prices.cost(usage) };
                (usage, true, cost)
            }
            Used::Again { usage, cost } => (usage, false, cost),
        };
        // The channel is free again before the books are written.
        drop(self.way);
        self.permit.finish(usage.all_input().saturating_add(usage.all_output()));
        let upstream = self.serving.as_ref().map(|(channel, model)| (channel.id, model));
        let record = Record {
            id: call.id,
            user: call.user,
            key: call.key,
            channel: upstream.map(|(id, _)| id),
            model: call.envelope.model.clone(),
            streamed: call.envelope.stream,
            status: ending.status,
            outcome: ending.outcome,
            usage,
            counted,
            ttft_ms: self.first_byte_ms.map(|at| (at - call.started_ms).max(0)),
            duration_ms: (self.relay.kit.clock.now_ms() - call.started_ms).max(0),
            error: ending.error,
            detail: Detail {
                operation: operation_word(call.envelope.operation),
                price: call.price,
                upstream_cost: self.serving.as_ref().and_then(|(channel, model)| upstream_cost(channel, model, usage, answered)),
                upstream_model: self.serving.as_ref().filter(|(_, model)| *model != call.envelope.model).map(|(_, model)| model.clone()),
                route: Some(self.decision.write()),
                plan: call.paying.get().and_then(|paying| paying.plan),
                factor: call.paying.get().and_then(|paying| paying.factor),
            },
        };
        failpoint::reach("capture");
        let charge = match self.hold {
            Some(hold) => {
                let charge = self.relay.meter.settle(hold, cost, Some(record)).await?;
                failpoint::reach("capture_committed");
                charge
            }
            None => {
                debug_assert!(cost == Usd::ZERO, "only what costs nothing runs without a hold");
                self.relay.meter.note(record).await?;
                ledger::Charge::default()
            }
        };
        drop(self.permit);
        Ok(Settled { charge, usage })
    }
}

/// What is asked for, as rows have it: most are chat completions, which goes without saying.
pub(super) fn operation_word(operation: Operation) -> Option<&'static str> {
    if operation == Operation::Generate(Dialect::Chat) { None } else { Some(operation.word()) }
}

/// What the upstream asks for it, when the admin has said what it costs.
fn upstream_cost(channel: &Channel, model: &str, usage: Usage, answered: bool) -> Option<Usd> {
    let prices = channel.cost(model)?.prices();
    Some(if answered { prices.charge(&usage) } else { prices.cost(usage) })
}

/// Counts a request here, beside what was told. Off the async threads: a long conversation takes milliseconds.
async fn count_delivered(call: Arc<Call>, delivered: String, told: Usage, spoken_ms: Option<u64>) -> Usage {
    let prices = call.prices().clone();
    let spoken_ms = spoken_ms.unwrap_or_else(|| if told.characters > 0 { call.spoken_ms() } else { 0 });
    // Should the tokenizer fail, an estimate is charged: an answer that was delivered is not free.
    let estimate = (count::estimate(call.body.len()), count::estimate(delivered.len()));
    let count = move || {
        let input = if told.all_input() > 0 { 0 } else { call.count_input() };
        (input, count::text_with(&call.envelope.model, Care::AtMost, &delivered))
    };
    let (input, output) = tokio::task::spawn_blocking(count).await.unwrap_or_else(|error| {
        tracing::error!(%error, "tokens could not be counted and were estimated");
        estimate
    });
    let input = if told.all_input() > 0 { told.input } else { input };
    // What the upstream said it thought is inside what it made, or was never said.
    let said = output.saturating_sub(told.reasoning);
    apart(told, said, prices.in_tokens(Usage { input, ..told }, spoken_ms))
}

/// The usage with `said` tokens of words, or as many as were told: what was told without its kinds has the sound and the pictures in it that `all` has beside.
pub(super) fn apart(told: Usage, said: u64, all: Usage) -> Usage {
    let sound = all.audio_output.saturating_sub(told.audio_output);
    let beside = sound.saturating_add(all.image_output.saturating_sub(told.image_output));
    Usage { output: said.max(told.output.saturating_sub(beside)), ..all }
}
