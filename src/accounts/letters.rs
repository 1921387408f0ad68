//! What is written to people about their accounts.

use super::Accounts;
use crate::i18n::Lang;
use crate::mail::Letter;

impl Accounts {
    /// To prove that the address is theirs.
    pub(super) fn verify_letter(&self, lang: Lang, token: &str) -> Letter {
        let site = &self.settings.now().site_name;
        Letter {
            lang,
            subject: lang.with("letters.verify.subject", &[("site", site)]),
            paragraphs: vec![lang.with("letters.verify.text", &[("site", site)])],
            action: lang.t("letters.verify.action").into_owned(),
            link: self.link(&format!("/verify?token={token}")),
            note: lang.t("letters.verify.note").into_owned(),
            site_name: site.clone(),
        }
    }

    /// To someone who signs up again.
    pub(super) fn known_letter(&self, lang: Lang) -> Letter {
        let site = &self.settings.now().site_name;
        Letter {
            lang,
            subject: lang.with("letters.known.subject", &[("site", site)]),
            paragraphs: vec![lang.with("letters.known.text", &[("site", site)]), lang.t("letters.known.forgot").into_owned()],
            action: lang.t("letters.known.action").into_owned(),
            link: self.link("/log-in"),
            note: lang.t("letters.known.note").into_owned(),
            site_name: site.clone(),
        }
    }

    /// To choose another password.
    pub(super) fn reset_letter(&self, lang: Lang, token: &str) -> Letter {
        let site = &self.settings.now().site_name;
        Letter {
            lang,
            subject: lang.with("letters.reset.subject", &[("site", site)]),
            paragraphs: vec![lang.with("letters.reset.text", &[("site", site)])],
            action: lang.t("letters.reset.action").into_owned(),
            link: self.link(&format!("/reset?token={token}")),
            note: lang.t("letters.reset.note").into_owned(),
            site_name: site.clone(),
        }
    }

    /// After the password was changed, in case it was not they who did it.
    pub(super) fn changed_letter(&self, lang: Lang) -> Letter {
        let site = &self.settings.now().site_name;
        Letter {
            lang,
            subject: lang.with("letters.changed.subject", &[("site", site)]),
            paragraphs: vec![lang.with("letters.changed.text", &[("site", site)])],
            action: lang.t("letters.changed.action").into_owned(),
            link: self.link("/forgot"),
            note: lang.t("letters.changed.note").into_owned(),
            site_name: site.clone(),
        }
    }

    pub(super) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }
}
