//! The models that the shop offers and what they cost.
//!
//! Invariants: names of models are unique; prices are append-only, so that what a past request was charged can be explained; the
//! price in force is the one whose moment came last; a model without a price in force cannot be called. Every change bumps
//! the topic `catalog`, whose lock also makes writers take turns.
//!
//! Callers: the admin's model pages, the relay and the public pages (through [`Snapshot`]).

mod caching;
mod draft;
mod model;
mod snapshot;
pub mod store;

pub use caching::{Caching, Factor};
pub use draft::{ModelDraft, ModelFields};
pub use model::{Model, Step};
pub use snapshot::Snapshot;

use crate::db::revision::{Topic, bump};
use crate::db::{Conn, Db};
use crate::kernel::{FieldError, Id, Kit, Prices};

/// Why a model could not be saved or deleted.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// What was typed cannot be: the name is taken.
    #[error("the form has mistakes")]
    Invalid(Vec<FieldError>),
    /// There is no such model.
    #[error("no such model")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes a model, or changes the one with this id. A price row is added only when the prices differ from those in force.
///
/// # Errors
/// As [`CatalogError`] says.
pub async fn save(db: &Db, kit: &Kit, id: Option<Id>, draft: &ModelDraft) -> Result<Id, CatalogError> {
    let mut tx = db.write().await?;
    bump(&mut tx, Topic::Catalog).await?;
    // After the lock: a later edit must not carry an earlier moment than the one it follows.
    let now = kit.clock.now_ms();
    let in_force = match id {
        Some(id) => store::one(&mut tx, id, now).await?.ok_or(CatalogError::NotFound)?.prices_at(now),
        None => None,
    };
    let row = id.unwrap_or_else(|| kit.ids.next());
    if store::name_taken(&mut tx, &draft.name, row).await? {
        return Err(CatalogError::Invalid(vec![FieldError::new("name", "catalog.error.name_taken")]));
    }
    match id {
        Some(_) => drop(store::update(&mut tx, row, draft, now).await?),
        None => store::insert(&mut tx, row, draft, now).await?,
    }
    if draft.prices != in_force {
        store::insert_price(&mut tx, kit.ids.next(), row, now, draft.prices.as_ref()).await?;
    }
    tx.commit().await?;
    Ok(row)
}

/// Announces prices for later: they take effect everywhere when their moment comes.
///
/// # Errors
/// [`CatalogError::NotFound`] when there is no such model.
pub async fn announce(db: &Db, kit: &Kit, id: Id, effective_at: i64, prices: Option<Prices>) -> Result<(), CatalogError> {
    let mut tx = db.write().await?;
    bump(&mut tx, Topic::Catalog).await?;
    store::one(&mut tx, id, kit.clock.now_ms()).await?.ok_or(CatalogError::NotFound)?;
    store::insert_price(&mut tx, kit.ids.next(), id, effective_at, prices.as_ref()).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes a model out of the catalog and frees its name. Its prices stay on record.
///
/// # Errors
/// [`CatalogError::NotFound`] when there is no such model.
pub async fn delete(db: &Db, kit: &Kit, id: Id) -> Result<(), CatalogError> {
    let mut tx = db.write().await?;
    bump(&mut tx, Topic::Catalog).await?;
    if !store::delete(&mut tx, id, kit.clock.now_ms()).await? {
        return Err(CatalogError::NotFound);
    }
    tx.commit().await?;
    Ok(())
}

/// All models in the order of their names.
///
/// # Errors
/// The database's.
pub async fn list(conn: &mut Conn, now_ms: i64) -> Result<Vec<Model>, sqlx::Error> {
    store::all(conn, now_ms).await
}

/// One model.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut Conn, id: Id, now_ms: i64) -> Result<Option<Model>, sqlx::Error> {
    store::one(conn, id, now_ms).await
}
