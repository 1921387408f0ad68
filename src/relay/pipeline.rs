//! A call to an upstream from end to end: authenticate, read, price, admit, hold, dispatch, deliver, settle. The same for every operation.

use super::afterwards::Lasting;
use super::bound::{Fit, Size};
use super::cache::{CacheKey, Kept, Question};
use super::charge::{Call, CallParts, Charge, Ending, Used};
use super::dialect::embed;
use super::dispatch::{self, Dispatched, Whole};
use super::envelope::Envelope;
use super::error::ApiError;
use super::operation::{Operation, Tongue};
use super::refused::Blank;
use super::route::{Attempt, Route};
use super::stream::StreamBody;
use super::{COST, Relay, admit, auth, body, count, paying, report, scan, whole, with_request_id};
use crate::catalog::{Caching, Factor, Model};
use crate::kernel::{Id, Prices, Usage, Usd};
use crate::keys::Entry;
use crate::ledger::{Hold, LedgerError, Period, Whose};
use crate::limits::Permit;
use crate::usage::Outcome;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use std::sync::Arc;

/// What the address of a call says of it.
pub(super) struct Address<'a> {
    pub(super) operation: Operation,
    /// Of a Gemini call: the model, and whether a stream is asked for.
    pub(super) gemini: Option<(&'a str, bool)>,
    /// Of a Gemini stream: as one JSON array.
    pub(super) array: bool,
}

/// Answers a call.
pub(super) async fn answer(relay: &Relay, address: Address<'_>, request: Request) -> Response<Body> {
    let id = relay.kit.ids.next();
    let tongue = address.operation.tongue();
    let response = serve(relay, id, address, request).await.unwrap_or_else(|error| error.into_response(tongue, &id.to_string()));
    with_request_id(response, tongue, id)
}

async fn serve(relay: &Relay, id: Id, address: Address<'_>, request: Request) -> Result<Response<Body>, ApiError> {
    let started_ms = relay.kit.clock.now_ms();
    let (parts, incoming) = request.into_parts();
    let tongue = address.operation.tongue();
    let key = auth::authenticate(relay, tongue, &parts)?;
    let blank = Blank { relay, id, key: &key, operation: address.operation, started_ms };
    if let Err(error) = admit::check_address(&key, admit::address_of(relay, &parts)) {
        return Err(blank.turn_away("", false, error).await);
    }
    let body = match body::read(&parts.headers, incoming, &relay.bodies, key.user_id).await {
        Ok(body) => body,
        // It broke off: nobody is there to be told, and nothing was asked for.
        Err(error) if error.status == StatusCode::BAD_REQUEST => return Err(error),
        Err(error) if body::is_for_want_of_room(&error) => return Err(blank.turn_away("", false, error).await),
        Err(error) => return Err(blank.refuse("", false, error).await),
    };
    let content_type = header_text(&parts.headers, header::CONTENT_TYPE);
    let envelope = match Envelope::read(address.operation, address.gemini, content_type, &body) {
        Ok(envelope) => envelope,
        Err(error) => return Err(blank.refuse("", false, error).await),
    };
    let (model, streamed) = (envelope.model.clone(), envelope.stream);
    match prepare(relay, &key, envelope, started_ms) {
        Ok((model, envelope, price, prices)) => {
            let size = Size::of(&envelope, &body, model.max_output_tokens);
            let betas = betas(address.operation, &parts.headers);
            let cache_key = model.caching.as_ref().and_then(|caching| cache_key(&key, &model, caching, &envelope, &body, &betas, address.array));
            let call = Call::from(CallParts {
                id,
                user: key.user_id,
                key: key.key_id,
                betas,
                cache_key,
                content_type: content_type.to_owned(),
                array: address.array,
                envelope,
                body,
                prices,
                price: Some(price),
                size,
                started_ms,
            });
            relayed(relay, Arc::new(call), &model, &key, &parts.headers).await
        }
        Err(error) => Err(blank.refuse(&model, streamed, error).await),
    }
}

