//! A document as it was issued: everything that is printed, kept for ever, and the words that it is printed in.

use super::sheet::Sheet;
use super::tax;
use super::terms::{Called, Party};
use crate::i18n::Lang;
use crate::kernel::{Currency, Id, Money};
use serde::{Deserialize, Serialize};

/// The version of the form in which documents are kept now. What is printed of an older one must not change.
pub const VERSION: u32 = 1;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Of a purchase.
    Invoice,
    /// Of money that went back.
    Credit,
    /// Of money that did not go back after all: it undoes a credit note.
    Cancellation,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 3] = [Kind::Invoice, Kind::Credit, Kind::Cancellation];

    /// The word in the database, in URLs and in files.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Invoice => "invoice",
            Kind::Credit => "credit",
            Kind::Cancellation => "cancellation",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Why money went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The shop has paid it back.
    Refund,
    /// The buyer's bank has taken it back.
    Dispute,
}

/// The document that is corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its number.
    pub number: String,
    /// Its day.
    pub date: String,
}

/// What was bought, and for how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What.
    pub text: String,
    /// In minor units, before any coupon.
    pub amount: i64,
}

/// What a purchase brings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brings {
    /// Credit, as people read it; empty for none.
    pub credit: String,
    /// Credit on top.
    pub bonus: String,
    /// Units of the currency for one dollar of credit; empty for dollars.
    pub rate: String,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// [`VERSION`] when it was issued.
    pub version: u32,
    /// What it is.
    pub kind: Kind,
    /// What one of a purchase was called.
    pub called: Called,
    /// Its number.
    pub number: String,
    /// The code of its language.
    pub lang: String,
    /// The day by the shop's calendar, as `2026-03-01`.
    pub date: String,
    /// Who sells.
    pub seller: Party,
    /// What they write at the end.
    pub footer: String,
    /// Who buys.
    pub buyer: Party,
    /// The order.
    pub order: Id,
    /// What was bought.
    pub line: Line,
    /// What a coupon took off it, in minor units.
    pub off: i64,
    /// What it brings.
    pub brings: Brings,
    /// Of all amounts.
    pub currency: Currency,
    /// What is paid; negative when it goes back.
    pub gross: i64,
    /// The tax in it.
    pub tax: i64,
    /// In basis points of the net price; 0 for none.
    pub tax_rate: i64,
    /// What the tax is called.
    pub tax_name: String,
    /// The document that it corrects.
    pub about: Option<About>,
    /// Why money went back.
    pub reason: Option<Reason>,
}

