//! Making batches of cards, in portions, and making cards worthless.

use super::code::{self, Code};
use super::{GiftCardError, Origin, codes, store};
use crate::admin_log;
use crate::db::{Db, Tx};
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::secrets::{AppSecret, Secret};
use crate::kernel::{FieldError, Id, Kit, NEVER, Usd, money::MAX_TYPED};
use crate::plans;

/// The most cards that one batch can have.
pub const MAX_COUNT: i64 = 100_000;
/// How many cards one transaction makes: few enough that nobody waits long for SQLite's one writer. A batch of no more is made at once.
pub(super) const PORTION: i64 = 500;
/// How many portions one round of the job makes, so that a stop need not wait long.
const ROUND: usize = 40;
const MAX_NOTE: usize = 200;
/// The highest limit that a form takes.
const MAX_PER_CUSTOMER: i64 = 1_000_000;

/// What an admin chooses for a batch.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// What each card is worth: the credit that it gives, or what the books say of the plan that it begins.
    pub amount: Usd,
    /// The plan that a card begins; none when it gives credit.
    pub plan: Option<Id>,
    /// How many cards.
    pub count: i64,
    /// Until when they can be redeemed; [`NEVER`] for always.
    pub expires_at: i64,
    /// What the batch is for; only admins see it.
    pub note: String,
    /// Stands before the codes.
    pub prefix: String,
    /// How many of them one customer may redeem; none for as many as they like.
    pub per_customer: Option<i64>,
    /// Given away or sold.
    pub origin: Origin,
}

/// A batch's form, as it was typed. The expiry is a moment already, since only the page knows what its choices mean.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchFields<'a> {
    /// What each card is worth.
    pub amount: &'a str,
    /// The plan's id; empty for credit.
    pub plan: &'a str,
    /// How many.
    pub count: &'a str,
    /// Until when they can be redeemed.
    pub expires_at: i64,
    /// What it is for.
    pub note: &'a str,
    /// What stands before the codes.
    pub prefix: &'a str,
    /// How many of them one customer may redeem; empty for as many as they like.
    pub per_customer: &'a str,
    /// The word of an origin.
    pub origin: &'a str,
}

/// A new batch.
#[derive(Debug)]
pub struct Created {
    /// Its row.
    pub batch_id: Id,
    /// What the admin must copy now; empty when the batch is so large that it is still being made.
    pub codes: Vec<Secret<String>>,
}

impl NewBatch {
    /// Cards to give away, without further conditions.
    pub fn of(amount: Usd, count: i64) -> Self {
        Self { amount, plan: None, count, expires_at: NEVER, note: String::new(), prefix: String::new(), per_customer: None, origin: Origin::Given }
    }

    /// From a form.
    ///
    /// # Errors
    /// Every mistake, by field: `amount`, `plan`, `count`, `expires_at`, `note`, `prefix`, `per_customer`, `origin`.
    pub fn parse(typed: &BatchFields<'_>, now_ms: i64) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let amount = mistakes.take("amount", typed.amount.parse::<Usd>().map_err(fields::money_key));
        let plan = Some(typed.plan.trim()).filter(|id| !id.is_empty()).map(|id| id.parse::<Id>().map_err(|_| "gift_cards.error.plan"));
        let plan = mistakes.take("plan", plan.transpose()).flatten();
        let count = mistakes.take("count", fields::whole_number(typed.count, 1..=MAX_COUNT, "gift_cards.error.count"));
        let prefix = mistakes.take("prefix", code::prefix(typed.prefix).ok_or("gift_cards.error.prefix"));
        let limit = Some(typed.per_customer.trim()).filter(|text| !text.is_empty());
        let limit = limit.map(|text| fields::whole_number(text, 1..=MAX_PER_CUSTOMER, "gift_cards.error.per_customer")).transpose();
        let per_customer = mistakes.take("per_customer", limit).flatten();
        let origin = Origin::MADE.into_iter().find(|origin| origin.word() == typed.origin);
        let origin = mistakes.take("origin", origin.ok_or("gift_cards.error.origin"));
        let draft = Self {
            // A field that could not be read has its mistake already; 1 passes the checks that follow.
            amount: amount.unwrap_or(Usd(1)),
            plan,
            count: count.unwrap_or(1),
            expires_at: typed.expires_at,
            note: typed.note.to_owned(),
            prefix: prefix.unwrap_or_default(),
            per_customer,
            origin: origin.unwrap_or_default(),
        };
        draft.checked(now_ms, mistakes)
    }