/// Headers with which a client switches on what is new in Anthropic's API; others of its headers stay here.
fn betas(operation: Operation, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    const PASSED: [HeaderName; 2] = [HeaderName::from_static("anthropic-beta"), HeaderName::from_static("anthropic-version")];
    if operation.tongue() != Tongue::Anthropic {
        return Vec::new();
    }
    PASSED.into_iter().flat_map(|name| headers.get_all(&name).iter().map(move |value| (name.clone(), value.clone()))).collect()
}

pub(super) fn header_text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn cache_key(
    key: &Entry,
    model: &Model,
    caching: &Caching,
    envelope: &Envelope,
    body: &[u8],
    betas: &[(HeaderName, HeaderValue)],
    array: bool,
) -> Option<CacheKey> {
    // The cost is of one request alone.
    if envelope.include_cost || envelope.form().is_some() {
        return None;
    }
    let mut besides: Vec<&[u8]> = betas.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]).collect();
    besides.push(if array { b"array" } else { b"" });
    let question = Question { customer: key.user_id, operation: envelope.operation.word(), model: model.id, stream: envelope.stream, besides: &besides, body };
    CacheKey::of(&question, caching)
}

/// The answer that was kept for an identical request, and the share of its price that it costs.
fn kept(relay: &Relay, call: &Call, model: &Model) -> Option<(Arc<Kept>, Factor)> {
    let (cache_key, caching) = (call.cache_key.as_ref()?, model.caching.as_ref()?);
    let kept = relay.cache.look(cache_key, call.started_ms, caching.ttl_ms)?;
    Some((kept, caching.factor))
}

/// Answers with what was kept.
async fn again(relay: &Relay, call: &Arc<Call>, key: &Entry, permit: Permit, kept: &Kept, share: Factor) -> Result<Response<Body>, ApiError> {
    let cost = |prices: &Prices| share.of(prices.charge(&kept.usage));
    let hold = match paying::reserve(relay, call, key, &|prices| (cost(prices), cost(prices))).await {
        Ok(hold) => hold,
        Err(error) => {
            let blank = Blank::of(relay, call, key);
            return Err(blank.leave(&call.envelope.model, call.envelope.stream, error).await);
        }
    };
    let cost = cost(call.prices());
    let charge = Charge::new(relay.clone(), Arc::clone(call), hold, permit);
    let ending = Ending { outcome: Outcome::Cached, status: 200, used: Used::Again { usage: kept.usage, cost }, error: None };
    let settled = charge.settle(ending).await.map_err(|_| ApiError::unavailable())?;
    let mut response = plain(StatusCode::OK, &kept.content_type, Body::from(kept.body.clone()));
    response.headers_mut().insert("x-farebox-cache", HeaderValue::from_static("hit"));
    if !call.envelope.stream
        && let Ok(value) = HeaderValue::try_from(settled.charge.charged.to_string())
    {
        response.headers_mut().insert(COST, value);
    }
    Ok(response)
}

fn prepare(relay: &Relay, key: &Entry, mut envelope: Envelope, now: i64) -> Result<(Arc<Model>, Envelope, Id, Prices), ApiError> {
    let name = &envelope.model;
    let model = relay.catalog.get(name).filter(|model| model.enabled).ok_or_else(|| ApiError::unknown_model(name))?;
    let (price, prices) = model.price_at(now).map(|(id, prices)| (id, prices.clone())).ok_or_else(|| ApiError::unpriced_model(name))?;
    admit::check_model(key, name)?;
    // What has no price here is refused where it would be done, so it is neither held for nor charged.
    if matches!(envelope.operation, Operation::Generate(_)) && !prices.sells_searches() {
        envelope.searches = 0;
    }
    Ok((model, envelope, price, prices))
}

async fn relayed(relay: &Relay, call: Arc<Call>, model: &Model, key: &Entry, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let permit = match admit::admit(relay, key, call.size.tokens_estimate(), call.tongue()).await {
        Ok(permit) => permit,
        Err(error) => {
            let blank = Blank::of(relay, &call, key);
            return Err(blank.turn_away(&call.envelope.model, call.envelope.stream, error).await);
        }
    };
    let limits = admit::headers(call.tongue(), &permit.rates(), call.started_ms);
    // Whatever comes of it: it was counted, and its caller is told what is left.
    match admitted(relay, &call, model, key, headers, permit).await {
        Ok(mut response) => {
            response.headers_mut().extend(limits);
            Ok(response)
        }
        Err(error) => Err(error.with_headers(limits)),
    }
}

