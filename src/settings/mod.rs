//! What an admin sets in the back office: rows of name and value, read by everyone from a snapshot in memory.
//!
//! A change bumps the `settings` revision in its transaction, so that every node refreshes its snapshot within a second.
//! Called by `accounts` (the site's name in mails, the setup link), the relay (what every customer may use), `web` and `app`.

pub mod store;
mod top_up;

pub use top_up::{Offer, Tier, TopUpFields, TopUpTerms};

use crate::db::revision::{self, Topic};
use crate::db::{Conn, Db, Tx};
use crate::keys::Allowance;
use arc_swap::ArcSwap;
use jiff::tz::TimeZone;
use std::sync::Arc;

/// The longest name of a site, in characters.
pub const MAX_SITE_NAME: usize = 60;

/// The name of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// What the shop is called.
    SiteName,
    /// The hash of the token with which the shop can be claimed. Gone once it was.
    SetupToken,
    /// Since when the shop has an owner. Whoever makes one writes this row first: its lock lets one through at a time.
    Claimed,
    /// How much every customer may ask for and spend, unless an admin set something else for one.
    Allowance,
    /// How credit is sold.
    TopUp,
    /// Up to when the payment provider was asked for messages that were lost, in unix milliseconds.
    EventsFetched,
    /// Up to when the provider's movements of our account, and so its fees, were read.
    MovementsRead,
    /// Whose calendar counts for plans.
    TimeZone,
    /// What the shop gives for bringing others.
    Referrals,
}

impl Name {
    fn key(self) -> &'static str {
        match self {
            Name::SiteName => "site-name",
            Name::SetupToken => "setup-token",
            Name::Claimed => "claimed",
            Name::Allowance => "allowance",
            Name::TopUp => "top-up",
            Name::EventsFetched => "events-fetched",
            Name::MovementsRead => "movements-read",
            Name::TimeZone => "time-zone",
            Name::Referrals => "referrals",
        }
    }
}

/// The settings, typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the shop is called.
    pub site_name: String,
    /// How much every customer may ask for and spend, with all keys together, unless an admin set something else for one.
    pub allowance: Allowance,
    /// How credit is sold.
    pub top_up: TopUpTerms,
    /// Whose calendar counts for plans: when a day, a week or a month is over.
    pub time_zone: TimeZone,
}

impl Default for Settings {
    fn default() -> Self {
        Self { site_name: "Farebox".to_owned(), allowance: Allowance::default(), top_up: TopUpTerms::default(), time_zone: TimeZone::UTC }
    }
}

/// A text is not a name for a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSiteName {
    /// Nothing but space.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_SITE_NAME`] characters.
    #[error("is too long")]
    TooLong,
    /// Has control characters, which would break the lines of a mail.
    #[error("has characters that cannot be printed")]
    Unprintable,
}

/// A text is not the name of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no time zone has this name")]
pub struct UnknownTimeZone;

/// A name for a site, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteName(String);

