//! The periods of subscriptions: each is opened when it begins, which grants its allowance once, and closed when it has ended, which makes revenue of what the
//! allowance did not take of its share.

use super::State;
use super::calendar::Stretch;
use super::store::{self, NewPeriod, SubscriptionRow, TermRow};
use super::subscription::SubscriptionError;
use super::terms::{Terms, share};
use crate::db::revision::{Topic, bump};
use crate::db::{Db, Tx};
use crate::kernel::clock::DAY_MS;
use crate::kernel::{Id, Kit, NEVER, Usd};
use crate::ledger::{Books, CreditKind, Grant, House, Posting, TransferKind};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// For so long a renewal may be on its way before it counts as failed: a provider collects some hours after a term has ended.
pub(super) const GRACE_MS: i64 = DAY_MS;
/// After so long without a renewal a subscription ends, whatever its provider says or does not.
const PATIENCE_MS: i64 = 60 * DAY_MS;
/// One that cannot be advanced is tried again after so long.
const AGAIN_MS: i64 = 10 * 60 * 1_000;
/// How many are looked at together.
const PORTION: i64 = 100;
/// A plan's allowance is spent before whatever else pays for the same request.
const PRIORITY: i64 = 50;

/// A subscription whose row is locked, with its terms in order.
pub(super) struct Live {
    pub(super) row: SubscriptionRow,
    pub(super) terms: Vec<(TermRow, Arc<Terms>)>,
}

impl Live {
    /// Locks a subscription until the transaction ends.
    pub(super) async fn lock(tx: &mut Tx, id: Id) -> Result<Self, SubscriptionError> {
        let row = store::lock_subscription(tx, id).await?.ok_or(SubscriptionError::NotFound)?;
        let terms = store::terms_of(tx, id).await?;
        Ok(Self { row, terms })
    }

    /// Whose calendar counts.
    pub(super) fn zone(&self) -> TimeZone {
        TimeZone::get(&self.row.zone).unwrap_or(TimeZone::UTC)
    }

    /// Whether somebody will renew it.
    fn is_renewing(&self) -> bool {
        self.row.external_id.is_some() && self.row.cancelled_at.is_none()
    }

    /// When there is something to do about its end.
    fn ends_or_waits_until(&self) -> i64 {
        let wait = match (self.is_renewing(), self.row.state) {
            (false, _) => 0,
            (true, State::PastDue) => PATIENCE_MS,
            (true, _) => GRACE_MS,
        };
        self.row.paid_until.saturating_add(wait)
    }

    /// The periods that are not opened yet, of which some may have begun: the term's place, the period's number within it, and when it is.
    fn unopened(&self, until: i64) -> (Vec<(usize, i64, Stretch)>, i64) {
        let (mut begun, zone) = (Vec::new(), self.zone());
        for (at, (term, terms)) in self.terms.iter().enumerate().filter(|(_, (term, _))| term.first_period + term.periods > self.row.next_period) {
            let bounds = Stretch { from: term.starts_at, until: term.ends_at };
            let reset = if term.trial { None } else { terms.reset };
            let all = terms.course(term.anchor, zone.clone()).periods(term.course, bounds, reset);
            for (n, period) in (0..term.periods).zip(all) {
                if term.first_period + n < self.row.next_period {
                    continue;
                }
                if period.from > until {
                    return (begun, period.from);
                }
                let is_last = n + 1 == term.periods;
                begun.push((at, n, Stretch { until: if is_last { bounds.until } else { period.until }, ..period }));
            }
        }
        (begun, NEVER)
    }
}

/// Brings a subscription up to now: opens what has begun, closes what has ended, ends it when it is over, and says when to look again. `changed`: snapshots have to read
/// it again.
pub(super) async fn advance(tx: &mut Tx, kit: &Kit, books: &Books, live: &mut Live, mut changed: bool) -> Result<(), SubscriptionError> {
    let now = kit.clock.now_ms();
    let (begun, next) = live.unopened(now);
    for (at, n, period) in begun {
        open(tx, kit, books, live, (at, n, period)).await?;
    }
    close(tx, kit, books, live, now, House::Revenue).await?;
    if live.row.state == State::Active && live.is_renewing() && live.ends_or_waits_until() <= now {
        live.row.state = State::PastDue;
        changed = true;
    }
    if live.ends_or_waits_until() <= now {
        live.row.untold |= live.is_renewing();
        end(tx, kit, books, live, live.row.paid_until.min(now)).await?;
        changed = true;
    }
    let closes = store::next_close(tx, live.row.id).await?.unwrap_or(NEVER);
    live.row.due_at = if live.row.state == State::Ended { NEVER } else { next.min(closes).min(live.ends_or_waits_until()) };
    save(tx, live, changed).await
}

