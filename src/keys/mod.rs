//! The `sk-` keys that customers call with: made, listed, switched off, deleted, and looked up by the relay.
//!
//! Invariants: only the SHA-256 of a key and its first eight characters are kept; nobody touches another user's key; a user who is
//! not verified or is disabled gets no key; at most [`MAX_PER_USER`] keys of a user exist. Every change bumps the topic
//! `keys`, so that it reaches every node's [`Snapshot`]. A budget is enforced by the ledger and a rate by `limits`, not here; this room knows what they are.
//!
//! Locks are taken in the order user, revision, key.
//!
//! Callers: the account pages, the relay (through [`Snapshot`]), accounts (through [`touch_user`]), settings (for the default [`Allowance`]).

mod access;
mod allowance;
mod format;
mod options;
mod patterns;
mod snapshot;
pub mod store;
mod user;

pub use access::{Access, AccessFields, MAX_ADDRESSES, parse_models};
pub use allowance::{Allowance, AllowanceFields};
pub use format::{ApiKey, NotAKey};
pub use options::{KeyFields, KeyOptions};
pub use patterns::{MAX_PATTERNS, ModelRule};
pub use snapshot::{Entry, Snapshot};
pub use user::UserLimits;

use crate::db::revision::{Topic, bump};
use crate::db::{Conn, Db};
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::{FieldError, Id, Kit, NEVER, Usd, secrets, secrets::Secret};

/// How many keys a user may have. Deleted ones do not count.
pub const MAX_PER_USER: i64 = 100;

/// What a customer chooses for a new key.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The customer's name for it.
    pub name: String,
    /// What it may spend in all.
    pub budget: Option<Usd>,
    /// From when on it no longer works; [`NEVER`] for always.
    pub expires_at: i64,
    /// What else limits it.
    pub options: KeyOptions,
}

/// What a customer changes of a key: all of it, except that it may expire as it did.
#[derive(Clone, Debug)]
pub struct KeyChange {
    /// The customer's name for it.
    pub name: String,
    /// What it may spend in all.
    pub budget: Option<Usd>,
    /// From when on it no longer works; none leaves that as it is.
    pub expires_at: Option<i64>,
    /// What else limits it.
    pub options: KeyOptions,
}

/// A new key. This is the only moment at which its text exists.
#[derive(Debug)]
pub struct CreatedKey {
    /// Its row.
    pub id: Id,
    /// What the customer must copy now.
    pub key: Secret<String>,
}

/// A key as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its row.
    pub id: Id,
    /// The customer's name for it.
    pub name: String,
    /// The first characters of the key.
    pub prefix: String,
    /// What it may spend in all.
    pub budget: Option<Usd>,
    /// What it has spent.
    pub spent: Usd,
    /// What its open requests hold.
    pub held: Usd,
    /// How many requests it made.
    pub requests: i64,
    /// When it made the latest.
    pub last_used_at: Option<i64>,
    /// From when on it no longer works.
    pub expires_at: i64,
    /// When it was switched off.
    pub disabled_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// What else limits it.
    pub options: KeyOptions,
}

/// Why a key could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// What was typed has mistakes.
    #[error("the form has mistakes")]
    Invalid(Vec<FieldError>),
    /// The user's address is not verified.
    #[error("the e-mail address is not verified")]
    NotVerified,
    /// The user is disabled, or there is none.
    #[error("the account is disabled")]
    UserDisabled,
    /// The user has as many keys as one may: [`MAX_PER_USER`], or what a plan says.
    #[error("too many keys")]
    TooMany,
    /// The user has no such key.
    #[error("no such key")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl NewKey {
    /// One that nothing limits.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), budget: None, expires_at: NEVER, options: KeyOptions::default() }
    }

    /// From a form. What is empty is not limited; the expiry is a moment already, since only the page knows what was chosen.
    ///
    /// # Errors
    /// Every mistake, by field: those of [`KeyFields`], and `expires`.
    pub fn parse(fields: &KeyFields<'_>, expires_at: i64, now_ms: i64) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let (budget, options) = fields.check(&mut mistakes);
        let draft = Self { name: fields.name.to_owned(), budget, expires_at, options };
        draft.checked(now_ms, mistakes)
    }

    fn checked(mut self, now_ms: i64, mut mistakes: Mistakes) -> Result<Self, Vec<FieldError>> {
        self.name = mistakes.take("name", fields::label(&self.name)).unwrap_or_default();
        if self.budget.is_some_and(|budget| budget < Usd::ZERO) && !mistakes.has("budget") {
            mistakes.add("budget", "field.amount_negative");
        }
        if self.expires_at != NEVER && self.expires_at <= now_ms {
            mistakes.add("expires", "field.in_the_past");
        }
        mistakes.check().map(|()| self)
    }
}

impl KeyChange {
    /// From a form.
    ///
    /// # Errors
    /// As [`NewKey::parse`].
    pub fn parse(fields: &KeyFields<'_>, expires_at: Option<i64>, now_ms: i64) -> Result<Self, Vec<FieldError>> {
        let new = NewKey::parse(fields, expires_at.unwrap_or(NEVER), now_ms)?;
        Ok(Self { name: new.name, budget: new.budget, expires_at, options: new.options })
    }
}

/// Makes a key for `user`.
///
/// # Errors
/// As [`KeyError`] says.
pub async fn create(db: &Db, kit: &Kit, user: Id, new: NewKey) -> Result<CreatedKey, KeyError> {
    create_within(db, kit, user, new, MAX_PER_USER).await
}

