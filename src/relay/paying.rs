//! Who pays for a request: the plans of its customer that cover the model, each at its price, and the wallet. Customers without a plan cost one look into a map.

use super::charge::Call;
use super::error::ApiError;
use super::{Relay, pipeline};
use crate::failpoint;
use crate::kernel::{Id, PriceFactor, Prices, Usd};
use crate::keys::Entry;
use crate::ledger::{Hold, HoldRequest, LedgerError, Pays};
use crate::plans::{Way, Ways};
use crate::usage::Memo;

/// How a request is paid, from the moment in which money is held for it.
#[derive(Debug)]
pub(super) struct Paying {
    /// What it costs.
    pub(super) prices: Prices,
    /// The plan whose allowance pays.
    pub(super) plan: Option<Id>,
    /// By what that plan multiplies prices, where it does.
    pub(super) factor: Option<PriceFactor>,
    /// The plan that stops when it is used up, by its name.
    stops: Option<String>,
}

/// What a request needs at some prices: the worst case, and the least that is worth holding.
pub(super) type Need<'a> = &'a (dyn Fn(&Prices) -> (Usd, Usd) + Sync);

/// Reserves the money, as far as it goes; none for what costs nothing.
///
/// # Errors
/// 402 when nobody can pay, 429 when a budget is out, 503 when the ledger is away.
pub(super) async fn reserve(relay: &Relay, call: &Call, key: &Entry, need: Need<'_>) -> Result<Option<Hold>, ApiError> {
    let ways = relay.plans.of(key.user_id).and_then(|all| Ways::of(&all, &call.envelope.model, relay.kit.clock.now_ms()));
    let Some(Ways { all, stops }) = ways else {
        let (full, floor) = need(&call.prices);
        let held = hold(relay, call, key, (&call.prices, full, floor), Pays::default()).await;
        return held.map_err(|error| pipeline::refused(relay, call, error));
    };
    let mut last = LedgerError::InsufficientBalance { available: Usd::ZERO };
    // What comes before another way pays for all of the request or is passed over: an answer is not cut short while somebody else could pay for all of it.
    let first_tries = all.iter().enumerate().map(|(n, way)| (way, n + 1 < all.len()));
    let second_tries = all.iter().take(all.len().saturating_sub(1)).map(|way| (way, false));
    for (way, whole) in first_tries.chain(second_tries) {
        let prices = call.prices.clone().times(way.factor);
        let (full, floor) = need(&prices);
        let pays = Pays { scopes: way.scopes.iter().map(|(subscription, _)| *subscription).collect(), wallet: way.wallet };
        let mut held = hold(relay, call, key, (&prices, full, if whole { full } else { floor }), pays.clone()).await;
        if let Some(left) = held.as_ref().err().filter(|_| whole).and_then(left_of_budget).filter(|left| *left >= floor) {
            // A budget that ends before is no reason to let another pay: as far as it goes is all of it.
            held = hold(relay, call, key, (&prices, full, left), pays).await;
        }
        match held {
            Ok(held) => {
                let plan = plan_of(way, held.as_ref());
                let factor = plan.map(|_| way.factor).filter(|factor| *factor != PriceFactor::ONE);
                let _ = call.paying.set(Paying { prices, plan, factor, stops });
                return Ok(held);
            }
            Err(error @ LedgerError::InsufficientBalance { .. }) => last = error,
            Err(other) => return Err(pipeline::refused(relay, call, other)),
        }
    }
    if let Some(plan) = stops {
        return Err(ApiError::plan_used_up(&plan, &relay.config.plans_url));
    }
    Err(pipeline::refused(relay, call, last))
}

/// What a budget leaves that is too small for a request.
fn left_of_budget(error: &LedgerError) -> Option<Usd> {
    match error {
        LedgerError::KeyBudgetExhausted { left } | LedgerError::UserBudgetExhausted { left } | LedgerError::PeriodBudgetExhausted { left, .. } => Some(*left),
        _ => None,
    }
}

/// The plan whose credit was held first; of what costs nothing, the plan that makes it so.
fn plan_of(way: &Way, held: Option<&Hold>) -> Option<Id> {
    let scope = match held {
        Some(hold) => hold.scope,
        None => way.scopes.first().map(|(subscription, _)| *subscription),
    };
    way.scopes.iter().find(|(subscription, _)| Some(*subscription) == scope).map(|(_, plan)| *plan)
}

async fn hold(relay: &Relay, call: &Call, key: &Entry, (prices, full, floor): (&Prices, Usd, Usd), pays: Pays) -> Result<Option<Hold>, LedgerError> {
    if full == Usd::ZERO {
        return Ok(None);
    }
    let memo = Memo { model: call.envelope.model.clone(), streamed: call.envelope.stream };
    let request = HoldRequest {
        id: call.id,
        user: call.user,
        key: call.key,
        key_budget: key.budgets(),
        user_budget: key.user_allowance(&relay.settings.now().allowance).budgets,
        full,
        floor: floor.max(Usd(1)),
        pays,
        checkpoint: call.size.input_estimate(prices),
        memo: memo.write(),
    };
    let hold = relay.meter.hold(request).await?;
    failpoint::reach("hold_committed");
    Ok(Some(hold))
}

impl Call {
    /// What it costs: the model's prices, or those that a plan makes of them.
    pub(super) fn prices(&self) -> &Prices {
        self.paying.get().map_or(&self.prices, |paying| &paying.prices)
    }

    /// What a balance that is too short is told to whoever has a plan that stops.
    pub(super) fn plan_used_up(&self, relay: &Relay) -> Option<ApiError> {
        let stops = self.paying.get()?.stops.as_deref()?;
        Some(ApiError::plan_used_up(stops, &relay.config.plans_url))
    }
}