    fn checked(mut self, now_ms: i64, mut mistakes: Mistakes) -> Result<Self, Vec<FieldError>> {
        if self.amount <= Usd::ZERO {
            mistakes.add("amount", "gift_cards.error.amount");
        }
        if self.amount > MAX_TYPED {
            mistakes.add("amount", "field.amount_too_large");
        }
        if !(1..=MAX_COUNT).contains(&self.count) {
            mistakes.add("count", "gift_cards.error.count");
        }
        if self.expires_at != NEVER && self.expires_at <= now_ms {
            mistakes.add("expires_at", "field.in_the_past");
        }
        self.note = self.note.trim().to_owned();
        if self.note.chars().count() > MAX_NOTE || self.note.chars().any(char::is_control) {
            mistakes.add("note", "gift_cards.error.note");
        }
        mistakes.check().map(|()| self)
    }
}

/// Makes a batch of cards on behalf of the admin `actor`: at once when it is small, else the first portion of it, and [`make_due`] the rest.
///
/// # Errors
/// As [`GiftCardError`] says; then no card exists.
pub async fn create_batch(db: &Db, kit: &Kit, secret: &AppSecret, actor: Id, new: NewBatch) -> Result<Created, GiftCardError> {
    let now = kit.clock.now_ms();
    let new = new.checked(now, Mistakes::default()).map_err(GiftCardError::Invalid)?;
    let id = kit.ids.next();
    let mut tx = db.write().await?;
    if let Some(plan) = new.plan
        && plans::find(&mut tx, plan).await?.is_none()
    {
        return Err(GiftCardError::Invalid(vec![FieldError::new("plan", "gift_cards.error.plan")]));
    }
    store::insert_batch(&mut tx, id, &new, actor, now).await?;
    let unmade = store::Unmade { id, prefix: new.prefix.clone(), count: new.count, made: 0 };
    let mut codes = make_portion(&mut tx, kit, secret, &unmade).await?;
    if new.count > PORTION {
        codes.clear();
    } else {
        // The answer shows them.
        store::note_shown(&mut tx, id, now).await?;
    }
    // In the same transaction: were it noted afterwards and that failed, there would be cards whose codes nobody has seen.
    let detail = format!("{} x {}, {}", new.count, new.amount, new.origin.word());
    admin_log::record(&mut tx, kit, Some(actor), "gift-cards-made", &id.to_string(), &detail).await?;
    tx.commit().await?;
    Ok(Created { batch_id: id, codes })
}

/// Goes on making the batches that are not whole yet. Returns how many cards it made. Each portion is a transaction of its own, so that it
/// can be left at any moment and goes on where it was.
///
/// # Errors
/// The database's; what was made stays.
pub async fn make_due(db: &Db, kit: &Kit, secret: &AppSecret) -> Result<usize, sqlx::Error> {
    let mut made = 0;
    for _ in 0..ROUND {
        let next = store::next_unmade(&mut *db.read().await?).await?;
        let Some(unmade) = next else { break };
        let mut tx = db.write().await?;
        made += make_portion(&mut tx, kit, secret, &unmade).await?.len();
        tx.commit().await?;
    }
    Ok(made)
}

/// The next cards of a batch; none when another was faster, or the batch was voided meanwhile.
async fn make_portion(tx: &mut Tx, kit: &Kit, secret: &AppSecret, batch: &store::Unmade) -> Result<Vec<Secret<String>>, sqlx::Error> {
    let n = (batch.count - batch.made).min(PORTION);
    if !store::claim_portion(tx, batch.id, batch.made, n).await? {
        return Ok(Vec::new());
    }
    let codes: Vec<Code> = (0..n).map(|_| Code::generate(&kit.random)).collect();
    let card = |code: &Code| store::NewCard { id: kit.ids.next(), hash: code.hash(), tail: code.tail().to_owned() };
    let cards: Vec<store::NewCard> = codes.iter().map(card).collect();
    store::insert_cards(tx, batch.id, &cards).await?;
    let shown: Vec<Secret<String>> = codes.iter().map(|code| code.display(&batch.prefix)).collect();
    codes::seal(tx, kit, secret, batch.id, batch.made, &shown).await?;
    if batch.made + n == batch.count {
        store::keep_until(tx, batch.id, kit.clock.now_ms() + codes::KEEP_MS).await?;
    }
    Ok(shown)
}