/// What comes after the limits were asked.
async fn admitted(relay: &Relay, call: &Arc<Call>, model: &Model, key: &Entry, headers: &HeaderMap, permit: Permit) -> Result<Response<Body>, ApiError> {
    if let Some((kept, share)) = kept(relay, call, model) {
        return again(relay, call, key, permit, &kept, share).await;
    }
    let blank = Blank::of(relay, call, key);
    let refuse = |error| blank.leave(&call.envelope.model, call.envelope.stream, error);
    let (route, first) = match dispatch::plan(relay, call, model.context_length, headers).await {
        Ok(way) => way,
        Err((error, why_not)) => return Err(blank.unrouted(&call.envelope.model, call.envelope.stream, error, why_not).await),
    };
    let hold = match paying::reserve(relay, call, key, &|prices| (call.size.worst_case(prices), call.size.least(prices))).await {
        Ok(hold) => hold,
        Err(error) => return Err(refuse(error).await),
    };
    let (charge, cap) = admit(relay, call, hold, permit).await?;
    if call.envelope.stream {
        return run(charge, route, first, cap).await;
    }
    // Whole answers are told, and charged, at their end: whoever leaves before does not stop one.
    let permit = charge.permit.share();
    Lasting::new(relay, call, permit, run(charge, route, first, cap)).await
}

/// Takes charge of the hold. Returns also the output cap to send when the balance is too short for what was asked.
async fn admit(relay: &Relay, call: &Arc<Call>, hold: Option<Hold>, permit: Permit) -> Result<(Charge, Option<u64>), ApiError> {
    match hold {
        Some(hold) if hold.amount < call.size.worst_case(call.prices()) => fit_balance(relay, call, hold, permit).await,
        hold => Ok((Charge::new(relay.clone(), Arc::clone(call), hold, permit), None)),
    }
}

/// The balance is short of the worst case: the input is counted for real, and the output cap lowered to what is left.
async fn fit_balance(relay: &Relay, call: &Arc<Call>, hold: Hold, permit: Permit) -> Result<(Charge, Option<u64>), ApiError> {
    let (held, shortage) = (hold.amount, hold.short_of_budget);
    let mut charge = Charge::new(relay.clone(), Arc::clone(call), Some(hold), permit);
    let counted = Arc::clone(call);
    let input = tokio::task::spawn_blocking(move || counted.count_text()).await.map_err(|_| ApiError::internal())?;
    match call.size.fit(call.prices(), held, input) {
        Fit::AsAsked => Ok((charge, None)),
        Fit::Lowered(cap) => {
            charge.output_cap = cap.saturating_mul(call.envelope.choices);
            // The next who asks may have the money for all of it.
            charge.cache_key = None;
            charge.is_capped = true;
            Ok((charge, Some(cap)))
        }
        Fit::TooLittle => {
            let error = shortage.map_or(LedgerError::InsufficientBalance { available: held }, |shortage| shortage.refusal(held));
            let error = refused(relay, call, error);
            let ending = Ending { outcome: Outcome::Refused, status: error.status.as_u16(), used: Used::Nothing, error: error.code.map(str::to_owned) };
            charge.settle(ending).await.map_err(|error| refused(relay, call, error))?;
            Err(error)
        }
    }
}

