//! Plans: what an admin offers for a price and a time, and what customers have bought of it.
//!
//! Invariants, which the tests race:
//! - a plan is never sold more often than its stock, nor to one customer more often than it says, reservations included;
//! - whoever has bought a plan keeps its terms; an edit makes a new version, for those who buy later;
//! - each order and each invoice makes one term, and each period of a term grants its allowance once;
//! - what was paid for a term lies in [`House::Plans`](crate::ledger::House::Plans) and leaves it exactly: as allowance when a period opens, as revenue
//!   when it has ended;
//! - what a plan does to its customer's limits and prices ends in the millisecond in which the plan does: the relay asks a [`Snapshot`] by the clock.
//!
//! Locks are taken in the order plan, subscription, wallet, revision.
//!
//! Callers: `payments` sells (orders, invoices, cancellations), the site shows, the relay asks the [`Snapshot`] what pays, `app` runs [`run_due`].

mod calendar;
mod draft;
mod periods;
pub mod renewing;
mod reserve;
mod snapshot;
pub mod store;
mod subscription;
mod terms;
mod undo;
mod views;
mod ways;

pub use calendar::{Course, Length, Stretch, Unit};
pub use draft::{FIELDS, PlanDraft};
pub use periods::run_due;
pub use renewing::{
    Edition, Heard, Renewed, RenewedTerm, Standing, Untold, Word, edition, external, externals, heard, is_unspent, look_later, overdue, past_due, renewed,
    standing, stir, tell_later, told, untold,
};
pub use reserve::{BuyWay, Refused, Reserve, Reserved, has_room, lock, release, reserve, reserved, trial_days};
pub use snapshot::{Running, Snapshot, limits};
pub use subscription::{Activated, Activation, Ending, NewTerm, Renewal, SubscriptionError, When, activate, cancel, change_to, resume};
pub use terms::{PlanLimits, Sold, Stacking, Terms, UsedUp, share};
pub use undo::{Undo, freeze, thaw, undo};
pub use views::{PeriodView, State, SubscriptionView, TermView, of_order, of_user};
pub use ways::{Way, Ways};

use crate::admin_log;
use crate::db::{Conn, Db};
use crate::kernel::{Id, Kit};

/// Who sees a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every customer.
    Public,
    /// Whoever has its link.
    Link,
    /// Nobody: it is off sale.
    Off,
}

impl Visibility {
    /// All of them.
    pub const ALL: [Visibility; 3] = [Visibility::Public, Visibility::Link, Visibility::Off];

    /// The word in forms and in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Visibility::Public => "public",
            Visibility::Link => "link",
            Visibility::Off => "off",
        }
    }

    /// From that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|visibility| visibility.word() == word)
    }
}

/// How a plan is offered: what an edit changes for everybody at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Who sees it.
    pub visibility: Visibility,
    /// Lower comes first.
    pub sort: i64,
    /// A word or two that stand out; empty for none.
    pub badge: String,
    /// How often one customer may buy it.
    pub per_customer: Option<i64>,
    /// How often it can be bought in all.
    pub stock: Option<i64>,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its row.
    pub id: Id,
    /// The version of its terms that is sold now.
    pub version: Id,
    /// Those terms.
    pub terms: Terms,
    /// How it is offered.
    pub offer: Offer,
    /// How often it was bought or is reserved.
    pub taken: i64,
    /// How many subscriptions run.
    pub running: i64,
    /// When it was made.
    pub created_at: i64,
}

impl Plan {
    /// How many can still be bought; none for as many as somebody likes.
    pub fn left(&self) -> Option<i64> {
        self.offer.stock.map(|stock| (stock - self.taken).max(0))
    }
}

/// Why a plan could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no such plan.
    #[error("no such plan")]
    NotFound,
    /// Somebody else has saved it in the meantime.
    #[error("the plan was changed meanwhile")]
    Changed,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes a plan, or changes the one with this id when its terms are still of the version that the form was filled with. Terms that differ make a new version.
///
/// # Errors
/// As [`PlanError`] says.
pub async fn save(db: &Db, kit: &Kit, actor: Id, id: Option<(Id, Id)>, draft: &PlanDraft) -> Result<Id, PlanError> {
    let now = kit.clock.now_ms();
    let mut tx = db.write().await?;
    let (plan, action) = match id {
        None => {
            let (plan, version) = (kit.ids.next(), kit.ids.next());
            store::insert_plan(&mut tx, plan, version, &draft.offer, now).await?;
            store::insert_version(&mut tx, version, plan, &draft.terms, now).await?;
            (plan, "plan-made")
        }
        Some((plan, seen)) => {
            let locked = store::lock_plan(&mut tx, plan).await?.ok_or(PlanError::NotFound)?;
            if locked.version != seen {
                return Err(PlanError::Changed);
            }
            let old = store::version(&mut tx, locked.version).await?;
            let version = if old.as_ref().is_some_and(|version| version.terms == draft.terms) { locked.version } else { kit.ids.next() };
            if version != locked.version {
                store::insert_version(&mut tx, version, plan, &draft.terms, now).await?;
            }
            store::update_plan(&mut tx, plan, version, &draft.offer, now).await?;
            (plan, "plan-saved")
        }
    };
    let detail = format!("{} {} {}", draft.terms.name, draft.terms.price().display(), draft.offer.visibility.word());
    admin_log::record(&mut tx, kit, Some(actor), action, &plan.to_string(), &detail).await?;
    tx.commit().await?;
    Ok(plan)
}

/// Takes a plan off sale. Whoever has it keeps it.
///
/// # Errors
/// [`PlanError::NotFound`] when there is no such plan.
pub async fn take_off(db: &Db, kit: &Kit, actor: Id, id: Id) -> Result<(), PlanError> {
    let mut tx = db.write().await?;
    if !store::take_off(&mut tx, id, kit.clock.now_ms()).await? {
        return Err(PlanError::NotFound);
    }
    admin_log::record(&mut tx, kit, Some(actor), "plan-off", &id.to_string(), "").await?;
    tx.commit().await?;
    Ok(())
}

/// Plans by how they are sorted, those after `after`; only public ones on request.
///
/// # Errors
/// The database's.
pub async fn list(conn: &mut Conn, only: Option<Visibility>, after: Option<(i64, Id)>, limit: i64) -> Result<Vec<Plan>, sqlx::Error> {
    store::plans(conn, only, after.unwrap_or((i64::MIN, Id(0))), limit).await
}

/// Whether what lies in the account of plans is what the subscriptions have paid for and not got yet: the part of the audit that the ledger, which does not know plans,
/// cannot prove. Returns a line when it is not.
///
/// # Errors
/// The database's.
pub async fn audit(conn: &mut Conn) -> Result<Option<String>, sqlx::Error> {
    let (by_rows, by_transfers) = store::undelivered(conn).await?;
    let differs = || format!("plans: subscriptions have {by_rows} paid for and not delivered, the account of plans has {by_transfers}");
    Ok((by_rows != by_transfers).then(differs))
}

/// One plan.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut Conn, id: Id) -> Result<Option<Plan>, sqlx::Error> {
    store::plan(conn, id).await
}
