//! What is written to people whose card is charged by itself.

use super::{Automatic, Payments, Reason};
use crate::accounts;
use crate::db::Tx;
use crate::i18n::Lang;
use crate::kernel::Id;
use crate::mail::{self, Letter, Recipient};
use crate::payments::{Order, PaymentError};

/// What a letter says, before its language is known.
struct Words {
    subject: &'static str,
    texts: Vec<&'static str>,
    action: &'static str,
    note: &'static str,
    amount: String,
    path: String,
}

impl Payments {
    /// The bank wants the customer to confirm.
    pub(super) async fn mail_confirm(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        let words = Words {
            subject: "letters.auto_confirm.subject",
            texts: vec!["letters.auto_confirm.text"],
            action: "letters.auto_confirm.action",
            note: "letters.auto_confirm.note",
            amount: order.price.display(),
            path: format!("/account/orders/{}/confirm", order.id),
        };
        self.write(tx, order.user, words).await
    }

    /// The card was declined, and it will be tried again.
    pub(super) async fn mail_declined(&self, tx: &mut Tx, row: &Automatic, reason: Reason) -> Result<(), PaymentError> {
        let words = Words {
            subject: "letters.auto_declined.subject",
            texts: vec![reason.key(), "letters.auto_declined.text"],
            action: "letters.auto_declined.action",
            note: "letters.auto_declined.note",
            amount: row.price.display(),
            path: "/account/payment".to_owned(),
        };
        self.write(tx, row.user, words).await
    }

    /// It was switched off.
    pub(super) async fn mail_off(&self, tx: &mut Tx, row: &Automatic, reason: Reason) -> Result<(), PaymentError> {
        let words = Words {
            subject: "letters.auto_off.subject",
            texts: vec![reason.key(), "letters.auto_off.text"],
            action: "letters.auto_off.action",
            note: "letters.auto_off.note",
            amount: row.price.display(),
            path: "/account/payment".to_owned(),
        };
        self.write(tx, row.user, words).await
    }

    async fn write(&self, tx: &mut Tx, user: Id, words: Words) -> Result<(), PaymentError> {
        let Some(user) = accounts::find(tx, user).await? else { return Ok(()) };
        let (lang, site): (Lang, String) = (user.lang(), self.settings.now().site_name.clone());
        let names = [("site", site.as_str()), ("amount", words.amount.as_str())];
        let letter = Letter {
            lang,
            subject: lang.with(words.subject, &names),
            paragraphs: words.texts.into_iter().map(|key| lang.with(key, &names)).collect(),
            action: lang.t(words.action).into_owned(),
            link: format!("{}{}", self.base_url, words.path),
            note: lang.with(words.note, &names),
            site_name: site.clone(),
        };
        mail::enqueue(tx, &self.kit, &letter.to(Recipient::Address(user.email))).await?;
        Ok(())
    }
}
