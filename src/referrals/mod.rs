//! Customers who bring others: a link for each who wants one, and credit for both sides after the first order that was paid.
//!
//! Invariants: a person comes once, however many addresses their mailbox has, and never by their own link; what an order earns is held for a while and granted
//! once, or undone when the order is refunded or disputed within that time; a referrer is rewarded at most as often as the shop says. What was promised when
//! the order was paid holds, whatever is set later.
//!
//! Locks are taken in the order referral, referrer, wallets by their ids.
//!
//! Callers: `accounts` (somebody who was invited has proved their address), the orders (paid, undone), the customer's page and the admin's, `app` (the job).

mod person;
mod rules;
pub mod store;

pub use rules::{Rules, RulesFields, rules, save_rules};

use crate::db::{Conn, Db, Tx};
use crate::kernel::secrets::{self, AppSecret};
use crate::kernel::{Id, Kit, NEVER, Usd, clock::DAY_MS};
use crate::ledger::{Books, CreditKind, EVERYTHING, Grant, House, LedgerError};
use person::person;

/// How long a link's code is.
const CODE_LEN: usize = 10;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// How many referrals one round of the job grants.
const ROUND: i64 = 100;

/// The link that somebody came by, and where from: kept from the click until they have proved their address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The link's code.
    pub code: String,
    /// A keyed hash of the network address, of [`mark`].
    pub mark: String,
}

impl Invitation {
    /// As it is kept.
    pub fn write(&self) -> String {
        format!("{}:{}", self.code, self.mark)
    }

    /// From what was kept.
    pub fn read(text: &str) -> Option<Self> {
        let (code, mark) = text.split_once(':')?;
        Some(Self { code: code.to_owned(), mark: mark.to_owned() })
    }
}

/// A customer's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What stands after `/r/`.
    pub code: String,
    /// How often it was rewarded.
    pub rewarded: i64,
}

/// How far a referral is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Has an account, and has not paid for anything large enough.
    Joined,
    /// Has paid; the reward waits.
    Held,
    /// Both sides have their credit.
    Granted,
    /// The order was refunded or disputed, or an account was shut, before the time was over.
    Undone,
}

impl State {
    /// Every one.
    pub const ALL: [State; 4] = [State::Joined, State::Held, State::Granted, State::Undone];

    /// The word in the database and in URLs.
    pub const fn word(self) -> &'static str {
        match self {
            State::Joined => "joined",
            State::Held => "held",
            State::Granted => "granted",
            State::Undone => "undone",
        }
    }

    /// From its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Somebody who was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// Who came.
    pub user: Id,
    /// Their address.
    pub email: String,
    /// Who brought them.
    pub referrer: Id,
    /// The address of who brought them.
    pub referrer_email: String,
    /// How far it is.
    pub state: State,
    /// They came from the network address of the referrer, or of another who came by the same link.
    pub same_source: bool,
    /// When they came.
    pub joined_at: i64,
    /// The order that earned it.
    pub order: Option<Id>,
    /// When its reward is granted.
    pub due_at: Option<i64>,
    /// What the referrer gets.
    pub reward: Usd,
    /// What who came gets.
    pub welcome: Usd,
    /// Whether the referrer got theirs: not when they had got all that they may.
    pub rewarded: bool,
}

impl Referral {
    /// Whether the referrer gets something for it, or did.
    pub fn is_promised(&self) -> bool {
        self.state == State::Held || (self.state == State::Granted && self.rewarded)
    }

    /// The address for the eyes of the referrer.
    pub fn masked(&self) -> String {
        let (local, host) = self.email.rsplit_once('@').unwrap_or((&self.email, ""));
        format!("{}…@{host}", local.chars().next().unwrap_or('…'))
    }
}

/// A hash of a network address that only this shop can make: the same address has the same, and nobody learns it.
pub fn mark(secret: &AppSecret, source: &str) -> String {
    let key = data_encoding::HEXLOWER.encode(&*secret.derive("referral-source"));
    secrets::hash(&format!("{key}:{source}"))[..24].to_owned()
}

/// A customer's link, when they have one.
///
/// # Errors
/// The database's.
pub async fn link(conn: &mut Conn, user: Id) -> Result<Option<Link>, sqlx::Error> {
    store::link(conn, user).await
}

/// Gives a customer a link. Who has one keeps it.
///
/// # Errors
/// The database's.
pub async fn make_link(db: &Db, kit: &Kit, user: Id, mark: &str) -> Result<(), sqlx::Error> {
    let code: String = kit.random.bytes::<CODE_LEN>().iter().map(|byte| ALPHABET[usize::from(byte & 31)] as char).collect();
    let mut tx = db.write().await?;
    store::insert_link(&mut tx, user, &code, mark, kit.clock.now_ms()).await?;
    tx.commit().await
}

/// The code of a link that is good at this moment, from what stands in the URL.
///
/// # Errors
/// The database's.
pub async fn follow(conn: &mut Conn, typed: &str) -> Result<Option<String>, sqlx::Error> {
    let code = typed.trim().to_ascii_lowercase();
    if code.len() != CODE_LEN || !code.bytes().all(|byte| ALPHABET.contains(&byte)) || !rules(conn).await?.enabled {
        return Ok(None);
    }
    Ok(store::owner_of(conn, &code).await?.map(|_| code))
}