impl Document {
    /// As it is kept.
    pub fn write(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// From what was kept.
    ///
    /// # Errors
    /// When it is of a form that this version does not know.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The language that it is in.
    pub fn lang(&self) -> Lang {
        Lang::parse(&self.lang).unwrap_or_default()
    }

    /// What it is, in its language.
    pub fn heading(&self) -> String {
        self.heading_in(self.lang())
    }

    /// What it is.
    pub fn heading_in(&self, lang: Lang) -> String {
        let key = match (self.kind, self.called) {
            (Kind::Invoice, Called::Invoice) => "bill.invoice",
            (Kind::Invoice, Called::Receipt) => "bill.receipt",
            (Kind::Credit, _) => "bill.credit",
            (Kind::Cancellation, _) => "bill.cancellation",
        };
        lang.t(key).into_owned()
    }

    /// An amount of its currency, for people.
    pub fn shown(&self, minor: i64) -> String {
        Money::new(minor, self.currency).display()
    }

    /// It in words.
    pub fn sheet(&self) -> Sheet {
        let lang = self.lang();
        let t = |key| lang.t(key).into_owned();
        let about = self.about.iter().map(|about| (t("bill.about"), lang.with("bill.of_day", &[("number", &about.number), ("date", &about.date)])));
        let facts = [(t("bill.number"), self.number.clone()), (t("bill.date"), self.date.clone()), (t("bill.order"), self.order.to_string())];
        Sheet {
            lang: lang.tag(),
            heading: self.heading(),
            number: self.number.clone(),
            facts: facts.into_iter().chain(about).collect(),
            seller_label: t("bill.seller"),
            seller: self.seller.lines(&t("bill.tax_id")),
            buyer_label: t("bill.buyer"),
            buyer: self.buyer.lines(&t("bill.tax_id")),
            columns: (t("bill.what"), t("bill.amount")),
            lines: self.lines(lang),
            parts: self.parts(lang),
            total: (t("bill.total"), self.shown(self.gross)),
            notes: self.notes(lang),
            footer: self.footer.clone(),
            page_of: t("bill.page_of"),
        }
    }

    fn lines(&self, lang: Lang) -> Vec<(String, String)> {
        let text = self.line.text.as_str();
        match self.kind {
            Kind::Invoice => {
                let off = (self.off > 0).then(|| (lang.t("bill.coupon").into_owned(), self.shown(-self.off)));
                std::iter::once((text.to_owned(), self.shown(self.line.amount))).chain(off).collect()
            }
            Kind::Credit => vec![(lang.with("bill.back", &[("what", text)]), self.shown(self.gross))],
            Kind::Cancellation => vec![(lang.with("bill.back_undone", &[("what", text)]), self.shown(self.gross))],
        }
    }

    fn parts(&self, lang: Lang) -> Vec<(String, String)> {
        if self.tax_rate == 0 {
            return vec![];
        }
        let tax = lang.with("bill.tax", &[("name", &self.tax_name), ("rate", &tax::rate_text(self.tax_rate))]);
        vec![(lang.t("bill.net").into_owned(), self.shown(self.gross - self.tax)), (tax, self.shown(self.tax))]
    }

    fn notes(&self, lang: Lang) -> Vec<String> {
        let mut notes = Vec::new();
        let Brings { credit, bonus, rate } = &self.brings;
        match (self.kind, self.reason) {
            (Kind::Invoice, _) => {
                notes.push(lang.t("bill.paid").into_owned());
                if !credit.is_empty() {
                    notes.push(lang.with("bill.brings", &[("credit", credit)]));
                }
                if !bonus.is_empty() {
                    notes.push(lang.with("bill.brings_bonus", &[("credit", bonus)]));
                }
                if !rate.is_empty() {
                    notes.push(lang.with("bill.rate", &[("rate", rate), ("currency", self.currency.code())]));
                }
            }
            (Kind::Credit, Some(Reason::Dispute)) => notes.push(lang.t("bill.back_by_bank").into_owned()),
            (Kind::Credit, _) => notes.push(lang.t("bill.back_by_us").into_owned()),
            (Kind::Cancellation, _) => notes.push(lang.t("bill.back_failed").into_owned()),
        }
        notes
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An invoice with something everywhere.
    pub fn sample(kind: Kind, lang: Lang) -> Document {
        let sign = if kind == Kind::Credit { -1 } else { 1 };
        let correction = kind != Kind::Invoice;
        Document {
            version: VERSION,
            kind,
            called: Called::Invoice,
            number: "INV-0017".into(),
            lang: lang.code().into(),
            date: "2026-03-01".into(),
            seller: Party {
                name: "Tokens & Co".into(),
                address: "Hauptstraße 5\n10115 Berlin".into(),
                tax_id: "DE123".into(),
                email: "billing@example.com".into(),
            },
            footer: "HRB 1234".into(),
            buyer: Party { name: "北京示例科技有限公司".into(), address: "海淀区".into(), tax_id: String::new(), email: "ann@example.com".into() },
            order: Id(9 << 40),
            line: Line { text: "$50.00 of <credit>".into(), amount: 36_000 },
            off: 3_600,
            brings: Brings { credit: "$50.00".into(), bonus: "$5.00".into(), rate: "7.2".into() },
            currency: "CNY".parse().unwrap(),
            gross: sign * 32_400,
            tax: sign * 5_173,
            tax_rate: 1900,
            tax_name: "VAT".into(),
            about: correction.then(|| About { number: "INV-0016".into(), date: "2026-02-28".into() }),
            reason: correction.then_some(Reason::Refund),
        }
    }

    #[test]
    fn what_was_kept_is_read_and_prints_the_same() {
        for (kind, lang) in Kind::ALL.into_iter().flat_map(|kind| Lang::ALL.map(|lang| (kind, lang))) {
            let document = sample(kind, lang);
            assert_eq!(Document::read(&document.write()).unwrap(), document);
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
        }
        assert!(Document::read("{}").is_err());
    }

    #[test]
    fn a_sheet_has_every_amount_and_says_what_became_of_it() {
        let sheet = sample(Kind::Invoice, Lang::En).sheet();
        let amounts: Vec<&str> = sheet.lines.iter().chain(&sheet.parts).chain([&sheet.total]).map(|(_, amount)| amount.as_str()).collect();
        assert_eq!(amounts, ["CNY 360.00", "CNY -36.00", "CNY 272.27", "CNY 51.73", "CNY 324.00"]);
        assert_eq!((sheet.heading.as_str(), sheet.notes.len(), sheet.facts.len()), ("Invoice", 4, 3));
        let sheet = sample(Kind::Credit, Lang::Zh).sheet();
        assert_eq!((sheet.lang, sheet.total.1.as_str(), sheet.facts.len()), ("zh-Hans", "CNY -324.00", 4));
        assert!(sheet.facts[3].1.contains("INV-0016") && sheet.notes.len() == 1);
        let plain = Document { tax_rate: 0, tax: 0, off: 0, called: Called::Receipt, brings: Brings::default(), ..sample(Kind::Invoice, Lang::En) };
        let sheet = plain.sheet();
        assert_eq!((sheet.heading.as_str(), sheet.parts.len(), sheet.lines.len(), sheet.notes.len()), ("Receipt", 0, 1, 1));
    }
}