pub(super) fn refused(relay: &Relay, call: &Call, error: LedgerError) -> ApiError {
    let shown = |left: Usd| left.max(Usd::ZERO).display_short();
    match error {
        LedgerError::InsufficientBalance { available } => {
            let ordinary = || ApiError::insufficient_balance(&available.display_short(), &relay.config.top_up_url);
            call.plan_used_up(relay).unwrap_or_else(ordinary)
        }
        LedgerError::KeyBudgetExhausted { left } => ApiError::key_budget(&shown(left)),
        LedgerError::UserBudgetExhausted { left } => ApiError::account_budget(&shown(left)),
        LedgerError::PeriodBudgetExhausted { whose, period, left, resets_at_ms } => {
            let whose = if whose == Whose::Key { "this key" } else { "your account" };
            let period = match period {
                Period::Day => "today",
                Period::Week => "this week",
                Period::Month => "this month",
            };
            let wait_ms = resets_at_ms.saturating_sub(relay.kit.clock.now_ms()).max(0);
            ApiError::period_budget(whose, period, &shown(left), u32::try_from(wait_ms / 1000 + 1).unwrap_or(u32::MAX))
        }
        LedgerError::NoWallet(_) => ApiError::insufficient_balance(&Usd::ZERO.display(), &relay.config.top_up_url),
        LedgerError::Stopped | LedgerError::Database(_) => {
            tracing::error!(%error, "the ledger cannot hold");
            ApiError::unavailable()
        }
        other => {
            tracing::error!(error = %other, "the ledger refused a hold");
            ApiError::internal()
        }
    }
}

async fn run(mut charge: Charge, mut route: Route, first: Attempt, cap: Option<u64>) -> Result<Response<Body>, ApiError> {
    match dispatch::dispatch(&mut charge, &mut route, first, cap).await {
        Dispatched::Whole(whole) => deliver(charge, whole).await,
        Dispatched::Stream { response, first, flow } => {
            let (array, relay) = (charge.call.array, charge.relay().clone());
            let body = StreamBody::new(charge, response, first, flow);
            Ok(streamed(Body::new(relay.watch.over(body, relay.config.idle_timeout)), array))
        }
        Dispatched::Refused { status, body, why } => {
            let ending = Ending {
                outcome: Outcome::UpstreamError,
                status: status.as_u16(),
                used: Used::Nothing,
                error: Some(format!("refused by the upstream: {}", first_of(&why))),
            };
            charge.settle(ending).await.map_err(|_| ApiError::unavailable())?;
            Ok(plain(status, "application/json", Body::from(body)))
        }
        Dispatched::Failed { error, why } => {
            let outcome = if error.status == StatusCode::BAD_REQUEST { Outcome::Refused } else { Outcome::UpstreamError };
            let ending = Ending { outcome, status: error.status.as_u16(), used: Used::Nothing, error: Some(first_of(&why)) };
            charge.settle(ending).await.map_err(|_| ApiError::unavailable())?;
            Err(error)
        }
    }
}

impl Call {
    /// What a report of the upstream's is held against.
    pub(super) fn report_bound(&self, output_cap: u64) -> report::Bound {
        let is_text = matches!(self.envelope.operation, Operation::Generate(_) | Operation::Completions);
        let pieces = (!is_text).then(|| self.size.most_of_pieces(self.prices()));
        let read = pieces.map_or_else(|| (self.size.bytes as u64).saturating_add(self.size.media_tokens), |most| most.all_input());
        let output = pieces.map_or(output_cap, |most| most.all_output());
        report::Bound { input: (!self.size.unseen).then_some(read), output: Some(output), pieces }
    }

    /// Whether a report can be true of what was asked. One that cannot is told to whoever reads the log.
    pub(super) fn believes(&self, usage: &Usage, output_cap: u64) -> bool {
        let is_plausible = report::plausible(usage, self.report_bound(output_cap));
        if !is_plausible {
            tracing::warn!(request = %self.id, model = self.envelope.model, ?usage, "an upstream reports usage that cannot be true of what was asked; it is counted here");
        }
        is_plausible
    }

    /// What the request itself tells of the usage, for upstreams that tell nothing.
    pub(super) fn known_usage(&self) -> Usage {
        let wanted = self.envelope.wanted;
        Usage {
            images: wanted.images,
            characters: wanted.characters,
            audio_ms: wanted.audio_ms.unwrap_or(wanted.audio_bytes.saturating_mul(1000) / count::USUAL_BYTES_PER_SECOND),
            searches: if self.envelope.operation == Operation::Rerank { self.envelope.searches } else { self.envelope.searches.min(1) },
            ..Usage::default()
        }
    }

