//! A term whose money goes back: it ends, and what it had paid for is taken out of the books. While a bank decides, its credits are frozen.

use super::State;
use super::periods::{self, Live};
use super::store::{self, OpenPeriod, TermRow};
use super::subscription::SubscriptionError;
use super::terms::share;
use crate::db::Tx;
use crate::kernel::{Id, Kit, Usd};
use crate::ledger::{Books, CreditKind, EVERYTHING, Grant, House, Posting, Spent, TakeBack, TakenBack, TransferKind};

/// A paid term to be undone.
#[derive(Clone, Debug)]
pub struct Undo<'a> {
    /// Whose it is.
    pub user: Id,
    /// The order or the invoice that made it.
    pub source: &'a str,
    /// What goes back.
    pub amount: Usd,
    /// What becomes of the part that was spent: [`Spent::Owed`] or [`Spent::Lost`].
    pub spent: Spent,
    /// Why.
    pub kind: TransferKind,
    /// What a statement says of it.
    pub reference: &'a str,
    /// Unique for ever.
    pub key: &'a str,
}

impl Undo<'_> {
    fn posting(&self, debit: House, credit: House, amount: Usd, part: &str) -> Posting {
        let (reference, idempotency_key) = (self.reference.to_owned(), format!("{}:{part}", self.key));
        Posting { user: self.user, debit, credit, amount, kind: self.kind, reference, idempotency_key }
    }

    fn back(&self, credit: Id, amount: Usd, spent: Spent, part: &str) -> TakeBack {
        let (reference, idempotency_key) = (self.reference.to_owned(), format!("{}:{part}:{credit}", self.key));
        TakeBack { user: self.user, credit, amount, to: House::Cash, spent, kind: self.kind, reference, idempotency_key }
    }
}

/// Ends the term that an order or an invoice has made, and takes what goes back first out of what was not delivered of it, then out of what is left of its allowance; the
/// rest was spent. A subscription that is renewed ends with it. To be called once, in the transaction that notes it.
///
/// # Errors
/// [`LedgerError::InFlight`](crate::ledger::LedgerError) while requests hold a part of the allowance: freeze it and come back when they have ended.
pub async fn undo(tx: &mut Tx, kit: &Kit, books: &Books, undo: &Undo<'_>) -> Result<TakenBack, SubscriptionError> {
    let granted = store::of_source(tx, undo.source).await?;
    let (mut unspent, mut left) = (Usd::ZERO, undo.amount);
    if let Some((subscription, number)) = store::term_of_source(tx, undo.source).await? {
        let mut live = Live::lock(tx, subscription).await?;
        if let Some(at) = live.terms.iter().position(|(term, _)| term.number == number) {
            let (undelivered, open) = cut_out(tx, kit, &mut live, at).await?;
            let back = undelivered.min(left);
            move_out(tx, books, undo, back, undelivered - back).await?;
            (unspent, left) = (unspent + back, left - back);
            for period in open {
                let back = end_allowance(tx, books, undo, &period, left).await?;
                (unspent, left) = (unspent + back, left - back);
            }
            over(tx, kit, books, &mut live).await?;
        }
    }
    let spent = spent(tx, books, undo, left, granted.last().copied()).await?;
    Ok(TakenBack { unspent, ..spent })
}

/// Takes a term out of the course of its subscription, from now on. Returns what was paid for and not delivered of it, and its open periods.
async fn cut_out(tx: &mut Tx, kit: &Kit, live: &mut Live, at: usize) -> Result<(Usd, Vec<OpenPeriod>), SubscriptionError> {
    let (now, next) = (kit.clock.now_ms(), live.row.next_period);
    let term = live.terms[at].0.clone();
    let opened = (next - term.first_period).clamp(0, term.periods);
    let of = |range: std::ops::Range<i64>| -> Usd { range.map(|n| share(term.paid, n, term.periods)).sum() };
    let (kept, later) = (of(0..opened), of(opened..term.periods));
    let open = store::close_periods_of(tx, live.row.id, term.first_period..term.first_period + opened, now).await?;
    let shortened = match opened {
        // It stays on record, for what made it; nothing of it is left.
        0 => TermRow { ends_at: term.starts_at, paid: Usd::ZERO, ..term },
        _ => TermRow { ends_at: term.ends_at.min(now), paid: kept, periods: opened, ..term },
    };
    store::shorten_term(tx, live.row.id, &shortened).await?;
    let is_gone = shortened.ends_at <= shortened.starts_at;
    live.terms[at].0 = shortened;
    if is_gone {
        live.terms.remove(at);
    }
    let rest: Usd = open.iter().map(|period| period.share - period.spent).sum();
    Ok((later + rest, open))
}