impl SiteName {
    /// Checks a typed name.
    ///
    /// # Errors
    /// As [`BadSiteName`] says.
    pub fn parse(text: &str) -> Result<Self, BadSiteName> {
        let text = text.trim();
        match text.chars().count() {
            0 => Err(BadSiteName::Empty),
            n if n > MAX_SITE_NAME => Err(BadSiteName::TooLong),
            _ if text.chars().any(char::is_control) => Err(BadSiteName::Unprintable),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The settings in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot(Arc<ArcSwap<Read>>);

/// What was read, and at which revision or a later one.
#[derive(Debug, Default)]
struct Read {
    settings: Arc<Settings>,
    revision: i64,
}

impl Snapshot {
    /// Reads the settings for the first time.
    ///
    /// # Errors
    /// The database's.
    pub async fn load(db: &Db) -> Result<Self, sqlx::Error> {
        let snapshot = Self::default();
        snapshot.refresh(db).await?;
        Ok(snapshot)
    }

    /// The settings of this moment.
    pub fn now(&self) -> Arc<Settings> {
        Arc::clone(&self.0.load().settings)
    }

    /// The revision of [`Topic::Settings`] that the snapshot has at least.
    pub fn revision(&self) -> i64 {
        self.0.load().revision
    }

    /// Reads the settings again: when the revision of [`Topic::Settings`] has grown, and at once after a change of our own.
    ///
    /// # Errors
    /// The database's; the snapshot stays as it was.
    pub async fn refresh(&self, db: &Db) -> Result<(), sqlx::Error> {
        let mut settings = Settings::default();
        let mut conn = db.read().await?;
        // Before the rows: what changes in between is read again at the next revision.
        let revision = revision::current(&mut conn).await?.of(Topic::Settings);
        for (name, value) in store::all(&mut conn).await? {
            if name == Name::SiteName.key() {
                settings.site_name = value;
            } else if name == Name::TimeZone.key() {
                settings.time_zone = time_zone(&value).unwrap_or_else(|unknown| {
                    tracing::error!(zone = value, "{unknown}; days are those of UTC until it is saved again");
                    TimeZone::UTC
                });
            } else if name == Name::Allowance.key() {
                settings.allowance = Allowance::read(&value).unwrap_or_else(|error| {
                    tracing::error!(%error, "the limits of every customer cannot be read; there are none until they are saved again");
                    Allowance::default()
                });
            } else if name == Name::TopUp.key() {
                settings.top_up = TopUpTerms::read(&value).unwrap_or_else(|error| {
                    tracing::error!(%error, "how credit is sold cannot be read; it is sold as in a new shop until it is saved again");
                    TopUpTerms::default()
                });
            }
        }
        self.0.store(Arc::new(Read { settings: Arc::new(settings), revision }));
        Ok(())
    }
}

/// Names the site.
///
/// # Errors
/// The database's.
pub async fn set_site_name(tx: &mut Tx, now: i64, name: &SiteName) -> Result<(), sqlx::Error> {
    put(tx, now, Name::SiteName, name.as_str()).await?;
    revision::bump(tx, Topic::Settings).await?;
    Ok(())
}

/// Sets how much every customer may ask for and spend.
///
/// # Errors
/// The database's.
pub async fn set_allowance(tx: &mut Tx, now: i64, allowance: &Allowance) -> Result<(), sqlx::Error> {
    put(tx, now, Name::Allowance, &allowance.write()).await?;
    revision::bump(tx, Topic::Settings).await?;
    Ok(())
}

/// Sets how credit is sold.
///
/// # Errors
/// The database's.
pub async fn set_top_up(tx: &mut Tx, now: i64, terms: &TopUpTerms) -> Result<(), sqlx::Error> {
    put(tx, now, Name::TopUp, &terms.write()).await?;
    revision::bump(tx, Topic::Settings).await?;
    Ok(())
}

/// A time zone by its name, such as `Europe/Berlin`.
///
/// # Errors
/// When there is none of this name.
pub fn time_zone(name: &str) -> Result<TimeZone, UnknownTimeZone> {
    TimeZone::get(name.trim()).map_err(|_| UnknownTimeZone)
}

/// Sets whose calendar counts for plans that are bought from now on.
///
/// # Errors
/// The database's.
pub async fn set_time_zone(tx: &mut Tx, now: i64, zone: &TimeZone) -> Result<(), sqlx::Error> {
    put(tx, now, Name::TimeZone, zone.iana_name().unwrap_or("UTC")).await?;
    revision::bump(tx, Topic::Settings).await?;
    Ok(())
}

/// Writes one row that no snapshot has.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, now: i64, name: Name, value: &str) -> Result<(), sqlx::Error> {
    store::put(tx, name.key(), value, now).await
}

/// One row's value.
///
/// # Errors
/// The database's.
pub async fn get(conn: &mut Conn, name: Name) -> Result<Option<String>, sqlx::Error> {
    store::get(conn, name.key()).await
}

/// Removes a row if its value is `value`, and says whether it was: of several who take the same one, one succeeds.
///
/// # Errors
/// The database's.
pub async fn take(tx: &mut Tx, name: Name, value: &str) -> Result<bool, sqlx::Error> {
    store::take(tx, name.key(), value).await
}