pub(super) async fn save(tx: &mut Tx, live: &mut Live, changed: bool) -> Result<(), SubscriptionError> {
    if changed {
        live.row.revision = bump(tx, Topic::Plans).await?;
    }
    Ok(store::update_subscription(tx, &live.row).await?)
}

/// Opens a period: its allowance comes out of its share of what was paid, and beyond that from the shop. One that has passed already, while nothing ran, grants only what
/// may be carried over.
async fn open(tx: &mut Tx, kit: &Kit, books: &Books, live: &mut Live, (at, n, period): (usize, i64, Stretch)) -> Result<(), SubscriptionError> {
    let now = kit.clock.now_ms();
    let (term, terms) = &live.terms[at];
    let (subscription, user, number) = (live.row.id, live.row.user, term.first_period + n);
    let is_past = period.until <= now && !terms.carry_over;
    let allowance = if is_past { Usd::ZERO } else { terms.allowance() };
    let part = share(term.paid, n, term.periods);
    let spent = part.min(allowance);
    let grant = |from, amount, key: &str| Grant {
        user,
        kind: CreditKind::Plan,
        from,
        amount,
        priority: PRIORITY,
        effective_at: period.from,
        expires_at: if terms.carry_over { NEVER } else { period.until },
        scope: subscription,
        reference: format!("plan:{}", terms.name),
        idempotency_key: format!("plan:{subscription}:{number}{key}"),
    };
    let mut credits = [None, None];
    for (slot, (from, amount, key)) in credits.iter_mut().zip([(House::Plans, spent, ""), (House::Promotion, allowance - spent, ":bonus")]) {
        if amount > Usd::ZERO {
            let credit = books.grant(tx, grant(from, amount, key)).await?.credit_id;
            if term.frozen {
                books.freeze(tx, user, credit).await?;
            }
            *slot = Some(credit);
        }
    }
    let [credit, bonus] = credits;
    store::insert_period(tx, &NewPeriod { subscription, number, period, share: part, spent, credit, bonus, at: now }).await?;
    live.row.next_period = number + 1;
    Ok(())
}

/// Closes the periods that end at or before `until`.
async fn close(tx: &mut Tx, kit: &Kit, books: &Books, live: &Live, until: i64, to: House) -> Result<Usd, SubscriptionError> {
    let mut moved = Usd::ZERO;
    for (number, left) in store::close_periods(tx, live.row.id, until, kit.clock.now_ms()).await? {
        moved += left;
        earn(tx, books, live, left, to, format!("plan:{}:{number}:earned", live.row.id)).await?;
    }
    Ok(moved)
}

/// What was paid and is not owed any more leaves the account of plans.
async fn earn(tx: &mut Tx, books: &Books, live: &Live, amount: Usd, to: House, idempotency_key: String) -> Result<(), SubscriptionError> {
    if amount <= Usd::ZERO {
        return Ok(());
    }
    let kind = if to == House::Cash { TransferKind::Refund } else { TransferKind::Recognised };
    let reference = format!("plan:{}", live.terms.last().map_or("", |(_, terms)| terms.name.as_str()));
    let posting = Posting { user: live.row.user, debit: House::Plans, credit: to, amount, kind, reference, idempotency_key };
    books.post(tx, &posting).await?;
    Ok(())
}

/// What was paid for periods that have not been opened.
fn unopened_share(live: &Live) -> Usd {
    let of = |term: &TermRow| (live.row.next_period - term.first_period).clamp(0, term.periods)..term.periods;
    live.terms.iter().flat_map(|(term, _)| of(term).map(|n| share(term.paid, n, term.periods))).sum()
}

/// Ends a subscription at a moment that has come: what its credits have left is breakage.
async fn end(tx: &mut Tx, kit: &Kit, books: &Books, live: &mut Live, at: i64) -> Result<(), SubscriptionError> {
    let now = kit.clock.now_ms();
    let reference = format!("plan:{}", live.terms.last().map_or("", |(_, terms)| terms.name.as_str()));
    let credits = books.balance(tx, live.row.user).await?.credits;
    // What ends by itself is swept like any credit.
    for credit in credits.iter().filter(|credit| credit.bucket.scope == live.row.id && credit.bucket.expires_at > now) {
        books.end_credit(tx, live.row.user, credit.bucket.id, House::Breakage, &reference).await?;
    }
    // Only an edit of the zone's rules leaves a period out; its money is not lost in the books.
    earn(tx, books, live, unopened_share(live), House::Revenue, format!("plan:{}:rest", live.row.id)).await?;
    (live.row.state, live.row.ended_at) = (State::Ended, Some(at));
    live.row.next_period = live.terms.last().map_or(0, |(term, _)| term.first_period + term.periods);
    Ok(())
}

