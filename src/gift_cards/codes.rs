//! The codes of a new batch, sealed until somebody has fetched them: shown once, downloaded once.

use super::{GiftCardError, store};
use crate::admin_log;
use crate::db::{Db, Tx};
use crate::kernel::secrets::{AppSecret, Secret};
use crate::kernel::{Id, Kit, clock};

/// How long the codes of a batch wait to be fetched, from when the last was made.
pub(super) const KEEP_MS: i64 = clock::DAY_MS;
/// The largest batch whose codes are shown on a page; a larger one can only be downloaded.
pub const SHOW_MOST: i64 = 1_000;

const PURPOSE: &str = "gift-card-codes";

fn context(batch: Id, part: i64) -> String {
    format!("{batch}:{part}")
}

/// Keeps a portion's codes, in the transaction that makes them.
pub(super) async fn seal(tx: &mut Tx, kit: &Kit, secret: &AppSecret, batch: Id, part: i64, codes: &[Secret<String>]) -> Result<(), sqlx::Error> {
    let lines: Vec<&str> = codes.iter().map(|code| code.reveal().as_str()).collect();
    let sealed = secret.seal(&kit.random, PURPOSE, &context(batch, part), &lines.join("\n"));
    store::insert_sealed(tx, batch, part, &sealed).await
}

/// The codes of a batch for a page: of all who ask, ever, one gets them.
///
/// # Errors
/// [`GiftCardError::NoCodes`] for everybody else, and for a batch that is too large for a page.
pub async fn show(db: &Db, kit: &Kit, secret: &AppSecret, actor: Id, batch: Id) -> Result<Vec<Secret<String>>, GiftCardError> {
    let mut tx = db.write().await?;
    let downloaded = store::claim_show(&mut tx, batch, kit.clock.now_ms(), SHOW_MOST).await?.ok_or(GiftCardError::NoCodes)?;
    fetch(tx, kit, secret, (actor, "gift-cards-shown"), batch, downloaded).await
}

/// The codes of a batch for a file: of all who ask, ever, one gets them.
///
/// # Errors
/// [`GiftCardError::NoCodes`] for everybody else.
pub async fn download(db: &Db, kit: &Kit, secret: &AppSecret, actor: Id, batch: Id) -> Result<Vec<Secret<String>>, GiftCardError> {
    let mut tx = db.write().await?;
    let shown = store::claim_download(&mut tx, batch, kit.clock.now_ms(), SHOW_MOST).await?.ok_or(GiftCardError::NoCodes)?;
    fetch(tx, kit, secret, (actor, "gift-cards-downloaded"), batch, shown).await
}

/// Opens a batch's codes; `last` when nobody may ask again. What cannot be opened is erased like what was: nobody will ever open it.
async fn fetch(mut tx: Tx, kit: &Kit, secret: &AppSecret, (actor, deed): (Id, &str), batch: Id, last: bool) -> Result<Vec<Secret<String>>, GiftCardError> {
    let parts = store::sealed(&mut tx, batch).await?;
    let open = |(part, sealed): &(i64, String)| secret.open(PURPOSE, &context(batch, *part), sealed);
    let opened: Result<Vec<Secret<String>>, _> = parts.iter().map(open).collect();
    if last || opened.is_err() {
        store::drop_sealed(&mut tx, batch).await?;
    }
    admin_log::record(&mut tx, kit, Some(actor), deed, &batch.to_string(), "").await?;
    tx.commit().await?;
    let texts = opened.map_err(|error| {
        tracing::error!(%batch, %error, "the codes of a batch cannot be opened; void it and make another");
        GiftCardError::NoCodes
    })?;
    Ok(texts.iter().flat_map(|text| text.reveal().lines()).map(|line| Secret::new(line.to_owned())).collect())
}

/// Erases the codes that nobody came for in time. Returns of how many batches.
///
/// # Errors
/// The database's.
pub async fn erase_old(db: &Db, kit: &Kit) -> Result<usize, sqlx::Error> {
    let late = store::overdue_sealed(&mut *db.read().await?, kit.clock.now_ms()).await?;
    for &batch in &late {
        let mut tx = db.write().await?;
        store::drop_sealed(&mut tx, batch).await?;
        tx.commit().await?;
    }
    Ok(late.len())
}