/// Makes a card worthless. Voiding it again changes nothing.
///
/// # Errors
/// [`GiftCardError::AlreadyRedeemed`] when somebody was faster; [`GiftCardError::Bought`] for one that a customer has paid for.
pub async fn void_card(db: &Db, kit: &Kit, actor: Id, card: Id) -> Result<(), GiftCardError> {
    let mut tx = db.write().await?;
    let view = store::card(&mut tx, card).await?.ok_or(GiftCardError::NotFound)?;
    if view.origin == Origin::Bought {
        return Err(GiftCardError::Bought);
    }
    if !store::void_card(&mut tx, card, kit.clock.now_ms()).await? {
        let redeemed = store::card(&mut tx, card).await?.is_some_and(|card| card.redeemed_by.is_some());
        return if redeemed { Err(GiftCardError::AlreadyRedeemed) } else { Ok(()) };
    }
    admin_log::record(&mut tx, kit, Some(actor), "gift-card-voided", &card.to_string(), &view.tail).await?;
    Ok(tx.commit().await?)
}

/// Makes every card of a batch worthless that is not redeemed yet; what is not made yet never will be. Returns how many were voided.
///
/// # Errors
/// [`GiftCardError::NotFound`] when there is no such batch; [`GiftCardError::Bought`] for one that a customer has paid for.
pub async fn void_batch(db: &Db, kit: &Kit, actor: Id, batch: Id) -> Result<u64, GiftCardError> {
    let now = kit.clock.now_ms();
    let mut tx = db.write().await?;
    // First the batch's row: whoever makes more of it waits, or has made it.
    let origin = store::stop(&mut tx, batch, now).await?.ok_or(GiftCardError::NotFound)?;
    if origin == Origin::Bought {
        return Err(GiftCardError::Bought);
    }
    let voided = store::void_batch(&mut tx, batch, now).await?;
    store::drop_sealed(&mut tx, batch).await?;
    admin_log::record(&mut tx, kit, Some(actor), "gift-cards-voided", &batch.to_string(), &voided.to_string()).await?;
    tx.commit().await?;
    Ok(voided)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_or_refused_with_every_mistake() {
        let typed =
            BatchFields { amount: "$25", plan: "", count: " 10 ", expires_at: NEVER, note: " spring ", prefix: "spring", per_customer: "2", origin: "sold" };
        let new = NewBatch::parse(&typed, 5).unwrap();
        assert_eq!((new.amount, new.count, new.note.as_str(), new.prefix.as_str()), (Usd::dollars(25), 10, "spring", "SPRING"));
        assert_eq!((new.per_customer, new.origin, new.plan), (Some(2), Origin::Sold, None));
        assert_eq!(NewBatch::parse(&BatchFields { plan: "0000000000007", ..typed }, 5).unwrap().plan, Some(Id(7)));
        let plain = NewBatch::parse(&BatchFields { prefix: "", per_customer: " ", origin: "given", ..typed }, 5).unwrap();
        assert_eq!((plain.prefix.as_str(), plain.per_customer, plain.origin), ("", None, Origin::Given));
        let wrong =
            BatchFields { amount: "0", plan: "gold", count: "100001", expires_at: 5, note: "two\nlines", prefix: "a b", per_customer: "0", origin: "bought" };
        let expected = [
            ("plan", "gift_cards.error.plan"),
            ("count", "gift_cards.error.count"),
            ("prefix", "gift_cards.error.prefix"),
            ("per_customer", "gift_cards.error.per_customer"),
            ("origin", "gift_cards.error.origin"),
            ("amount", "gift_cards.error.amount"),
            ("expires_at", "field.in_the_past"),
            ("note", "gift_cards.error.note"),
        ];
        assert_eq!(NewBatch::parse(&wrong, 5).unwrap_err(), expected.map(|(field, key)| FieldError::new(field, key)));
        let mistakes = NewBatch::parse(&BatchFields { amount: "five", count: "", ..typed }, 5).unwrap_err();
        assert_eq!(mistakes, [FieldError::new("amount", "field.amount"), FieldError::new("count", "field.whole_number")]);
        assert!(NewBatch::parse(&BatchFields { amount: "-5", ..typed }, 5).is_err());
    }
}
