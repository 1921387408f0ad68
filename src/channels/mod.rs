//! The upstream connections: where they are, what they serve, the keys to them, and how they have been doing.
//!
//! Invariants: keys, extra headers and proxy addresses are sealed with `APP_SECRET` and bound to their row; the keys leave this room only in a
//! [`Channel`], for the relay; the admin sees at most their last four characters. Every change bumps the topic `channels`, whose lock also makes
//! writers take turns. The rule for base URLs stands in `base_url.rs`, that for endpoints in `address.rs`.
//!
//! Callers: the admin's channel pages, the relay (through [`Snapshot`]), `app` (which runs the [`Prober`]).

mod address;
mod base_url;
mod channel;
mod clients;
pub mod dialect;
mod draft;
pub mod health;
mod option_fields;
mod options;
pub mod pattern;
pub mod pause;
mod probe;
#[cfg(test)]
pub(crate) mod samples;
mod snapshot;
pub mod store;

pub use channel::{Channel, Endpoint, KeySlot, Target};
pub use dialect::{Dialect, Dialects, Kind};
pub use draft::{ChannelDraft, ChannelFields};
pub use health::{HealthView, Permit, Refusal, Standing, Verdict};
pub use options::{Capabilities, Cost, Options, Private, Probe};
pub use probe::Prober;
pub use snapshot::Snapshot;

use crate::db::revision::{Topic, bump};
use crate::db::{Conn, Db};
use crate::kernel::secrets::AppSecret;
use crate::kernel::{FieldError, Id, Kit};
use channel::Opened;
use std::collections::HashMap;

/// What the keys are sealed for.
const PURPOSE: &str = "channel-credential";
/// What [`Private`] options are sealed for.
const PURPOSE_PRIVATE: &str = "channel-private";

/// A channel as the admin sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelView {
    /// Its row.
    pub id: Id,
    /// The admin's name for it.
    pub name: String,
    /// What kind of API it has.
    pub kind: Kind,
    /// Where its API is.
    pub base_url: String,
    /// The last four characters of each of its keys, when the key is long enough to show any.
    pub key_tails: Vec<Option<String>>,
    /// It cannot be used: its keys do not open, since `APP_SECRET` has changed, or its row was damaged. Saving it with its keys repairs it.
    pub broken: bool,
    /// What it serves.
    pub models: Vec<String>,
    /// Higher ones are tried first.
    pub priority: i64,
    /// Its share among channels of the same priority.
    pub weight: i64,
    /// Switched on by the admin.
    pub enabled: bool,
    /// Everything else that was set about it.
    pub options: Options,
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

fn view(secret: &AppSecret, row: store::Row) -> ChannelView {
    let opened = Opened::read(secret, &row).ok();
    let broken = opened.is_none();
    let key_tails = opened.iter().flat_map(|opened| opened.keys.iter().map(|key| tail(key.reveal()))).collect();
    // Of a channel whose keys do not open, what was not sealed is shown all the same.
    let options = opened.map_or_else(|| serde_json::from_str(&row.options).unwrap_or_default(), |opened| opened.options);
    let store::Row { id, name, kind, base_url, models, priority, weight, enabled, created_at, updated_at, .. } = row;
    let kind = Kind::from_word(&kind).unwrap_or_default();
    ChannelView { id, name, kind, base_url, key_tails, broken, models, priority, weight, enabled, options, created_at, updated_at }
}

impl ChannelView {
    /// The texts of the form in which its options are edited, by field.
    pub fn option_texts(&self) -> Vec<(&'static str, String)> {
        option_fields::texts(self.kind, &self.options)
    }
}

/// Of a key shorter than twelve characters nothing shows: four would be too much of it.
fn tail(key: &str) -> Option<String> {
    if key.len() < 12 { None } else { key.get(key.len() - 4..).map(str::to_owned) }
}

/// Makes a channel, or changes the one with this id. A draft without a key keeps the stored ones.
///
/// # Errors
/// As [`ChannelError`] says.
pub async fn save(db: &Db, kit: &Kit, secret: &AppSecret, id: Option<Id>, draft: &ChannelDraft) -> Result<Id, ChannelError> {
    let now = kit.clock.now_ms();
    let row = id.unwrap_or_else(|| kit.ids.next());
    let sealed = draft.credential.as_ref().map(|key| secret.seal(&kit.random, PURPOSE, &row.to_string(), key.reveal()));
    let stored = store::Stored { options: to_json(&draft.options), private: seal_private(secret, kit, row, &draft.options.private) };
    let mut tx = db.write().await?;
    bump(&mut tx, Topic::Channels).await?;
    if store::name_taken(&mut tx, &draft.name, row).await? {
        return Err(ChannelError::Invalid(vec![FieldError::new("name", "channels.error.name_taken")]));
    }
    match (id, &sealed) {
        (Some(_), sealed) => {
            if !store::update(&mut tx, row, draft, sealed.as_deref(), &stored, now).await? {
                return Err(ChannelError::NotFound);
            }
        }
        (None, Some(sealed)) => store::insert(&mut tx, row, draft, sealed, &stored, now).await?,
        (None, None) => return Err(ChannelError::Invalid(vec![FieldError::new("key", "field.required")])),
    }
    tx.commit().await?;
    Ok(row)
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    // Texts, numbers and lists of them: nothing that JSON could not say.
    serde_json::to_string(value).unwrap_or_default()
}

fn seal_private(secret: &AppSecret, kit: &Kit, row: Id, private: &Private) -> String {
    if *private == Private::default() { String::new() } else { secret.seal(&kit.random, PURPOSE_PRIVATE, &row.to_string(), &to_json(private)) }
}

/// Deletes a channel and its keys. The rest of its row stays, for the requests it served.
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

/// What every channel is called, those included that were deleted: for the requests they served.
///
/// # Errors
/// The database's.
pub async fn names(conn: &mut Conn) -> Result<HashMap<Id, String>, sqlx::Error> {
    Ok(store::names(conn).await?.into_iter().map(|(id, name)| (Id(id), name)).collect())
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