/// The same for somebody who may have at most so many keys.
///
/// # Errors
/// As [`KeyError`] says.
pub async fn create_within(db: &Db, kit: &Kit, user: Id, new: NewKey, most: i64) -> Result<CreatedKey, KeyError> {
    let now = kit.clock.now_ms();
    let new = new.checked(now, Mistakes::default()).map_err(KeyError::Invalid)?;
    let mut tx = db.write().await?;
    match store::lock_user(&mut tx, user).await? {
        None | Some((_, Some(_))) => return Err(KeyError::UserDisabled),
        Some((None, _)) => return Err(KeyError::NotVerified),
        Some((Some(_), None)) => {}
    }
    if store::count_live(&mut tx, user).await? >= most.min(MAX_PER_USER) {
        return Err(KeyError::TooMany);
    }
    let (id, key) = (kit.ids.next(), format::generate(&kit.random));
    let hash = secrets::hash(key.reveal());
    let revision = bump(&mut tx, Topic::Keys).await?;
    let row = store::NewRow {
        id,
        user,
        name: &new.name,
        hash: &hash,
        prefix: format::shown(&key),
        budget: new.budget,
        expires_at: new.expires_at,
        options: new.options.write(),
        created_at: now,
        revision,
    };
    store::insert(&mut tx, row).await?;
    tx.commit().await?;
    Ok(CreatedKey { id, key })
}

/// The user's keys, newest first, with what each has spent.
///
/// # Errors
/// The database's.
pub async fn list(conn: &mut Conn, user: Id) -> Result<Vec<KeyView>, sqlx::Error> {
    store::list(conn, user).await
}

/// One of the user's keys.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut Conn, user: Id, key: Id) -> Result<Option<KeyView>, sqlx::Error> {
    Ok(list(conn, user).await?.into_iter().find(|view| view.id == key))
}

/// Changes the user's key. Every node knows within a second.
///
/// # Errors
/// [`KeyError::NotFound`] when the user has no such key.
pub async fn update(db: &Db, user: Id, key: Id, change: &KeyChange) -> Result<(), KeyError> {
    let mut tx = db.write().await?;
    let revision = bump(&mut tx, Topic::Keys).await?;
    if !store::update(&mut tx, user, key, change, revision).await? {
        return Err(KeyError::NotFound);
    }
    tx.commit().await?;
    Ok(())
}

/// Switches the user's key off or on again.
///
/// # Errors
/// [`KeyError::NotFound`] when the user has no such key.
pub async fn set_disabled(db: &Db, kit: &Kit, user: Id, key: Id, disabled: bool) -> Result<(), KeyError> {
    let mut tx = db.write().await?;
    let revision = bump(&mut tx, Topic::Keys).await?;
    let found =
        if disabled { store::disable(&mut tx, user, key, kit.clock.now_ms(), revision).await? } else { store::enable(&mut tx, user, key, revision).await? };
    if !found {
        return Err(KeyError::NotFound);
    }
    tx.commit().await?;
    Ok(())
}

/// Deletes the user's key for good. Its row stays, for the requests it made.
///
/// # Errors
/// [`KeyError::NotFound`] when the user has no such key.
pub async fn delete(db: &Db, kit: &Kit, user: Id, key: Id) -> Result<(), KeyError> {
    let mut tx = db.write().await?;
    let revision = bump(&mut tx, Topic::Keys).await?;
    if !store::delete(&mut tx, user, key, kit.clock.now_ms(), revision).await? {
        return Err(KeyError::NotFound);
    }
    tx.commit().await?;
    Ok(())
}

/// Makes every snapshot read the user's keys again: to be called, in the same transaction and after it, by whatever verifies,
/// disables or enables a user.
///
/// # Errors
/// The database's.
pub async fn touch_user(conn: &mut Conn, user: Id) -> Result<(), sqlx::Error> {
    let revision = bump(conn, Topic::Keys).await?;
    store::touch_user(conn, user, revision).await
}

/// What a key has spent in all.
///
/// # Errors
/// The database's.
pub async fn spent(conn: &mut Conn, key: Id) -> Result<Usd, sqlx::Error> {
    store::spent(conn, key).await
}

/// What all of a customer's keys have spent, deleted ones included.
///
/// # Errors
/// The database's.
pub async fn spent_by_user(conn: &mut Conn, user: Id) -> Result<Usd, sqlx::Error> {
    store::spent_by_user(conn, user).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<'a>(name: &'a str, budget: &'a str) -> KeyFields<'a> {
        KeyFields { name, allowance: AllowanceFields { budget, ..AllowanceFields::default() }, ..KeyFields::default() }
    }

    #[test]
    fn a_form_is_read_or_refused_with_every_mistake() {
        let new = NewKey::parse(&fields(" laptop ", ""), NEVER, 10).unwrap();
        assert_eq!((new.name.as_str(), new.budget, new.expires_at), ("laptop", None, NEVER));
        assert_eq!(NewKey::parse(&fields("k", "0"), 11, 10).unwrap().budget, Some(Usd::ZERO));
        let mistakes = NewKey::parse(&fields(" ", "-1"), 10, 10).unwrap_err();
        let expected = [("budget", "field.amount_negative"), ("name", "field.required"), ("expires", "field.in_the_past")];
        assert_eq!(mistakes, expected.map(|(field, key)| FieldError::new(field, key)));
        assert_eq!(NewKey::parse(&fields("k", "0,5"), NEVER, 10).unwrap_err(), [FieldError::new("budget", "field.amount")]);
    }

    #[test]
    fn a_key_may_expire_as_it_did() {
        assert_eq!(KeyChange::parse(&fields("k", ""), None, 10).unwrap().expires_at, None);
        assert_eq!(KeyChange::parse(&fields("k", ""), Some(11), 10).unwrap().expires_at, Some(11));
        assert!(KeyChange::parse(&fields("k", ""), Some(10), 10).is_err());
    }
}
