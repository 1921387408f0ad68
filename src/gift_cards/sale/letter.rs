//! The letter that brings a card.

use super::Sender;
use super::store::Sale;
use crate::i18n::Lang;
use crate::mail::Letter;

/// With the code, in the language that the buyer chose for it.
pub(super) fn gift(sender: Sender<'_>, sale: &Sale, code: &str) -> Letter {
    let lang = Lang::parse(&sale.lang).unwrap_or_default();
    let amount = sale.amount.display();
    let names = [("giver", sale.giver.as_str()), ("site", sender.site), ("amount", &amount)];
    let message = Some(sale.message.clone()).filter(|message| !message.is_empty());
    let text = lang.with("letters.gift.text", &names);
    let code = lang.with("letters.gift.code", &[("code", code)]);
    Letter {
        lang,
        site_name: sender.site.to_owned(),
        subject: lang.with("letters.gift.subject", &names),
        paragraphs: std::iter::once(text).chain(message).chain([code, lang.t("letters.gift.how").into_owned()]).collect(),
        action: lang.t("letters.gift.action").into_owned(),
        link: format!("{}/account/gift-cards", sender.url),
        note: lang.t("letters.gift.note").into_owned(),
    }
}