/// What was not delivered goes back; what of it need not go back is the shop's.
async fn move_out(tx: &mut Tx, books: &Books, undo: &Undo<'_>, back: Usd, kept: Usd) -> Result<(), SubscriptionError> {
    if back > Usd::ZERO {
        books.post(tx, &undo.posting(House::Plans, House::Cash, back, "undelivered")).await?;
    }
    if kept > Usd::ZERO {
        let earned = Posting { kind: TransferKind::Recognised, ..undo.posting(House::Plans, House::Revenue, kept, "kept") };
        books.post(tx, &earned).await?;
    }
    Ok(())
}

/// Ends the allowance of an open period. Returns how much of what goes back was left of it.
async fn end_allowance(tx: &mut Tx, books: &Books, undo: &Undo<'_>, period: &OpenPeriod, left: Usd) -> Result<Usd, SubscriptionError> {
    let mut unspent = Usd::ZERO;
    if let Some(credit) = period.credit {
        let amount = left.min(period.spent);
        if amount > Usd::ZERO {
            unspent = books.take_back(tx, &undo.back(credit, amount, Spent::Kept, "unspent")).await?.unspent;
        }
        books.end_credit(tx, undo.user, credit, House::Breakage, undo.reference).await?;
    }
    if let Some(bonus) = period.bonus {
        books.end_credit(tx, undo.user, bonus, House::Promotion, undo.reference).await?;
    }
    Ok(unspent)
}

/// The subscription goes on with what is left of it, or ends.
async fn over(tx: &mut Tx, kit: &Kit, books: &Books, live: &mut Live) -> Result<(), SubscriptionError> {
    if live.row.state == State::Ended {
        return Ok(());
    }
    let now = kit.clock.now_ms();
    live.row.paid_until = live.terms.last().map_or(now, |(term, _)| term.ends_at);
    if live.row.external_id.is_some() && live.row.cancelled_at.is_none() {
        (live.row.cancelled_at, live.row.untold, live.row.next_version) = (Some(now), true, None);
    }
    periods::advance(tx, kit, books, live, true).await
}

/// What was spent of what goes back: the customer owes it, or the shop has lost it. Of a plan that never granted anything there is nothing to owe.
async fn spent(tx: &mut Tx, books: &Books, undo: &Undo<'_>, amount: Usd, credit: Option<Id>) -> Result<TakenBack, SubscriptionError> {
    match credit {
        _ if amount <= Usd::ZERO => Ok(TakenBack::default()),
        Some(credit) => Ok(books.take_back(tx, &undo.back(credit, amount, undo.spent, "spent")).await?),
        None => {
            books.post(tx, &undo.posting(House::Loss, House::Cash, amount, "lost")).await?;
            Ok(TakenBack { lost: amount, ..TakenBack::default() })
        }
    }
}

/// Freezes what the term of an order or an invoice has granted, and what it will.
///
/// # Errors
/// The ledger's.
pub async fn freeze(tx: &mut Tx, books: &Books, user: Id, source: &str) -> Result<(), SubscriptionError> {
    let Some((subscription, number)) = store::term_of_source(tx, source).await? else { return Ok(()) };
    Live::lock(tx, subscription).await?;
    store::set_frozen(tx, subscription, number, true).await?;
    for credit in store::of_source(tx, source).await? {
        books.freeze(tx, user, credit).await?;
    }
    Ok(())
}

/// Gives back what was frozen. What can no longer be spent as the plan's, since its period has passed meanwhile, becomes credit for everything, for as long as it had rested
/// and what was left of its time.
///
/// # Errors
/// The ledger's.
pub async fn thaw(tx: &mut Tx, kit: &Kit, books: &Books, user: Id, source: &str) -> Result<(), SubscriptionError> {
    let Some((subscription, number)) = store::term_of_source(tx, source).await? else { return Ok(()) };
    let live = Live::lock(tx, subscription).await?;
    store::set_frozen(tx, subscription, number, false).await?;
    let frozen = store::of_source(tx, source).await?;
    for credit in &frozen {
        books.thaw(tx, user, *credit).await?;
    }
    if live.row.state != State::Ended {
        return Ok(());
    }
    let now = kit.clock.now_ms();
    let credits = books.balance(tx, user).await?.credits;
    for row in credits.iter().filter(|row| frozen.contains(&row.bucket.id) && row.bucket.expires_at > now) {
        let (expires_at, priority) = (row.bucket.expires_at, row.bucket.priority);
        let amount = books.end_credit(tx, user, row.bucket.id, House::Plans, &row.reference).await?;
        if amount > Usd::ZERO {
            let idempotency_key = format!("thawed:{}:{}", row.bucket.id, kit.ids.next());
            let (kind, from, scope, reference) = (CreditKind::Plan, House::Plans, EVERYTHING, row.reference.clone());
            books.grant(tx, Grant { user, kind, from, amount, priority, effective_at: now, expires_at, scope, reference, idempotency_key }).await?;
        }
    }
    Ok(())
}