/// Somebody new has proved their address, and was invited. Whether that counts: not by one's own link, not twice, and not for a mailbox that has an account.
/// Idempotent.
///
/// # Errors
/// The database's.
pub async fn joined(tx: &mut Tx, kit: &Kit, user: Id, invitation: &Invitation) -> Result<bool, sqlx::Error> {
    if !rules(tx).await?.enabled {
        return Ok(false);
    }
    let Some(owner) = store::owner_of(tx, &invitation.code).await?.filter(|owner| owner.user != user && owner.disabled_at.is_none()) else { return Ok(false) };
    let Some(email) = store::email_key(tx, user).await? else { return Ok(false) };
    let mailbox = person(&email);
    let known = store::like_mailbox(tx, user, &mailbox).await?;
    if person(&owner.email_key) == mailbox || known.iter().any(|other| person(other) == mailbox) {
        return Ok(false);
    }
    let same_source = owner.source == invitation.mark || store::came_from(tx, owner.user, &invitation.mark).await?;
    store::insert(tx, user, owner.user, &mailbox, &invitation.mark, same_source, kit.clock.now_ms()).await
}

/// An order was paid. Holds the reward of who was brought, if it is their first that is large enough. Whether it does. Idempotent: one order, or fifty at once,
/// hold one reward.
///
/// # Errors
/// The database's.
pub async fn order_paid(tx: &mut Tx, kit: &Kit, user: Id, order: Id, paid: Usd) -> Result<bool, sqlx::Error> {
    let rules = rules(tx).await?;
    if !rules.enabled || paid < rules.minimum || paid <= Usd::ZERO {
        return Ok(false);
    }
    let due_at = kit.clock.now_ms() + rules.hold_days * DAY_MS;
    store::hold(tx, user, order, due_at, rules.reward, rules.welcome).await
}

/// An order was refunded or is disputed. Undoes the reward that it has earned, as long as that is held. Whether it was. To be called before the wallet is locked.
///
/// # Errors
/// The database's.
pub async fn order_undone(tx: &mut Tx, kit: &Kit, order: Id) -> Result<bool, sqlx::Error> {
    store::undo_order(tx, order, kit.clock.now_ms()).await
}

/// Grants what has been held long enough. Returns how many referrals that were.
///
/// # Errors
/// The database's, the ledger's; what was granted stays.
pub async fn grant_due(db: &Db, kit: &Kit, books: &Books) -> Result<usize, LedgerError> {
    let now = kit.clock.now_ms();
    let due = store::due(&mut *db.read().await?, now, ROUND).await?;
    let mut granted = 0;
    for user in due {
        let mut tx = db.write().await?;
        granted += usize::from(grant(&mut tx, kit, books, user, now).await?);
        tx.commit().await?;
    }
    Ok(granted)
}

async fn grant(tx: &mut Tx, kit: &Kit, books: &Books, user: Id, now: i64) -> Result<bool, LedgerError> {
    // The compare-and-set: of several who grant, one goes on.
    let Some(held) = store::end_hold(tx, user, now).await? else { return Ok(false) };
    if store::is_shut(tx, user).await? {
        store::set_undone(tx, user).await?;
        return Ok(false);
    }
    let cap = rules(tx).await?.cap;
    let rewarded = held.reward > Usd::ZERO && !store::is_shut(tx, held.referrer).await? && store::count_reward(tx, held.referrer, cap).await?;
    if rewarded {
        store::set_rewarded(tx, user).await?;
    }
    let mut gifts = vec![(user, held.welcome, "welcome")];
    gifts.extend(rewarded.then_some((held.referrer, held.reward, "reward")));
    gifts.retain(|(_, amount, _)| *amount > Usd::ZERO);
    gifts.sort_by_key(|(to, ..)| *to);
    for (to, amount, what) in gifts {
        books.open_wallet(tx, to).await?;
        let grant = Grant {
            user: to,
            kind: CreditKind::Gift,
            from: House::Promotion,
            amount,
            priority: 100,
            effective_at: kit.clock.now_ms(),
            expires_at: NEVER,
            scope: EVERYTHING,
            reference: format!("referral:{what}"),
            idempotency_key: format!("referral:{user}:{what}"),
        };
        books.grant(tx, grant).await?;
    }
    Ok(true)
}

/// Whom a customer has brought, the latest first, before the customer `before`.
///
/// # Errors
/// The database's.
pub async fn brought_by(conn: &mut Conn, referrer: Id, before: Option<Id>, limit: i64) -> Result<Vec<Referral>, sqlx::Error> {
    store::brought_by(conn, referrer, before.unwrap_or(Id(i64::MAX)), limit).await
}

/// Which referrals an admin looks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Those in one state.
    pub state: Option<State>,
    /// Those of one referrer.
    pub referrer: Option<Id>,
    /// Those that came from an address that was seen before.
    pub same_source: bool,
}

/// Referrals, the latest first, before the customer `before`.
///
/// # Errors
/// The database's.
pub async fn search(conn: &mut Conn, wanted: Search, before: Option<Id>, limit: i64) -> Result<Vec<Referral>, sqlx::Error> {
    store::search(conn, wanted, before.unwrap_or(Id(i64::MAX)), limit).await
}
