//! The letters.

use super::Sender;
use crate::accounts::User;
use crate::db::Tx;
use crate::kernel::{Kit, Usd};
use crate::mail::{self, Letter, Recipient};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// To whom, and from whom.
pub(super) struct Letters<'a> {
    pub kit: &'a Kit,
    pub sender: &'a Sender,
    pub user: &'a User,
}

impl Letters<'_> {
    /// The balance has fallen.
    pub async fn low(&self, tx: &mut Tx, level: Usd, balance: Usd) -> Result<(), sqlx::Error> {
        let names = [("level", level.display()), ("left", balance.display_short())];
        self.write(tx, ["letters.low.subject", "letters.low.text", "letters.low.action"], &names, "/account/top-up").await
    }

    /// Credit expires.
    pub async fn expiry(&self, tx: &mut Tx, left: Usd, at: i64) -> Result<(), sqlx::Error> {
        let names = [("amount", left.display()), ("date", self.day(at))];
        self.write(tx, ["letters.expiry.subject", "letters.expiry.text", "letters.expiry.action"], &names, "/account").await
    }

    /// A plan ends.
    pub async fn plan_ends(&self, tx: &mut Tx, plan: &str, at: i64) -> Result<(), sqlx::Error> {
        let names = [("plan", plan.to_owned()), ("date", self.day(at))];
        self.write(tx, ["letters.plan_ends.subject", "letters.plan_ends.text", "letters.plan_ends.action"], &names, "/account/plan").await
    }

    /// A day as the reader's calendar has it.
    fn day(&self, at: i64) -> String {
        let own = self.user.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        let zone = own.unwrap_or_else(|| self.sender.zone.clone());
        Timestamp::from_millisecond(at).map(|at| at.to_zoned(zone).date().to_string()).unwrap_or_default()
    }

    async fn write(&self, tx: &mut Tx, [subject, text, action]: [&str; 3], names: &[(&str, String)], path: &str) -> Result<(), sqlx::Error> {
        let lang = self.user.lang();
        let page = format!("{}/account/notices", self.sender.url);
        let site = [("site", self.sender.site.as_str()), ("page", &page)];
        let names: Vec<(&str, &str)> = names.iter().map(|(name, value)| (*name, value.as_str())).chain(site).collect();
        let letter = Letter {
            lang,
            site_name: self.sender.site.clone(),
            subject: lang.with(subject, &names),
            paragraphs: vec![lang.with(text, &names)],
            action: lang.t(action).into_owned(),
            link: format!("{}{path}", self.sender.url),
            note: lang.with("letters.notice_note", &names),
        };
        mail::enqueue(tx, self.kit, &letter.to(Recipient::Address(self.user.email.clone()))).await.map(drop)
    }
}