    /// The usage that is charged for what an upstream reports. Where nothing of the report has a price, such as the tokens of a model that is sold by the
    /// picture or by the search, what was asked for is added to it.
    pub(super) fn by_the_piece(&self, reported: Usage) -> Usage {
        let is_text = matches!(self.envelope.operation, Operation::Generate(_) | Operation::Completions);
        if is_text || self.prices.cost(reported) > Usd::ZERO {
            return reported;
        }
        self.known_beside(reported, 0)
    }

    /// What was told, and what the request itself says of the kinds that nobody told. `pictures` were found in an answer of words.
    pub(super) fn known_beside(&self, told: Usage, pictures: u64) -> Usage {
        let known = self.known_usage();
        let or = |told: u64, asked: u64| if told > 0 { told } else { asked };
        // The tokens of a picture that were told are the picture.
        let made = if told.image_output > 0 { known.images } else { known.images.max(pictures) };
        Usage {
            images: or(told.images, made),
            characters: or(told.characters, known.characters),
            audio_ms: or(told.audio_ms, known.audio_ms),
            searches: or(told.searches, known.searches),
            ..told
        }
    }
}

/// Charges a whole answer, then sends it.
async fn deliver(charge: Charge, whole: Whole) -> Result<Response<Body>, ApiError> {
    let call = Arc::clone(&charge.call);
    let operation = call.envelope.operation;
    let used = match whole.usage {
        report::UsageReport::Usage(usage) if call.believes(&usage, charge.output_cap) => Used::Reported(call.by_the_piece(usage)),
        _ => {
            let (text, made) = whole.text(operation);
            let spoken_ms = if operation == Operation::Speech { count::sound_ms(&whole.body) } else { Some(made.sound_ms).filter(|ms| *ms > 0) };
            Used::Delivered { text, told: call.known_beside(Usage::default(), made.pictures), spoken_ms }
        }
    };
    let is_reported = matches!(used, Used::Reported(_));
    let (relay, cache_key) = (charge.relay().clone(), charge.cache_key);
    let outcome = if call.has_left() { Outcome::ClientGone } else { Outcome::Complete };
    let ending = Ending { outcome, status: 200, used, error: None };
    let settled = charge.settle(ending).await.map_err(|error| {
        tracing::error!(%error, "an answer could not be charged and was not delivered");
        ApiError::unavailable()
    })?;
    let cost = settled.charge.charged.to_string();
    let body = whole.for_client(&settled, call.envelope.include_cost.then_some(cost.as_str()));
    if let Some(cache_key) = cache_key.filter(|_| is_reported) {
        let kept = Kept { body: body.clone(), content_type: whole.content_type.clone(), usage: settled.usage, kept_at_ms: call.started_ms };
        relay.cache.keep(cache_key, kept);
    }
    let mut response = plain(StatusCode::OK, &whole.content_type, Body::from(body));
    if let Ok(value) = HeaderValue::try_from(cost) {
        response.headers_mut().insert(COST, value);
    }
    Ok(response)
}

impl Whole {
    /// The text of the answer, for counting, and what is in it beside.
    fn text(&self, operation: Operation) -> (String, scan::Made) {
        match &self.translated {
            Some(translated) => translated.text(),
            None => (whole::text(operation, self.is_json, &self.body), scan::made(scan::Wire::of(operation), false, &self.body)),
        }
    }

    /// The answer as the client gets it.
    fn for_client(&self, settled: &super::charge::Settled, cost: Option<&str>) -> Bytes {
        if let Some(translated) = &self.translated {
            return translated.render(settled.usage, cost);
        }
        let body = match &self.rename {
            Some(rename) if self.is_json => rename.answer(self.body.clone()),
            None if self.is_embedded => embed::with_counted(&self.body, settled.usage.all_input()).map_or_else(|| self.body.clone(), Bytes::from),
            _ => self.body.clone(),
        };
        cost.and_then(|cost| whole::with_cost(&body, cost)).map_or(body, Bytes::from)
    }
}

pub(super) fn first_of(text: &str) -> String {
    text.chars().take(500).collect()
}

fn plain(status: StatusCode, content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::try_from(content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn streamed(body: Body, array: bool) -> Response<Body> {
    let mut response = Response::new(body);
    let kind = if array { "application/json" } else { "text/event-stream; charset=utf-8" };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Understood by nginx: events must not wait in its buffer.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