/// Ends a subscription now. Returns what went to `rest`.
pub(super) async fn end_now(tx: &mut Tx, kit: &Kit, books: &Books, live: &mut Live, rest: House) -> Result<Usd, SubscriptionError> {
    let now = kit.clock.now_ms();
    let mut moved = close(tx, kit, books, live, NEVER, rest).await?;
    let later = unopened_share(live);
    moved += later;
    earn(tx, books, live, later, rest, format!("plan:{}:rest", live.row.id)).await?;
    live.row.next_period = live.terms.last().map_or(0, |(term, _)| term.first_period + term.periods);
    end(tx, kit, books, live, now).await?;
    live.row.due_at = NEVER;
    save(tx, live, true).await?;
    Ok(moved)
}

/// Ends what the running term has granted: what is left of it was taken off a bill.
pub(super) async fn end_allowance(tx: &mut Tx, books: &Books, live: &Live) -> Result<(), SubscriptionError> {
    let next = live.row.next_period;
    let Some((term, terms)) = live.terms.iter().rfind(|(term, _)| term.first_period < next) else { return Ok(()) };
    let granted = store::of_periods(tx, live.row.id, term.first_period, next).await?;
    let credits = books.balance(tx, live.row.user).await?.credits;
    for credit in credits.iter().filter(|credit| granted.contains(&credit.bucket.id)) {
        books.end_credit(tx, live.row.user, credit.bucket.id, House::Breakage, &format!("plan:{}", terms.name)).await?;
    }
    Ok(())
}

/// Cuts off what has not begun of the terms: they end now, and so does the period that runs. Returns what was paid for it.
pub(super) async fn cut(tx: &mut Tx, kit: &Kit, live: &mut Live) -> Result<Usd, SubscriptionError> {
    let (now, left) = (kit.clock.now_ms(), unopened_share(live));
    let next = live.row.next_period;
    let Some(running) = live.terms.iter().rposition(|(term, _)| term.first_period < next) else { return Err(SubscriptionError::NotFound) };
    for (term, _) in live.terms.drain(running + 1..) {
        // It stays on record, for the order or the invoice that made it; nothing of it is left.
        store::shorten_term(tx, live.row.id, &TermRow { ends_at: term.starts_at, paid: Usd::ZERO, ..term }).await?;
    }
    let Some((term, _)) = live.terms.last_mut() else { return Err(SubscriptionError::NotFound) };
    let opened = next - term.first_period;
    let kept: Usd = (0..opened).map(|n| share(term.paid, n, term.periods)).sum();
    (term.paid, term.periods, term.ends_at) = (kept, opened, term.ends_at.min(now));
    let cut = term.clone();
    store::shorten_term(tx, live.row.id, &cut).await?;
    Ok(left)
}

/// Brings every subscription up to now that has something due. Returns how many that were.
///
/// # Errors
/// The database's. A subscription that cannot be advanced is tried again later and keeps none of the others back.
pub async fn run_due(db: &Db, kit: &Kit, books: &Books) -> Result<u64, sqlx::Error> {
    let mut done = 0;
    loop {
        let due = store::due(&mut *db.read().await?, kit.clock.now_ms(), PORTION).await?;
        if due.is_empty() {
            return Ok(done);
        }
        for id in due {
            match one(db, kit, books, id).await {
                Ok(()) => done += 1,
                Err(SubscriptionError::Database(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(subscription = %id, %error, "a subscription cannot be advanced; it is tried again later");
                    let mut tx = db.write().await?;
                    store::postpone(&mut tx, id, kit.clock.now_ms() + AGAIN_MS).await?;
                    tx.commit().await?;
                }
            }
        }
    }
}

async fn one(db: &Db, kit: &Kit, books: &Books, id: Id) -> Result<(), SubscriptionError> {
    let mut tx = db.write().await?;
    let mut live = Live::lock(&mut tx, id).await?;
    advance(&mut tx, kit, books, &mut live, false).await?;
    Ok(tx.commit().await?)
}
