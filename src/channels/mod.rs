//! The upstream connections: where they are, what they serve, and the keys to them.
//!
//! Invariants: a credential is sealed with `APP_SECRET` and bound to its row; it leaves this room only in a [`Channel`], for the relay; the
//! admin sees at most its last four characters. Every change bumps the topic `channels`, whose lock also makes writers take turns.
//! The rule for base URLs stands in `base_url.rs`.
//!
//! Callers: the admin's channel pages, the relay (through [`Snapshot`]).

mod base_url;
mod draft;
mod snapshot;
pub mod store;

pub use draft::{ChannelDraft, ChannelFields};
pub use snapshot::Snapshot;

use crate::db::revision::{Topic, bump};
use crate::db::{Conn, Db};
use crate::kernel::secrets::{AppSecret, CannotOpen, Secret};
use crate::kernel::{FieldError, Id, Kit};
use url::Url;

/// What the credentials are sealed for.
const PURPOSE: &str = "channel-credential";

/// A channel as the relay uses it.
#[derive(Debug)]
pub struct Channel {
    /// Its row.
    pub id: Id,
    /// The admin's name for it.
    pub name: String,
    /// Where its API is: with a version in its path, without a slash at the end.
    pub base_url: Url,
    /// The key to it.
    pub credential: Secret<String>,
    /// Higher ones are tried first.
    pub priority: i64,
    /// Its share among channels of the same priority; above 0.
    pub weight: i64,
}

impl Channel {
    /// The address of an API path such as `chat/completions`.
    pub fn endpoint(&self, path: &str) -> Url {
        base_url::endpoint(&self.base_url, path)
    }
}

/// A channel as the admin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelView {
    /// Its row.
    pub id: Id,
    /// The admin's name for it.
    pub name: String,
    /// Where its API is.
    pub base_url: String,
    /// The last four characters of its key, when the key is long enough to show any.
    pub key_tail: Option<String>,
    /// It cannot be used: its key does not open, since `APP_SECRET` has changed, or its address was damaged. Saving it with its key repairs it.
    pub broken: bool,
    /// What it serves.
    pub models: Vec<String>,
    /// Higher ones are tried first.
    pub priority: i64,
    /// Its share among channels of the same priority.
    pub weight: i64,
    /// Switched on by the admin.
    pub enabled: bool,
    /// When it was made.
    pub created_at: i64,
    /// When it was last saved.
    pub updated_at: i64,
}

/// Why a channel could not be saved or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// What was typed cannot be: the name is taken, or a new channel has no key.
    #[error("the form has mistakes")]
    Invalid(Vec<FieldError>),
    /// There is no such channel.
    #[error("no such channel")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Why a stored channel cannot be used.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Credential(#[from] CannotOpen),
    #[error("its base URL is not one: {0}")]
    BaseUrl(#[from] url::ParseError),
}

fn open(secret: &AppSecret, row: &store::Row) -> Result<Channel, Broken> {
    let credential = secret.open(PURPOSE, &row.id.to_string(), &row.sealed)?;
    let base_url = Url::parse(&row.base_url)?;
    Ok(Channel { id: row.id, name: row.name.clone(), base_url, credential, priority: row.priority, weight: row.weight })
}

fn view(secret: &AppSecret, row: store::Row) -> ChannelView {
    let opened = open(secret, &row);
    let key_tail = opened.as_ref().ok().and_then(|channel| tail(channel.credential.reveal()));
    let store::Row { id, name, base_url, models, priority, weight, enabled, created_at, updated_at, .. } = row;
    ChannelView { id, name, base_url, key_tail, broken: opened.is_err(), models, priority, weight, enabled, created_at, updated_at }
}

/// Of a key shorter than twelve characters nothing shows: four would be too much of it.
fn tail(key: &str) -> Option<String> {
    if key.len() < 12 { None } else { key.get(key.len() - 4..).map(str::to_owned) }
}

/// Makes a channel, or changes the one with this id. A draft without a key keeps the stored one.
///
/// # Errors
/// As [`ChannelError`] says.
pub async fn save(db: &Db, kit: &Kit, secret: &AppSecret, id: Option<Id>, draft: &ChannelDraft) -> Result<Id, ChannelError> {
    let now = kit.clock.now_ms();
    let row = id.unwrap_or_else(|| kit.ids.next());
    let sealed = draft.credential.as_ref().map(|key| secret.seal(&kit.random, PURPOSE, &row.to_string(), key.reveal()));
    let mut tx = db.write().await?;
    bump(&mut tx, Topic::Channels).await?;
    if store::name_taken(&mut tx, &draft.name, row).await? {
        return Err(ChannelError::Invalid(vec![FieldError::new("name", "channels.error.name_taken")]));
    }
    match (id, &sealed) {
        (Some(_), sealed) => {
            if !store::update(&mut tx, row, draft, sealed.as_deref(), now).await? {
                return Err(ChannelError::NotFound);
            }
        }
        (None, Some(sealed)) => store::insert(&mut tx, row, draft, sealed, now).await?,
        (None, None) => return Err(ChannelError::Invalid(vec![FieldError::new("key", "field.required")])),
    }
    tx.commit().await?;
    Ok(row)
}

/// Deletes a channel and its key. The rest of its row stays, for the requests it served.
///
/// # Errors
/// [`ChannelError::NotFound`] when there is no such channel.
pub async fn delete(db: &Db, kit: &Kit, id: Id) -> Result<(), ChannelError> {
    let mut tx = db.write().await?;
    bump(&mut tx, Topic::Channels).await?;
    if !store::delete(&mut tx, id, kit.clock.now_ms()).await? {
        return Err(ChannelError::NotFound);
    }
    tx.commit().await?;
    Ok(())
}

/// All channels, highest priority first.
///
/// # Errors
/// The database's.
pub async fn list(conn: &mut Conn, secret: &AppSecret) -> Result<Vec<ChannelView>, sqlx::Error> {
    Ok(store::all(conn).await?.into_iter().map(|row| view(secret, row)).collect())
}

/// One channel.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut Conn, secret: &AppSecret, id: Id) -> Result<Option<ChannelView>, sqlx::Error> {
    Ok(store::one(conn, id).await?.map(|row| view(secret, row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_keys_show_their_end() {
        assert_eq!(tail("sk-12345678"), None);
        assert_eq!(tail("sk-123456789"), Some("6789".into()));
    }
}
